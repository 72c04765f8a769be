"""Finds the columns that the user names, under the spelling that each source has."""

from __future__ import annotations

from collections.abc import Iterable

from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.data.table import Table
from thriftune.errors import did_you_mean

_SPELLINGS = (("premise", "sentence1"), ("hypothesis", "sentence2"), ("label", "gold_label"))
"""SNLI and MultiNLI as the hub names their columns, and as they are distributed."""


def wanted_columns(settings: DataSettings) -> tuple[str, ...]:
    """The columns to read, in the user's names: texts, label, kept, grouping and split, each once."""
    split = settings.split
    further = [split.group_by, split.column] if isinstance(split, SplitSettings) else []
    names = [*settings.text, settings.label, *settings.keep, *further]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def spellings(names: Iterable[str]) -> set[str]:
    """The names, and the other spelling of each."""
    found = set(names)
    for pair in _SPELLINGS:
        if found & set(pair):
            found |= set(pair)
    return found


def resolve(table: Table, names: Iterable[str]) -> dict[str, str]:
    """The source's column for each name, its other spelling included; missing names are left out."""
    found = {}
    for name in names:
        candidates = [name, *sorted(spellings([name]) - {name})]
        existing = [candidate for candidate in candidates if candidate in table.columns]
        if existing:
            found[name] = existing[0]
    return found


def column_problems(table: Table, names: Iterable[str]) -> list[str]:
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


def name_problems(settings: DataSettings) -> list[str]:
    """One message for each column that is named for two purposes."""
    problems = []
    if len(set(settings.text)) < len(settings.text):
        problems.append(f'data.text names "{settings.text[0]}" twice. Give two different columns, or one.')
    if settings.label in settings.text:
        problems.append(f'data.label "{settings.label}" is also in data.text. The label cannot be the text.')
    for name in dict.fromkeys(settings.keep):
        if name in settings.text or name == settings.label or settings.keep.count(name) > 1:
            problems.append(f'data.keep: "{name}" is carried already. Remove it.')
    return problems
