"""Guesses a study's `data:` part from a file, with a reason for each guess."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thriftune.data.labels import canonical_names, label_names, order_labels, without_gold
from thriftune.data.origins import find_path, read_source
from thriftune.data.settings import SPLITS, SplitSettings
from thriftune.data.table import Table
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl

_LABELS = ("label", "gold_label", "labels", "class", "category", "target", "sentiment", "intent", "topic")
_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("question", "answer"),
    ("question", "sentence"),
    ("query", "document"),
    ("text_a", "text_b"),
    ("text1", "text2"),
)
_MOST_CLASSES = 100
_SIZES = (32, 64, 128, 256, 512)
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Guess:
    """What `thriftune init` proposes for a file."""

    source: str
    text: tuple[str, ...]
    label: str
    labels: dict[str, int]
    """Rows of train by class, in class order."""
    splits: tuple[str, ...]
    """The splits that the source has."""
    split: SplitSettings | None
    """How to make the others; None where all are given."""
    max_tokens: int
    """Room for nearly all texts, from their length in characters."""
    reasons: list[str]
    """A sentence for each guess."""


def guess(path: str | Path) -> Guess:
    """Finds text and label columns, and how to split, for a file or folder (or demo:/hub: source).

    Raises `InputError` where no column fits, naming the columns.
    """
    source = str(path)
    if not source.startswith(("demo:", "hub:")):
        find_path(source, None)
    tables, notes = read_source(source)
    table = tables.get("train") or next(iter(tables.values()))
    reasons = [*notes, *table.notes]
    label, counts = _guess_label(table, reasons)
    text = _guess_text(table, label, reasons)
    return Guess(
        source=source,
        text=text,
        label=label,
        labels=counts,
        splits=tuple(split for split in SPLITS if split in tables),
        split=_guess_split(tables, text, reasons),
        max_tokens=_guess_max_tokens(table, text, reasons),
        reasons=reasons,
    )


def _guess_label(table: Table, reasons: list[str]) -> tuple[str, dict[str, int]]:
    candidates = {name: counts for name in table.frame.columns if (counts := _classes(table, name))}
    for known in _LABELS:
        for name, counts in candidates.items():
            if name.lower() == known:
                reasons.append(f'"{name}" is the label: its name says so, and it has {len(counts)} classes.')
                return name, counts
    fitting = {
        name: counts
        for name, counts in candidates.items()
        if not _is_id(name) and sum(counts.values()) >= 2 * len(counts)
    }
    if not fitting:
        raise InputError(
            f"No column of {table.where} looks like a label: none has a few values that repeat. Its columns: "
            f"{', '.join(table.columns)}. Write the study file by hand and name the label column."
        )
    name = min(fitting, key=lambda name: len(fitting[name]))
    reasons.append(f'"{name}" is the label: it has the fewest different values, {len(fitting[name])}.')
    return name, fitting[name]


def _classes(table: Table, name: str) -> dict[str, int]:
    """Rows by class, in class order; empty where the column cannot be a label."""
    try:
        declared = table.label_names.get(name)
        values = label_names(table.frame[name], declared).drop_nulls()
        known = set(values.unique().to_list())
        missing = without_gold(known, name, declared is not None)
        renamed = canonical_names(known - missing)
        if not 2 <= len(known - missing) <= _MOST_CLASSES:
            return {}
        counts: dict[str, int] = {}
        for value, count in values.alias("value").value_counts().iter_rows():
            if value not in missing:
                final = renamed.get(value, value)
                counts[final] = counts.get(final, 0) + count
        return {label: counts[label] for label in order_labels(counts, declared)}
    except InputError:
        return {}


def _guess_text(table: Table, label: str, reasons: list[str]) -> tuple[str, ...]:
    means = {
        name: length
        for name in table.frame.columns
        if name != label and not _is_id(name) and (length := _mean_length(table.frame[name])) > 0
    }
    lowered = {name.lower(): name for name in means}
    for pair in _PAIRS:
        if all(name in lowered for name in pair):
            found = tuple(lowered[name] for name in pair)
            reasons.append(f'"{found[0]}" and "{found[1]}" are the texts: their names are those of a pair.')
            return found
    if not means:
        raise InputError(
            f"No column of {table.where} looks like text. Its columns: {', '.join(table.columns)}. "
            "Write the study file by hand and name the text column."
        )
    name = max(means, key=lambda name: means[name])
    reasons.append(f'"{name}" is the text: on average its values are longest, {means[name]:.0f} characters.')
    return (name,)


def _mean_length(column: pl.Series) -> float:
    """Mean characters; 0 for columns that hold no text: numbers, or blanks."""
    import polars as pl

    if column.dtype not in (pl.String, pl.Categorical):
        return 0.0
    text = column.cast(pl.String).drop_nulls()
    if text.str.contains(r"^\s*[-+]?[\d.,:/T Z-]*$").all():
        return 0.0
    return float(np.mean(text.str.len_chars().to_numpy()))


def _is_id(name: str) -> bool:
    """Whether a column's name says that it identifies rows (id, pairID, user_id, captionID, uuid, index)."""
    words = name.replace("-", "_").split("_")
    last = words[-1].lower()
    return last in {"id", "ids", "uuid", "guid", "idx", "index", "key", "url"} or name.endswith(("ID", "Id"))


def _guess_split(tables: dict[str, Table], text: tuple[str, ...], reasons: list[str]) -> SplitSettings | None:
    missing = [split for split in SPLITS if split not in tables]
    if not missing:
        reasons.append("The source has train, validation and test.")
        return None
    group = None
    if len(text) == 2 and "train" in tables:
        first = tables["train"].frame[text[0]]
        group = text[0] if first.n_unique() < 0.9 * len(first) else None
    if "train" in missing:
        raise InputError(f"The source has no train split, only {', '.join(tables)}. Give the training file.")
    how = f'grouped by "{group}", whose values repeat' if group else "stratified by label"
    reasons.append(f"The source lacks {' and '.join(missing)}: made from train, {how}.")
    return SplitSettings(
        test=0.2 if "test" in missing else 0.0,
        validation=0.1 if "validation" in missing else 0.0,
        group_by=group,
    )


def _guess_max_tokens(table: Table, text: tuple[str, ...], reasons: list[str]) -> int:
    parts = [table.frame[name].fill_null("").str.len_chars().to_numpy() for name in text]
    characters = float(np.quantile(np.sum(parts, axis=0), 0.99))
    needed = characters / _CHARACTERS_PER_TOKEN + len(text) + 1
    size = next((size for size in _SIZES if size >= needed), _SIZES[-1])
    reasons.append(
        f"max_tokens {size}: 99% of the texts have at most {characters:,.0f} characters, about {needed:,.0f} tokens."
    )
    return size
