"""Unpacks compressed data files, within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from thriftune.errors import InputError

ENDINGS = (".gz", ".bz2", ".xz", ".zip", ".zst")
_MAGIC = {
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
    ".zip": b"PK\x03\x04",
    ".zst": b"\x28\xb5\x2f\xfd",
}
_OPEN: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_SMALL = 64 << 20
_MOST = 8 << 30
_MOST_RATIO = 100
_CHUNK = 1 << 20
BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,  # a password, an unknown compression
    ValueError,  # zipfile raises these three for damaged names and headers
    LookupError,
    struct.error,
)
"""What unpacking a damaged file raises."""


def data_name(path: Path) -> str:
    """The file's name without the ending that says how it is compressed: a.csv of a.csv.gz."""
    return path.stem if path.suffix.lower() in ENDINGS else path.name


def unpacked(path: Path) -> tuple[str, bytes] | None:
    """The name and the bytes of a compressed file's content; None where the file is not compressed.

    The bytes decide, not the ending. Raises `InputError` for damaged files, archives of several files, zstandard,
    and content that is more than 100 times (beyond 64 MiB) or 8 GiB larger than a text can be.
    """
    with path.open("rb") as file:
        start = file.read(8)
    kind = next((ending for ending, magic in _MAGIC.items() if start.startswith(magic)), None)
    claimed = path.suffix.lower() if path.suffix.lower() in ENDINGS else None
    if kind is None:
        if claimed is not None and start:
            raise InputError(f"{path} ends in {claimed}, and is not such a file. Rename it after what it holds.")
        return None
    if kind == ".zst":
        raise InputError(f"{path} is compressed with zstandard, which is not read. Unpack it, or use gzip.")
    try:
        if kind == ".zip":
            return _unzipped(path)
        with _OPEN[kind](path) as packed:
            return data_name(path), _bounded(packed, path)
    except BROKEN as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> InputError:
    """What to say of a file that cannot be unpacked."""
    return InputError(f"{path} cannot be unpacked: {error}. If it is whole, unpack it and name the file.")


def check_zip_size(path: Path) -> None:
    """Raises `InputError` where a zip's members claim to be too large (a spreadsheet is a zip)."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except BROKEN as error:
        raise damaged(path, error) from error
    _check_size(size, path)


def _unzipped(path: Path) -> tuple[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            shown = ", ".join(member.filename for member in members[:8]) or "none"
            raise InputError(f"{path} holds {len(members)} files ({shown}); one is read. Unpack it and name the file.")
        with archive.open(members[0]) as packed:
            return Path(members[0].filename).name, _bounded(packed, path)


def _bounded(packed: IO[bytes], path: Path) -> bytes:
    out = io.BytesIO()
    while chunk := packed.read(_CHUNK):
        out.write(chunk)
        _check_size(out.tell(), path)
    return out.getvalue()


def _check_size(size: int, path: Path) -> None:
    stored = path.stat().st_size
    if size > _MOST or (size > _SMALL and size > _MOST_RATIO * stored):
        raise InputError(
            f"{path} unpacks to more than {size >> 20:,} MiB from {stored:,} bytes: no text is compressed so well. "
            "If it is meant so, unpack it and name the file."
        )
