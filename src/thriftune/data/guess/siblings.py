"""The test and validation files that lie beside a training file."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from thriftune.data.readers.formats import is_data_file, read_file
from thriftune.data.splits.names import split_of
from thriftune.data.table import SourceTable
from thriftune.errors import InputError


def siblings(path: Path, columns: Collection[str], reasons: list[str]) -> dict[str, SourceTable]:
    """Tables of the files beside a training file that are called as it is but for the split, by split.

    reviews_train.csv has reviews_test.csv and reviews_dev.csv; a file whose name does not say train has none. Files
    that lack one of the columns are left out; `reasons` says so.
    """
    if not path.is_file() or split_of(path.stem) != "train":
        return {}
    found: dict[str, list[Path]] = {}
    for entry in sorted(path.parent.iterdir()):
        split = split_of(entry.stem)
        alike = entry != path and _frame(entry) == _frame(path)
        if alike and split in ("test", "validation") and entry.is_file() and is_data_file(entry):
            found.setdefault(split, []).append(entry)
    tables = {}
    for split, paths in found.items():
        paths.sort(key=lambda entry: entry.suffix.lower() != path.suffix.lower())
        usable = [(entry, table) for entry in paths if (table := _usable(entry, columns, reasons)) is not None]
        if usable:
            entry, tables[split] = usable[0]
            others = ", ".join(other.name for other, _ in usable[1:])
            reasons.append(
                f"{entry.name} lies beside {path.name} and is {split}{f' ({others} is not used)' if others else ''}."
            )
    return tables


def _usable(path: Path, columns: Collection[str], reasons: list[str]) -> SourceTable | None:
    """The file's table; None where it cannot be read or lacks a column."""
    try:
        table = read_file(path)
    except InputError as error:
        reasons.append(f"{path.name} lies beside it and is not used: {error}")
        return None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        shown = ", ".join(f'"{name}"' for name in missing)
        reasons.append(f"{path.name} lies beside it and is not used: it has no column {shown}.")
        return None
    return table


def _frame(path: Path) -> tuple[str, str]:
    """The file's name, without its endings, before and after the word that says its split."""
    name = path.name.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    stem = Path(name).stem
    for word in reversed(list(re.finditer(r"[a-z]+", stem))):
        if split_of(word.group()) is not None:
            return stem[: word.start()], stem[word.end() :]
    return stem, ""


_PACKED = (".gz", ".bz2", ".xz", ".zst")
