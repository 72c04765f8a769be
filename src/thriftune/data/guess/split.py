"""Guesses the splits: a column that names them, and how to make those that the source lacks."""

from __future__ import annotations

from thriftune.data.guess.candidates import name_words
from thriftune.data.guess.shares import shares
from thriftune.data.settings import SPLITS, SplitSettings
from thriftune.data.splits.by_column import split_values
from thriftune.data.splits.names import split_of
from thriftune.data.table import SourceTable
from thriftune.errors import InputError

_SPLIT_WORDS = {"split", "partition", "fold", "set", "subset", "usage"}


def guess_split(
    tables: dict[str, SourceTable],
    text: tuple[str, ...],
    classes: int,
    reasons: list[str],
    group: str | None = None,
) -> SplitSettings | None:
    """How to find or make the splits that the source lacks, `group` whole; None where it has all."""
    column = _split_column(tables)
    found = set(tables)
    rows = tables["train"].frame.height if "train" in tables else 0
    if column is not None:
        values = split_values(tables["train"], column)
        rows = sum(count for value, count in values.items() if split_of(value) == "train")
        found = {split for value in values if (split := split_of(value)) is not None}
        shown = ", ".join(f"{value} ({count:,} rows)" for value, count in values.items())
        reasons.append(f'"{column}" gives the splits: {shown}.')
    missing = [split for split in SPLITS if split not in found]
    if not missing and column is None:
        reasons.append("The source has train, validation and test.")
        return None
    if group is not None and ("train" not in tables or group not in tables["train"].frame.columns):
        group = None
    if group is None and len(text) == 2 and "train" in tables:
        first = tables["train"].frame[text[0]]
        group = text[0] if first.n_unique() < 0.9 * len(first) else None
    if "train" in missing:
        raise InputError(f"The source has no train split, only {', '.join(tables)}. Give the training file.")
    group = group if missing else None
    made = shares(rows, classes, missing)
    if missing:
        how = f'grouped by "{group}", whose values repeat' if group else "stratified by label"
        names = " and ".join(name for name in ("test", "validation") if name in missing)
        why = f"; {made.why}" if made.why else ""
        reasons.append(f"The source lacks {names}: made from train ({made.words}), {how}{why}.")
    return SplitSettings(test=made.test, validation=made.validation, column=column, group_by=group)


def _split_column(tables: dict[str, SourceTable]) -> str | None:
    """The column of a single file that says each row's split: train and at least one other."""
    if set(tables) != {"train"}:
        return None
    table = tables["train"]
    for name in table.frame.columns:
        if names_splits(table, name):
            splits = {split_of(value) for value in split_values(table, name)}
            if "train" in splits and splits & {"test", "validation"}:
                return name
    return None


def names_splits(table: SourceTable, name: str) -> bool:
    """Whether a column, by its name and values, says which split a row is of."""
    if not _SPLIT_WORDS & set(name_words(name)):
        return False
    values = split_values(table, name)
    known = sum(count for value, count in values.items() if split_of(value) is not None)
    return known > 0.9 * max(1, sum(values.values()))
