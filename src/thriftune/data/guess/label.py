"""Guesses the label column, or says why none can be guessed: numbers to predict, several labels per text."""

from __future__ import annotations

from shlex import quote

from thriftune.data.guess.candidates import ABOUT, LabelColumn, is_id, label_column, label_columns
from thriftune.data.guess.split import names_splits
from thriftune.data.labels import ONE_LABEL, label_names, order_labels
from thriftune.data.table import SourceTable
from thriftune.errors import InputError
from thriftune.wording import first_of

_TRUE = {"1", "1.0", "true"}


def guess_label(table: SourceTable, text: tuple[str, ...], reasons: list[str]) -> LabelColumn:
    columns = label_columns(table, text)
    possible = [column for column in columns if column.possible and not names_splits(table, column.name)]
    best = possible[0] if possible else None
    measured = [column for column in columns if column.measured and not (is_id(column.name) and not column.named)]
    if best is None or not best.named or best in measured:
        _refuse_measured(table, measured, best, possible)
    flags = _several(possible, best)
    if flags:
        what = "one label spread over columns (one-hot)" if _one_hot(table, flags) else "several labels per text"
        raise InputError(
            f"{table.where} has {len(flags)} columns of zeros and ones ({first_of([c.name for c in flags])}): {what}, "
            f"as in multi-label data. {ONE_LABEL}, from one column: --label {quote(flags[0].name)} takes one"
            f"{_further(possible, flags)}."
        )
    if best is None:
        raise InputError(
            f"No column of {table.where} looks like a label: none has a few values that repeat. Its columns: "
            f"{', '.join(table.columns)}. Name it with --label."
        )
    if best.named:
        reasons.append(f'"{best.name}" is the label: its name says so, and it has {len(best.counts)} classes.')
    else:
        reasons.append(f'"{best.name}" is the label: it has the fewest different values, {len(best.counts)}.')
    if len(possible) > 1:
        shown = first_of([column.values for column in possible[1:]])
        reasons.append(f"Other columns that could be the label: {shown}; --label COLUMN takes one of them.")
    for column in measured:
        if column is not best:
            reasons.append(f'"{column.name}" is not taken: it holds {column.measured}.')
    return best


def given_label(table: SourceTable, name: str, reasons: list[str]) -> LabelColumn:
    column = label_column(table, name)
    if not column.counts:
        values = label_names(table.frame[name], table.label_names.get(name)).drop_nulls()
        if not len(values):
            raise InputError(f'The column "{name}" of {table.where} is blank. Give another label column.')
        order_labels(values.unique().to_list(), table.label_names.get(name))  # says what is wrong with them
        raise InputError(f'The column "{name}" of {table.where} holds no classes. Give another label column.')
    reasons.append(f'"{name}" is the label: --label says so; it has {len(column.counts)} classes.')
    return column


def _refuse_measured(
    table: SourceTable, measured: list[LabelColumn], best: LabelColumn | None, possible: list[LabelColumn]
) -> None:
    """Raises where what the file is about is a number or a list of labels, and no column is named as a class."""
    telling = [c for c in measured if best is None or c.rank < best.rank or best.rank[0] == ABOUT or c is best]
    if not telling:
        telling = [c for c in measured if c is not best and c.named]
    if telling:
        column = telling[0]
        raise InputError(
            f'The column "{column.name}" of {table.where} holds {column.measured}. {ONE_LABEL}.'
            f"{_candidates(possible, column)}"
        )


def _candidates(possible: list[LabelColumn], measured: LabelColumn) -> str:
    """What could be done instead, as the end of a message."""
    others = [column.values for column in possible if column is not measured]
    if others:
        return f" Columns of classes: {first_of(others)}; --label COLUMN takes one."
    if measured.counts:
        return f" --label {quote(measured.name)} takes each number as a class."
    return " Give a file with a column of classes."


def _several(possible: list[LabelColumn], best: LabelColumn | None) -> list[LabelColumn]:
    """The columns of zeros and ones among those that are as likely as the best; empty where there is one at most."""
    if best is None or best.rank[0] == 0:
        return []
    tier = [column for column in possible if column.rank[0] == best.rank[0]]
    binary = [column for column in tier if column.binary]
    if best.named and not best.binary:
        return []
    return binary if len(binary) > 1 else []


def _one_hot(table: SourceTable, flags: list[LabelColumn]) -> bool:
    """Whether exactly one of the columns is 1 (or true) in every row."""
    columns = [table.frame[column.name].cast(str).to_list() for column in flags]
    return all(sum(str(value).strip().lower() in _TRUE for value in row) == 1 for row in zip(*columns, strict=True))


def _further(possible: list[LabelColumn], flags: list[LabelColumn]) -> str:
    rest = [column.values for column in possible if column not in flags]
    return f"; other columns of classes: {first_of(rest)}" if rest else ""
