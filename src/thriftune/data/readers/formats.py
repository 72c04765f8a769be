"""Reads a data file by its ending."""

from __future__ import annotations

import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePath

from thriftune.data.readers.compressed import ENDINGS as PACKED
from thriftune.data.readers.compressed import data_name, unpacked
from thriftune.data.readers.content import Content, text_content
from thriftune.data.readers.delimited import fitting_delimiter, read_csv, read_tsv
from thriftune.data.readers.excel import read_excel
from thriftune.data.readers.json_rows import read_json
from thriftune.data.readers.labelled_lines import is_fasttext, read_fasttext, read_first_word, read_last_part
from thriftune.data.readers.parquet import read_parquet
from thriftune.data.table import ReadOptions, SourceTable, Wanted
from thriftune.errors import InputError


def read_file(path: Path, wanted: Wanted = None, reading: ReadOptions | None = None) -> SourceTable:
    """Reads a file by its ending, unpacked where it is compressed; `reading` says more than `wanted`.

    Texts stay as they are: csv, tsv, txt and xlsx columns are all strings. Raises `InputError` for an unknown ending,
    an empty file, an encoding that does not fit or cannot be told, and malformed rows, naming file and line.
    """
    reading = reading or ReadOptions(wanted=wanted)
    try:
        table = _read(path, reading)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    # A frame without columns has no height to judge by; the caller reports the columns that it misses.
    if not table.frame.height and (table.frame.width or not table.columns):
        header = f", only a header: {', '.join(table.columns)}" if table.columns else ""
        raise InputError(f"{path} has no data rows{header}.")
    return table


def is_data_file(path: Path) -> bool:
    """Whether the ending is one that `read_file` knows (hidden files and system leftovers are not data)."""
    return bool(data_ending(path)) and data_ending(path) in ENDINGS and not path.name.startswith((".", "_", "~$"))


def data_ending(path: Path) -> str:
    """The ending that says what a file holds, in small letters: .csv of a.CSV and of a.csv.gz."""
    return PurePath(data_name(path)).suffix.lower()


def data_stem(path: Path) -> str:
    """The file's name without the endings that say what it holds and how it is packed: a of a.csv.gz."""
    name = PurePath(data_name(path))
    return name.stem if name.suffix.lower() in ENDINGS else name.name


def _read(path: Path, reading: ReadOptions) -> SourceTable:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise InputError(f"{path} is no ordinary file. Give a data file, or a folder of them.")
    ending, outer = data_ending(path), path.suffix.lower()
    if ending in _REFUSED:
        raise InputError(f'{path} ends in "{path.suffix}": {_REFUSED[ending]}')
    if ending not in ENDINGS and ending != "" and outer not in PACKED:
        raise InputError(_unknown(path, ending))
    if about.st_size == 0:
        raise InputError(f"{path} is empty (0 bytes). Give a file with a header and rows.")
    if outer in _WHOLE:
        return _WHOLE[outer](path, reading)
    packed = unpacked(path)
    name, data = packed if packed is not None else (path.name, None)
    inner = PurePath(name).suffix.lower()
    if inner in _WHOLE:
        raise InputError(f"{path} holds {name}, which is not read from an archive. Unpack it and name the file.")
    reader = _TEXT.get(inner) or (_read_text if inner == "" else None)
    if reader is None:
        raise InputError(_unknown(path, inner))
    if data == b"":
        raise InputError(f"{path} holds an empty file. Give a file with a header and rows.")
    return reader(text_content(path, name, data, reading.encoding), reading)


def _unknown(path: Path, ending: str) -> str:
    what = f'{path} ends in "{path.suffix}"' if path.suffix.lower() == ending else f'{path} holds a "{ending}" file'
    return (
        f"{what}; data files end in {', '.join(ENDINGS)} (also packed: {', '.join(PACKED[:-1])}). "
        "Rename the file, or convert it to one of these."
    )


def _read_text(content: Content, reading: ReadOptions) -> SourceTable:
    """Text of any of the layouts that carry labels: columns, `__label__` lines, a label first or last."""
    if is_fasttext(content):
        return read_fasttext(content, reading)
    if fitting_delimiter(content, "\t") is None and reading.header == "auto":
        coarse = read_first_word(content, reading, coarse=True)
        if coarse is not None:
            return coarse
        if fitting_delimiter(content, ";|,") is not None:
            return read_csv(content, reading)
        for read in (partial(read_first_word, coarse=False), read_last_part):
            found = read(content, reading)
            if found is not None:
                return found
    return read_tsv(content, reading)


_TEXT: dict[str, Callable[[Content, ReadOptions], SourceTable]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".txt": _read_text,
    ".label": _read_text,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
}
_WHOLE: dict[str, Callable[[Path, ReadOptions], SourceTable]] = {
    ".parquet": read_parquet,
    ".xlsx": read_excel,
    ".xlsm": read_excel,
}
_SPREADSHEET = "only newer workbooks are read. Save it as .xlsx, or as CSV UTF-8."
_REFUSED = {
    ".xls": _SPREADSHEET,
    ".xlsb": _SPREADSHEET,
    ".ods": _SPREADSHEET,
    ".tar": "an archive of files is not read. Unpack it and name a file or folder.",
    ".tgz": "an archive of files is not read. Unpack it and name a file or folder.",
    ".pkl": "pickled data can run code and is not read. Save it as parquet, csv or jsonl.",
    ".pickle": "pickled data can run code and is not read. Save it as parquet, csv or jsonl.",
}
ENDINGS = (*_TEXT, *_WHOLE)
