"""Guesses a study's `data:` part from a file, with a reason for each guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from thriftune.data.columns import column_problems, resolve
from thriftune.data.dataset import Dataset, label_counts
from thriftune.data.guess.candidates import LabelColumn
from thriftune.data.guess.group import guess_group
from thriftune.data.guess.label import given_label, guess_label
from thriftune.data.guess.names import guess_names
from thriftune.data.guess.siblings import siblings
from thriftune.data.guess.split import guess_split
from thriftune.data.guess.text import guess_text, longest_text
from thriftune.data.load import from_tables
from thriftune.data.readers.plug_ins import scheme_of
from thriftune.data.settings import SPLITS, DataSettings, SplitSettings
from thriftune.data.sources import find_path, read_source
from thriftune.data.splits.names import split_of
from thriftune.data.table import SourceTable
from thriftune.data.warnings import find_warnings
from thriftune.errors import InputError
from thriftune.results.profile import DataWarning

_SAMPLE = 2000


@dataclass(frozen=True)
class Guess:
    """What `thriftune init` proposes for a file."""

    source: str | dict[str, str]
    """A file per split where the test or validation file lies beside the one given."""
    text: tuple[str, ...]
    label: str
    labels: dict[str, int]
    """Rows of train by class, in class order."""
    splits: tuple[str, ...]
    """The splits that the source has."""
    split: SplitSettings | None
    """How to find or make the others; None where all are given."""
    rows: dict[str, int]
    """Rows of every split as `compare` would have them; empty where it would refuse the data."""
    texts: tuple[list[str], ...]
    """At most 2,000 rows of train, evenly spaced: one list per text column."""
    reasons: list[str]
    """A sentence for each guess."""
    warnings: list[DataWarning]
    """What the data needs before it is compared on."""
    problem: str | None
    """Why `compare` would refuse the data as they are; None where it would not."""
    test_labels: dict[str, int] = field(default_factory=dict)
    """Test rows by class; empty where `rows` is."""
    names: dict[str, str] = field(default_factory=dict)
    """Names of labels that are numbers, where another column has them; else empty."""
    group: str | None = None
    """The column whose equal values belong together; None where texts are unrelated."""


def guess(path: str | Path, text: Sequence[str] = (), label: str | None = None) -> Guess:
    """Finds text and label columns, and how to split, for a file or folder (or demo:/hub: source).

    `text` and `label` overrule the guesses. Raises `InputError` where no column fits, naming the columns, and where
    the label would be a number (regression) or several labels (multi-label).
    """
    source = str(path)
    local = None if scheme_of(source) else find_path(source, None)
    tables, notes = read_source(source)
    table = tables.get("train") or next(iter(tables.values()))
    reasons = [*notes, *table.notes]
    _check_given(table, text, label)
    spelled = resolve(table, [*text, *([label] if label is not None else [])])
    text, label = [spelled[name] for name in text], None if label is None else spelled[label]
    chosen, found = _guess_columns(table, tuple(text), label, reasons)
    names: str | dict[str, str] = source
    if local is not None and local.is_file() and (role := split_of(local.stem)) in ("validation", "test"):
        reasons.append(f"{local.name} is called after {role}; it is all there is here, and train is made of it.")
    if local is not None and len(tables) == 1:
        beside = siblings(local, (*found, chosen.name), reasons)
        if beside:
            tables = {"train": table, **beside}
            names = {"train": source} | {split: _beside(source, each) for split, each in beside.items()}
    named = guess_names(table, chosen, found)
    if named is not None:
        shown = ", ".join(f"{number} is {name}" for number, name in list(named[1].items())[:4])
        more = ", ..." if len(named[1]) > 4 else ""
        reasons.append(f'The labels are numbers, and "{named[0]}" has their names: {shown}{more}.')
    group, why_grouped = guess_group(tables, found, chosen.name, (named[0],) if named else ()) or (None, "")
    split = guess_split(tables, found, len(chosen.counts), reasons, group)
    settings = DataSettings(
        source=names,
        text=found,
        label=chosen.name,
        labels=dict(named[1]) if named else {},
        group=group,
        split=split or "given",
    )
    dataset, problem = _assembled(settings, tables)
    if problem is not None and split is not None and split.group_by is not None:
        loose = replace(split, group_by=None)
        apart, still = _assembled(replace(settings, split=loose), tables)
        if apart is not None:
            reasons.append(
                f"The splits are made of single rows after all, since groups cannot be kept whole: {problem}"
            )
            dataset, problem, split = apart, still, loose
    if dataset is not None and dataset.group is None:
        group = None  # its values do not repeat among the test texts
    if group is not None:
        reasons.append(why_grouped)
    return Guess(
        source=names,
        text=found,
        label=chosen.name,
        labels=chosen.counts,
        names=named[1] if named else {},
        group=group,
        splits=tuple(each for each in SPLITS if each in tables),
        split=split,
        rows={name: frame.height for name, frame in dataset.splits.items()} if dataset else {},
        test_labels=label_counts(dataset.splits["test"], dataset.labels) if dataset else {},
        texts=_texts(table, found),
        reasons=reasons,
        warnings=find_warnings(dataset) if dataset else [],
        problem=problem,
    )


def _beside(source: str, table: SourceTable) -> str:
    """The sibling's path, written as the given one is."""
    return str(Path(source).parent / Path(table.where).name)


def _check_given(table: SourceTable, text: Sequence[str], label: str | None) -> None:
    problems = column_problems(table, [*text, *([label] if label is not None else [])])
    if len(text) > 2:
        problems.append(f"--text is given {len(text)} times; give one text column, or two for a pair.")
    if len(set(text)) < len(text):
        problems.append(f'--text names "{text[0]}" twice. Give two different columns, or one.')
    if label is not None and label in text:
        problems.append(f'--label "{label}" is also given as --text. The label cannot be the text.')
    if problems:
        raise InputError("\n".join(problems))


def _guess_columns(
    table: SourceTable, text: tuple[str, ...], label: str | None, reasons: list[str]
) -> tuple[LabelColumn, tuple[str, ...]]:
    """The label column and the text columns; the surer of the two is found first."""
    if label is not None:
        chosen = given_label(table, label, reasons)
    else:
        chosen = guess_label(table, text or longest_text(table), reasons)
    if text:
        words = " and ".join(f'"{name}"' for name in text)
        reasons.append(f"{words} {'is the text' if len(text) == 1 else 'are the texts'}: --text says so.")
        return chosen, text
    return chosen, guess_text(table, chosen.name, reasons)


def _assembled(settings: DataSettings, tables: dict[str, SourceTable]) -> tuple[Dataset | None, str | None]:
    """The data as `compare` would have them, or why it would not take them."""
    try:
        return from_tables(settings, tables, []), None
    except InputError as error:
        return None, str(error)


def _texts(table: SourceTable, text: tuple[str, ...]) -> tuple[list[str], ...]:
    import polars as pl

    step = max(1, -(-table.frame.height // _SAMPLE))
    return tuple(table.frame[name].cast(pl.String).fill_null("").gather_every(step).to_list() for name in text)
