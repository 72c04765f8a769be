"""Guesses a study's `data:` part from a file, with a reason for each guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thriftune.data.columns import column_problems, resolve
from thriftune.data.dataset import Dataset
from thriftune.data.guess.candidates import (
    ABOUT,
    LabelColumn,
    is_id,
    is_prose,
    label_column,
    label_columns,
    name_words,
    text_lengths,
)
from thriftune.data.guess.shares import shares
from thriftune.data.guess.siblings import siblings
from thriftune.data.labels import label_names, order_labels
from thriftune.data.load import from_tables
from thriftune.data.plug_ins import scheme_of
from thriftune.data.settings import SPLITS, DataSettings, SplitSettings
from thriftune.data.sources import find_path, read_source
from thriftune.data.splits.by_column import split_values
from thriftune.data.splits.names import split_of
from thriftune.data.table import Table
from thriftune.data.targets import ONE_LABEL
from thriftune.data.warnings import find_warnings
from thriftune.errors import InputError
from thriftune.results.profile import DataWarning

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
_SPLIT_WORDS = {"split", "partition", "fold", "set", "subset", "usage"}
_TRUE = {"1", "1.0", "true"}
_SAMPLE = 2000
_SHOWN = 6


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
    split = _guess_split(tables, found, len(chosen.counts), reasons)
    dataset, problem = _assembled(names, found, chosen.name, split, tables)
    return Guess(
        source=names,
        text=found,
        label=chosen.name,
        labels=chosen.counts,
        splits=tuple(each for each in SPLITS if each in tables),
        split=split,
        rows={name: frame.height for name, frame in dataset.splits.items()} if dataset else {},
        texts=_texts(table, found),
        reasons=reasons,
        warnings=find_warnings(dataset) if dataset else [],
        problem=problem,
    )


def _beside(source: str, table: Table) -> str:
    """The sibling's path, written as the given one is."""
    return str(Path(source).parent / Path(table.where).name)


def _check_given(table: Table, text: Sequence[str], label: str | None) -> None:
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
    table: Table, text: tuple[str, ...], label: str | None, reasons: list[str]
) -> tuple[LabelColumn, tuple[str, ...]]:
    """The label column and the text columns; the surer of the two is found first."""
    if label is not None:
        chosen = _given_label(table, label, reasons)
    else:
        chosen = _guess_label(table, text or _longest(table), reasons)
    if text:
        words = " and ".join(f'"{name}"' for name in text)
        reasons.append(f"{words} {'is the text' if len(text) == 1 else 'are the texts'}: --text says so.")
        return chosen, text
    return chosen, _guess_text(table, chosen.name, reasons)


def _longest(table: Table) -> tuple[str, ...]:
    """The column that is text whatever the label is: the longest one that no name makes a label."""
    lengths = text_lengths(table)
    free = {name: length for name, length in lengths.items() if not _is_named_label(table, name)}
    pair = _pair(free)
    return pair or ((max(free, key=lambda name: free[name]),) if free else ())


def _is_named_label(table: Table, name: str) -> bool:
    column = label_column(table, name)
    return column.named and (column.possible or column.problem is not None)


def _given_label(table: Table, name: str, reasons: list[str]) -> LabelColumn:
    column = label_column(table, name)
    if not column.counts:
        values = label_names(table.frame[name], table.label_names.get(name)).drop_nulls()
        if not len(values):
            raise InputError(f'The column "{name}" of {table.where} is blank. Give another label column.')
        order_labels(values.unique().to_list(), table.label_names.get(name))  # says what is wrong with them
        raise InputError(f'The column "{name}" of {table.where} holds no classes. Give another label column.')
    reasons.append(f'"{name}" is the label: --label says so; it has {len(column.counts)} classes.')
    return column


def _guess_label(table: Table, text: tuple[str, ...], reasons: list[str]) -> LabelColumn:
    columns = label_columns(table, text)
    possible = [column for column in columns if column.possible and not _is_split(table, column)]
    best = possible[0] if possible else None
    measured = [column for column in columns if column.measured and not (is_id(column.name) and not column.named)]
    if best is None or not best.named or best in measured:
        _refuse_measured(table, measured, best, possible)
    flags = _several(possible, best)
    if flags:
        what = "one label spread over columns (one-hot)" if _one_hot(table, flags) else "several labels per text"
        raise InputError(
            f"{table.where} has {len(flags)} columns of zeros and ones ({_listed([c.name for c in flags])}): {what}, "
            f"as in multi-label data. {ONE_LABEL}, from one column: --label {_shell(flags[0].name)} takes one"
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
        listed = _listed([column.values for column in possible[1:]])
        reasons.append(f"Other columns that could be the label: {listed}; --label COLUMN takes one of them.")
    for column in measured:
        if column is not best:
            reasons.append(f'"{column.name}" is not taken: it holds {column.measured}.')
    return best


def _candidates(possible: list[LabelColumn], measured: LabelColumn) -> str:
    """What could be done instead, as the end of a message."""
    others = [column.values for column in possible if column is not measured]
    if others:
        return f" Columns of classes: {_listed(others)}; --label COLUMN takes one."
    if measured.counts:
        return f" --label {_shell(measured.name)} takes each number as a class."
    return " Give a file with a column of classes."


def _refuse_measured(
    table: Table, measured: list[LabelColumn], best: LabelColumn | None, possible: list[LabelColumn]
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


def _several(possible: list[LabelColumn], best: LabelColumn | None) -> list[LabelColumn]:
    """The columns of zeros and ones among those that are as likely as the best; empty where there is one at most."""
    if best is None or best.rank[0] == 0:
        return []
    tier = [column for column in possible if column.rank[0] == best.rank[0]]
    binary = [column for column in tier if column.binary]
    if best.named and not best.binary:
        return []
    return binary if len(binary) > 1 else []


def _one_hot(table: Table, flags: list[LabelColumn]) -> bool:
    """Whether exactly one of the columns is 1 (or true) in every row."""
    columns = [table.frame[column.name].cast(str).to_list() for column in flags]
    return all(sum(str(value).strip().lower() in _TRUE for value in row) == 1 for row in zip(*columns, strict=True))


def _further(possible: list[LabelColumn], flags: list[LabelColumn]) -> str:
    rest = [column.values for column in possible if column not in flags]
    return f"; other columns of classes: {_listed(rest)}" if rest else ""


def _is_split(table: Table, column: LabelColumn) -> bool:
    """Whether the column says which split a row is of."""
    return bool(_SPLIT_WORDS & set(name_words(column.name))) and _names_splits(table, column.name)


def _names_splits(table: Table, name: str) -> bool:
    values = split_values(table, name)
    known = sum(count for value, count in values.items() if split_of(value) is not None)
    return known > 0.9 * max(1, sum(values.values()))


def _pair(lengths: dict[str, float]) -> tuple[str, ...]:
    """The two columns whose names are those of a pair; empty where there are none."""
    lowered = {name.lower(): name for name in lengths}
    for pair in _PAIRS:
        if all(name in lowered for name in pair):
            return tuple(lowered[name] for name in pair)
    return ()


def _guess_text(table: Table, label: str, reasons: list[str]) -> tuple[str, ...]:
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
        listed = _listed([f'"{other}" ({lengths[other]:.0f} characters)' for other in others])
        reasons.append(
            f"Other columns of text: {listed}; {' '.join(f'--text {_shell(column)}' for column in both)} takes two as "
            "a pair, --text COLUMN another one alone."
        )
    return (name,)


def _guess_split(
    tables: dict[str, Table], text: tuple[str, ...], classes: int, reasons: list[str]
) -> SplitSettings | None:
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
    group = None
    if len(text) == 2 and "train" in tables:
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
    return SplitSettings(
        test=made.test,
        validation=made.validation,
        column=column,
        group_by=group,
    )


def _split_column(tables: dict[str, Table]) -> str | None:
    """The column of a single file that says each row's split: train and at least one other."""
    if set(tables) != {"train"}:
        return None
    table = tables["train"]
    for name in table.frame.columns:
        if _SPLIT_WORDS & set(name_words(name)) and _names_splits(table, name):
            splits = {split_of(value) for value in split_values(table, name)}
            if "train" in splits and splits & {"test", "validation"}:
                return name
    return None


def _assembled(
    source: str | dict[str, str],
    text: tuple[str, ...],
    label: str,
    split: SplitSettings | None,
    tables: dict[str, Table],
) -> tuple[Dataset | None, str | None]:
    """The data as `compare` would have them, or why it would not take them."""
    settings = DataSettings(source=source, text=text, label=label, split=split or "given")
    try:
        return from_tables(settings, tables, []), None
    except InputError as error:
        return None, str(error)


def _texts(table: Table, text: tuple[str, ...]) -> tuple[list[str], ...]:
    import polars as pl

    step = max(1, -(-table.frame.height // _SAMPLE))
    return tuple(table.frame[name].cast(pl.String).fill_null("").gather_every(step).to_list() for name in text)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _shell(name: str) -> str:
    """A column's name as an argument."""
    import shlex

    return shlex.quote(name)
