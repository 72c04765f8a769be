"""Reads folders with a subfolder per class and a text per file, as review and newsgroup collections come."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from thriftune.data.readers.content import text_content
from thriftune.data.table import ReadOptions, SourceTable, text_table
from thriftune.errors import InputError

COLUMNS = ("text", "label", "file")
_WITHOUT_LABEL = {"unsup", "unlabeled", "unlabelled", "unsupervised"}
_MOST_BYTES = 1 << 30


def class_folders(folder: Path) -> list[Path]:
    """The subfolders that hold texts of one class each: those with files that end in .txt, or have no ending."""
    return [entry for entry in _folders(folder) if entry.name.lower() not in _WITHOUT_LABEL and _texts(entry)]


def read_class_folders(folder: Path, reading: ReadOptions) -> SourceTable:
    """Columns text, label (the subfolder's name) and file (the path in `folder`), by class and file name.

    Raises `InputError` for a file that is no text.
    """
    texts: list[str] = []
    labels: list[str] = []
    names: list[str] = []
    codecs: Counter[str] = Counter()
    for entry in class_folders(folder):
        for path in _texts(entry):
            text, codec = _read(path, reading.encoding)
            texts.append(text)
            labels.append(entry.name)
            names.append(f"{entry.name}/{path.name}")
            codecs[codec] += 1
    columns = dict(zip(COLUMNS, (texts, labels, names), strict=True))
    return text_table(columns, reading, str(folder), _notes(folder, labels, codecs))


def _notes(folder: Path, labels: list[str], codecs: Counter[str]) -> tuple[str, ...]:
    shown = ", ".join(dict.fromkeys(labels)) if len(set(labels)) <= 8 else f"{len(set(labels))} classes"
    notes = [
        f'{folder.name}: each text is a file, its label the name of its folder ({shown}); columns "text", "label" '
        'and "file".'
    ]
    unused = [entry.name for entry in _folders(folder) if entry.name.lower() in _WITHOUT_LABEL]
    if unused:
        notes.append(f"Not used in {folder.name}, as it has no label: {', '.join(unused)}.")
    others = {codec: count for codec, count in codecs.items() if not codec.startswith("utf-8")}
    if others:
        counts = ", ".join(f"{codec} ({count:,})" for codec, count in sorted(others.items()))
        notes.append(f"{folder.name}: files that are not UTF-8 are read as {counts}; data.encoding overrules.")
    return tuple(notes)


def _read(path: Path, encoding: str) -> tuple[str, str]:
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise InputError(f"{path} has {size:,} bytes: too many for one text.")
    content = text_content(path, path.name, None, encoding)
    with content.lines("") as file:
        return file.read().replace("\r\n", "\n").strip(), content.codec


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def _texts(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        found = [
            Path(entry.path)
            for entry in entries
            if entry.is_file()
            and not entry.name.startswith((".", "_"))
            and (entry.name.lower().endswith(".txt") or "." not in entry.name)
        ]
    return sorted(found)
