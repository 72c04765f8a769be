"""The columns that the user names: under the spelling that each source has, and as keys of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.data.table import SourceTable
from thriftune.errors import did_you_mean

if TYPE_CHECKING:
    import polars as pl

_SPELLINGS = (("premise", "sentence1"), ("hypothesis", "sentence2"), ("label", "gold_label"))
"""SNLI and MultiNLI as the hub names their columns, and as they are distributed."""


MANY_ROWS = 200_000
"""Of more rows the hashes are compared before the texts are."""


def wanted_columns(settings: DataSettings) -> tuple[str, ...]:
    """The columns to read, in the user's names: texts, label, kept, grouping and split, each once."""
    split = settings.split
    further = [split.group_by, split.column] if isinstance(split, SplitSettings) else []
    names = [*settings.text, settings.label, *settings.carried, *further]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def spellings(names: Iterable[str]) -> set[str]:
    """The names, and the other spelling of each."""
    found = set(names)
    for pair in _SPELLINGS:
        if found & set(pair):
            found |= set(pair)
    return found


def resolve(table: SourceTable, names: Iterable[str]) -> dict[str, str]:
    """The source's column for each name, its other spelling included; missing names are left out."""
    found = {}
    for name in names:
        candidates = [name, *sorted(spellings([name]) - {name})]
        existing = [candidate for candidate in candidates if candidate in table.columns]
        if existing:
            found[name] = existing[0]
    return found


def column_problems(table: SourceTable, names: Iterable[str]) -> list[str]:
    """One message for each name that the source lacks, or has more than once."""
    resolved = resolve(table, names)
    shown = ", ".join(f'"{name}"' for name in dict.fromkeys(table.columns)) or "none"
    problems = []
    for name in names:
        if name not in resolved:
            hint = did_you_mean(name, table.columns) or "."
            problems.append(f'{table.where} has no column "{name}"{hint} Its columns: {shown}.')
        elif table.columns.count(resolved[name]) > 1:
            times = table.columns.count(resolved[name])
            problems.append(f'{table.where} has {times} columns called "{resolved[name]}". Rename one in its header.')
    return problems


def keyed(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns as keys of joins and groups, called 0, 1, ..: (rows, columns).

    polars takes a column's name such as ^a$ or * for a pattern, and users' columns may have any name.
    """
    import polars as pl

    return pl.DataFrame([frame[name].alias(str(i)) for i, name in enumerate(columns)])


def rows_in_both(asked: pl.DataFrame, known: pl.DataFrame, columns: Sequence[str]) -> int:
    """How many rows of one frame have the values of some columns that a row of the other has."""
    keys, others = keyed(asked, columns), keyed(known, columns)
    if keys.height + others.height > MANY_ROWS:
        # Equal rows have equal hashes, and few others have: the texts of those alone are looked at.
        hashes, other_hashes = keys.hash_rows(), others.hash_rows()
        keys, hashes = keys.filter(found := hashes.is_in(other_hashes.implode())), hashes.filter(found)
        others = others.filter(other_hashes.is_in(hashes.implode()))
    return keys.join(others, on=keys.columns, how="semi").height


def repeated_rows(keys: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The rows whose values of some columns another row has too, and perhaps some more, in their order."""
    if keys.height <= MANY_ROWS:
        return keys
    return keys.filter(keys[list(columns)].hash_rows().is_duplicated())
