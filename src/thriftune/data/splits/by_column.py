"""Parts one file's rows into splits by a column that names them."""

from __future__ import annotations

from dataclasses import replace

from thriftune.data.columns import column_problems
from thriftune.data.large.tables import filtered, slices
from thriftune.data.rows import ROW
from thriftune.data.settings import SPLITS
from thriftune.data.splits.names import split_of
from thriftune.data.table import SourceTable
from thriftune.errors import InputError
from thriftune.results.profile import Dropped

_SHOWN = 5


def split_by_column(
    tables: dict[str, SourceTable], column: str, notes: list[str]
) -> tuple[dict[str, SourceTable], tuple[Dropped, ...]]:
    """The file's rows as one table per split that the column names, and the rows that it gives to none.

    Values are read as file names are: "Training", "dev", "TEST". Raises `InputError` where the source has splits
    already, lacks the column, or no value of it is a split.
    """
    import polars as pl

    if len(tables) > 1:
        raise InputError(
            f"data.split.column says which rows of one file are which split, but the source has {', '.join(tables)} "
            "already. Remove data.split.column, or give a single file."
        )
    table = next(iter(tables.values()))
    if problems := column_problems(table, [column]):
        raise InputError("\n".join(problems))
    values = split_values(table, column)
    roles = {value: split_of(value) for value in values}
    if not any(roles.values()):
        shown = ", ".join(f'"{value}"' for value in list(values)[:_SHOWN]) or "no value"
        raise InputError(
            f'The column "{column}" of {table.where} holds {shown}, none of which is a split. Allowed: train, '
            "validation (dev, val, valid) and test."
        )
    frame = table.frame.with_row_index(ROW)
    role = pl.concat(
        [
            pl.Series([roles.get(_plain(value)) for value in frame[column][rows].to_list()], dtype=pl.Enum(SPLITS))
            for rows in slices(frame.height)
        ]
    )
    made = {split: filtered(frame, (role == split).fill_null(False)) for split in SPLITS}
    found = {split: replace(table, frame=part) for split, part in made.items() if part.height}
    spelled = [f"{split} ({part.height:,} rows)" for split, part in made.items() if part.height]
    notes.append(f'The column "{column}" gives the splits: {", ".join(spelled)}.')
    unused = [value for value, known in roles.items() if known is None]
    lost = int(role.is_null().sum())
    if not lost:
        return found, ()
    shown = ", ".join(f'"{value}"' for value in unused[:_SHOWN]) + (" and others" if len(unused) > _SHOWN else "")
    reason = f'"{column}" is no split' + (f" ({shown})" if unused else " (blank)")
    return found, (Dropped("source", reason, lost),)


def split_values(table: SourceTable, column: str) -> dict[str, int]:
    """Rows by value of a column, as text without blanks around; blank values are left out."""
    counts: dict[str, int] = {}
    for rows in slices(table.frame.height):
        for value in table.frame[column][rows].to_list():
            text = _plain(value)
            if text:
                counts[text] = counts.get(text, 0) + 1
    return counts


def _plain(value: object) -> str:
    return "" if value is None else str(value).strip()
