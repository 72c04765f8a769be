"""Files of a study's folder: written so that a power cut leaves the old or the new one, read with a name for damage."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from thriftune.errors import InputError
from thriftune.results.json_text import json_text
from thriftune.results.plain import SCHEMA_VERSION
from thriftune.results.storage.errors import UnwritableError, unwritable
from thriftune.results.storage.temporary import temporary_beside

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl


AGAIN = "Run the study again with `thriftune compare`: what is sound is kept, the rest is made again."
T = TypeVar("T")


class DamagedError(InputError):
    """A file of a study's folder is missing, or is not what was written there."""

    def __init__(self, path: Path, why: str, remedy: str = AGAIN) -> None:
        super().__init__(f"{path} is damaged: {why}. {remedy}")
        self.path = path
        self.why = why


def write_atomic(path: Path, write: Callable[[Path], object], durable: bool = True, needed: int | None = None) -> None:
    """Calls `write` with a temporary path beside `path` and renames it there when it returns.

    `durable`: the bytes are on the disk before the rename, and the rename before this returns. Raises
    `UnwritableError` where the disk or its permissions do not take it; what was there before then stays. `needed` is
    about how many bytes it has.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        write(temporary)
        temporary.chmod(0o644)
        if durable:
            flush(temporary)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()  # an empty folder in its place; another one is an error that names it
        temporary.replace(path)
        if durable:
            flush(path.parent)
    except Exception as error:
        if (found := unwritable(error, path, needed)) is None or isinstance(error, UnwritableError):
            raise
        raise UnwritableError(found, getattr(error, "errno", None)) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Has the system write a file, or a folder's entries, to the disk; nothing where it cannot for folders."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():
            return  # Windows opens no folders
        raise
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Writes text (UTF-8) atomically."""
    data = text.encode()
    write_atomic(path, lambda temporary: temporary.write_bytes(data), durable, len(data))


def write_json(path: Path, data: Any) -> None:
    """Writes JSON atomically; raises `ValueError` on NaN or infinity, which JSON does not have."""
    write_text(path, json_text(data) + "\n")


def read_json(path: Path, remedy: str = AGAIN) -> dict[str, Any]:
    """Reads a JSON object; raises `DamagedError` for whatever else the file holds, and where it cannot be read."""
    try:
        data = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise DamagedError(path, "it is missing", remedy) from None
    except OSError as error:
        raise DamagedError(path, f"it cannot be read ({error.strerror})", remedy) from error
    except ValueError as error:
        why = f"it is not JSON ({error})" if path.stat().st_size else "it is empty"
        raise DamagedError(path, why, remedy) from error
    if not isinstance(data, dict):
        raise DamagedError(path, f"it holds {_kind(data)}, not an object", remedy)
    return data


def parse_json(text: bytes) -> Any:
    """What JSON holds; raises `ValueError` where it is none, is nested too deeply or has NaN, which no JSON has."""
    from pydantic_core import from_json

    return from_json(text, allow_inf_nan=False)


def read_record(path: Path, from_json: Callable[[dict[str, Any]], T], remedy: str = AGAIN) -> T:
    """Reads a JSON file that holds a record, which `from_json` makes of its values.

    Raises `DamagedError` where the file holds anything else, and `InputError` where a newer release wrote it.
    """
    data = read_json(path, remedy)
    version = data.get("schema_version", 1)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"{path} was written by a newer Thriftune: it has schema_version {version}, and this release reads "
            f"{SCHEMA_VERSION}. Update Thriftune to read it."
        )
    try:
        return from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0][:120]
        raise DamagedError(path, f"it does not hold what this release writes there ({why})", remedy) from error


def _kind(data: Any) -> str:
    return {type(None): "null", list: "a list", str: "a text", bool: "true or false"}.get(type(data), "a number")


def write_parquet(path: Path, frame: pl.DataFrame, durable: bool = True) -> None:
    """Writes a table atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # polars would expand a path
            frame.write_parquet(file)

    write_atomic(path, write, durable, int(frame.estimated_size()))


def write_parquet_parts(path: Path, parts: Iterable[pl.DataFrame]) -> None:
    """Writes a table of which one part after the other is in memory, atomically; the parts have the same columns."""
    rest = iter(parts)
    first = next(rest)
    second = next(rest, None)
    if second is None:
        write_parquet(path, first, durable=False)
        return

    def write(temporary: Path) -> None:
        import pyarrow.parquet as pq

        schema = first.to_arrow().schema
        with pq.ParquetWriter(temporary, schema, compression="zstd") as file:
            for part in chain([first, second], rest):
                file.write_table(part.to_arrow().cast(schema))

    write_atomic(path, write, durable=False)


WHOLE, NUMBER, TEXT = "whole numbers", "numbers", "texts"
"""What a column holds."""


def read_parquet(
    path: Path, columns: Mapping[str, str] | None = None, only: Sequence[str] | None = None
) -> pl.DataFrame:
    """Reads a table; raises `DamagedError` where the file is missing or is none, or lacks one of the columns.

    `columns`: what each of those holds that it must have, WHOLE, NUMBER or TEXT; it may have others. `only` these
    columns are read, where it is given.
    """
    import polars as pl

    try:
        with path.open("rb") as file:  # polars would expand a path
            frame = pl.read_parquet(file, columns=None if only is None else list(only))
    except FileNotFoundError:
        raise DamagedError(path, "it is missing") from None
    except OSError as error:
        raise DamagedError(path, f"it cannot be read ({error.strerror or error})") from error
    except Exception as error:
        # polars raises its own errors, and, for some damage, what its Rust code panics with.
        raise DamagedError(path, f"it is not a readable parquet file ({type(error).__name__})") from error
    check_columns(path, frame, columns or {})
    return frame


def read_rows(path: Path, rows: Sequence[int] | npt.NDArray[np.int64], columns: Sequence[str]) -> pl.DataFrame:
    """Some rows of a table, by their ascending numbers, without the others in memory.

    Raises `DamagedError` where the file is missing or is none.
    """
    import numpy as np
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted, found, first = np.asarray(rows), [], 0
    try:
        with path.open("rb") as opened:
            file = pq.ParquetFile(opened)
            for batch in file.iter_batches(columns=list(columns)):
                inside = wanted[(wanted >= first) & (wanted < first + batch.num_rows)] - first
                if len(inside) or not first:
                    found.append(batch.take(pa.array(inside, type=pa.int64())))
                first += batch.num_rows
    except OSError as error:
        raise DamagedError(path, f"it cannot be read ({error.strerror or error})") from error
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise DamagedError(path, f"it is not a readable parquet file ({type(error).__name__})") from error
    made = pl.from_arrow(pa.Table.from_batches(found)) if found else pl.DataFrame()
    assert isinstance(made, pl.DataFrame)
    return made[list(columns)]  # `select` would take some names for patterns


def check_columns(path: Path, frame: pl.DataFrame, columns: Mapping[str, str]) -> None:
    """Raises `DamagedError` where a table lacks one of the columns, or one does not hold WHOLE, NUMBER or TEXT."""
    import polars as pl

    for name, kind in columns.items():
        if name not in frame.columns:
            raise DamagedError(path, f"it has no column {name}")
        found = frame[name].dtype
        if not {WHOLE: found.is_integer(), NUMBER: found.is_numeric(), TEXT: found == pl.String}[kind]:
            raise DamagedError(path, f"its column {name} does not hold {kind}")


def delete(path: Path) -> None:
    """Deletes a folder or file; of a symbolic link the link alone."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def checksums(folder: Path, without: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Bytes and SHA-256 of every file below a folder by its relative path, all flushed to the disk, folders too.

    `without`: files and folders directly in it that are left out.
    """
    skipped = set(without)
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if parts[0] in skipped or path.is_symlink():
            continue
        flush(path)
        if path.is_file():
            found["/".join(parts)] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    for path in (folder, folder.parent):
        flush(path)
    return found


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
