"""Guesses the text columns: those of a pair by their names, else the one with the longest values."""

from __future__ import annotations

from shlex import quote

from thriftune.data.guess.candidates import is_prose, label_column, text_lengths
from thriftune.data.table import SourceTable
from thriftune.errors import InputError
from thriftune.wording import first_of

_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sent1", "sent2"),
    ("question1", "question2"),
    ("question", "answer"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "document"),
    ("query", "passage"),
    ("claim", "evidence"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
)


def guess_text(table: SourceTable, label: str, reasons: list[str]) -> tuple[str, ...]:
    lengths = text_lengths(table, (label,))
    if pair := _pair(lengths):
        reasons.append(f'"{pair[0]}" and "{pair[1]}" are the texts: their names are those of a pair.')
        return pair
    if not lengths:
        raise InputError(
            f"No column of {table.where} looks like text. Its columns: {', '.join(table.columns)}. "
            "Name the text column with --text."
        )
    name = max(lengths, key=lambda name: lengths[name])
    reasons.append(f'"{name}" is the text: on average its values are longest, {lengths[name]:.0f} characters.')
    others = [other for other in lengths if other != name and is_prose(table.frame[other])]
    if others:
        both = [column for column in table.frame.columns if column in (name, others[0])]
        shown = first_of([f'"{other}" ({lengths[other]:.0f} characters)' for other in others])
        reasons.append(
            f"Other columns of text: {shown}; {' '.join(f'--text {quote(column)}' for column in both)} takes two as "
            "a pair, --text COLUMN another one alone."
        )
    return (name,)


def longest_text(table: SourceTable) -> tuple[str, ...]:
    """The column that is text whatever the label is: the longest one that no name makes a label."""
    lengths = text_lengths(table)
    free = {name: length for name, length in lengths.items() if not _is_named_label(table, name)}
    pair = _pair(free)
    return pair or ((max(free, key=lambda name: free[name]),) if free else ())


def _is_named_label(table: SourceTable, name: str) -> bool:
    column = label_column(table, name)
    return column.named and (column.possible or column.problem is not None)


def _pair(lengths: dict[str, float]) -> tuple[str, ...]:
    """The two columns whose names are those of a pair; empty where there are none."""
    lowered = {name.lower(): name for name in lengths}
    for pair in _PAIRS:
        if all(name in lowered for name in pair):
            return tuple(lowered[name] for name in pair)
    return ()
