"""A data file to predict: opened by what it holds, its text columns found."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from thriftune.data.columns import spellings
from thriftune.errors import InputError, did_you_mean, shortened
from thriftune.paths import check_file, user_path
from thriftune.use import parquet_file, text_files, written
from thriftune.use.rows import Rows
from thriftune.use.written import FORMATS

ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
SHOWN_COLUMNS = 40


def format_of(path: Path, given: str | None) -> str:
    """The format of a file by its ending (packed: the one before), or as given; raises `InputError` for another."""
    if given is not None:
        if given not in FORMATS:
            raise InputError(f"--format {shortened(given)} is not known. Give {', '.join(FORMATS)}.")
        return given
    name = PurePath(path.name)
    packed = name.suffix.lower() in text_files.OPENED
    ending = PurePath(name.stem).suffix.lower() if packed else name.suffix.lower()
    if ending not in ENDINGS or (packed and ending == ".parquet"):
        raise InputError(
            f'{path} ends in "{name.suffix}"; read and written are {", ".join(ENDINGS)} (read also packed: '
            f"{', '.join(text_files.OPENED)}). Convert the file, or say with --format what it holds."
        )
    return ENDINGS[ending]


def check_source(file: str | Path, given: str | None) -> Path:
    """The path of a file that is there and of a format that is read; "-" is standard input, whose format is given.

    Raises `InputError` for another.
    """
    if str(file) == "-":
        if given is None:
            raise InputError(f"Standard input has no ending: say with --format what it holds ({', '.join(FORMATS)}).")
        return Path("-")
    path = user_path(str(file))
    check_file(path, f"a data file ({', '.join(ENDINGS)})")
    format_of(path, given)
    return path


def open_rows(path: Path, kind: str) -> Rows:
    """The rows of a file; raises `InputError` where it is missing, empty, damaged or none of its format."""
    check_file(path, f"a {kind} file")
    if kind == "parquet":
        return parquet_file.ParquetFile(path)
    content = text_files.streamed(path)
    return text_files.JsonLines(content) if kind == "jsonl" else text_files.Delimited(content, kind)


def text_columns(
    rows: Rows, path: Path, trained: tuple[str, ...] | None, given: Sequence[str], count: int | None
) -> list[tuple[str, int]]:
    """The columns that hold the texts, with their places: those given, or else those trained on.

    Raises `InputError` with the file's columns where one is missing or there twice, or their number is another.
    """
    names = tuple(given) or trained
    option = "--text" if given else "the classifier was trained on"
    if not names:
        raise InputError(
            "The model's folder does not say which columns it was trained on: name the column of the texts with "
            f"--text. {_columns(path, rows.names)}"
        )
    if count is not None and len(names) != count:
        wanted = "one text column" if count == 1 else "a pair of text columns"
        raise InputError(f"The classifier reads {wanted}; --text names {len(names)}. {_columns(path, rows.names)}")
    if len(set(names)) < len(names):
        raise InputError(f'--text names "{names[0]}" twice. Give two different columns. {_columns(path, rows.names)}')
    return [_place(rows, path, name, option, bool(given)) for name in names]


def column_place(rows: Rows, path: Path, name: str, option: str) -> tuple[str, int]:
    """A column by its name as given; raises `InputError` where it is missing or there twice."""
    return _place(rows, path, name, option, given=True)


def _place(rows: Rows, path: Path, name: str, option: str, given: bool) -> tuple[str, int]:
    others = [] if given else [*sorted(spellings([name]) - {name}), name.removesuffix("_text")]
    found = next((each for each in (name, *others) if each in rows.names), None)
    if found is None:
        hint = did_you_mean(name, rows.names) or "."
        remedy = "" if given else " Name the column of the texts with --text."
        said = f'{option} names the column "{name}"' if given else f'{option} a column "{name}"'
        raise InputError(f"{said}, which {path} lacks{hint}{remedy} {_columns(path, rows.names)}")
    if rows.names.count(found) > 1:
        raise InputError(f'{path} has {rows.names.count(found)} columns called "{found}". Rename one in its header.')
    return found, rows.names.index(found)


def _columns(path: Path, names: Sequence[str]) -> str:
    shown = ", ".join(f'"{shortened(name)}"' for name in names[:SHOWN_COLUMNS])
    more = f" and {len(names) - SHOWN_COLUMNS:,} more" if len(names) > SHOWN_COLUMNS else ""
    return f"The columns of {path.name}: {shown}{more}."


def writer(rows: Rows, kind: str) -> Any:
    """What writes rows of this file in a format.

    Raises `InputError` where two columns have one name, which jsonl and parquet cannot hold.
    """
    twice = sorted({name for name in rows.names if rows.names.count(name) > 1})
    if twice and kind in ("jsonl", "parquet"):
        raise InputError(
            f'The file has {rows.names.count(twice[0])} columns called "{shortened(twice[0])}", and {kind} holds one '
            "of a name. Rename one in its header, or write csv."
        )
    if kind == "jsonl":
        return written.JsonLines(rows.names)
    if kind == "parquet":
        import pyarrow as pa

        if isinstance(rows, parquet_file.ParquetFile):
            types: tuple[Any, ...] = tuple(rows.schema.types)
        else:
            known = isinstance(rows, text_files.JsonLines)
            types = written.json_types(rows.types) if known else (pa.string(),) * len(rows.names)  # type: ignore[attr-defined]
        return written.Parquet(rows.names, types)
    if not isinstance(rows, text_files.Delimited):
        return written.Delimited(rows.names, written.LINES[kind])
    delimiter = rows.delimiter if kind == "csv" and rows.delimiter != "\t" else written.LINES[kind]
    quoted = rows.quoted or kind != "tsv"
    return written.Delimited(rows.names, delimiter, quoted, mark=rows.content.codec == "utf-8-sig")


def spool(stream: BinaryIO, target: Path) -> str:
    """Copies a stream to a file and returns the SHA-256 of its bytes; raises `InputError` where it has none."""
    with target.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    if not target.stat().st_size:
        raise InputError("Standard input is empty. Pipe rows into it, or name a file.")
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
