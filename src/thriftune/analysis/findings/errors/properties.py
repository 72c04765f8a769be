"""Properties that divide the texts of any dataset: lengths, overlap, negation, numbers, label, kept columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.findings.errors.error_matrix import Mask
from thriftune.analysis.findings.errors.negation import language
from thriftune.analysis.findings.errors.vocabulary import WORD, Vocabulary
from thriftune.results.store import Results

BINS = 5
"""A number is divided into so many ranges of about as many texts each."""
LABEL = "label"
"""The property that is the true label."""
MAX_VALUES = 20
"""Kept columns with more values than this are divided only if they are numbers."""


@dataclass(frozen=True)
class Part:
    """Some of the texts, by one property."""

    property: str
    name: str
    texts: Mask
    finest: bool = True
    """Whether it is a single value or range of its property, rather than several ranges joined."""


def parts(results: Results, known: Vocabulary) -> list[Part]:
    """Every part of the test texts that a property defines."""
    columns = results.study.profile.text_columns
    frame = results.test
    out: list[Part] = []
    for column in columns:
        words = frame[column].cast(pl.String).str.count_matches(WORD).fill_null(0).to_numpy().astype(np.float64)
        out += ranges(f"length of {column}", words, "{} words")
    if len(columns) == 2:
        first, second = columns
        out += ranges(f"overlap with {first}", overlap(known, first, second), f"{{}} of {second}'s words", _rounded)
    for column in columns:
        out += _flags(frame[column].cast(pl.String).fill_null(""), column, known)
    out += values(LABEL, frame["label"].cast(pl.String), "label {}")
    for column in frame.columns:
        if column not in (*columns, "example", "label"):
            out += kept(column, frame[column])
    return out


def _rounded(share: float) -> str:
    return f.percent(share, 0)


def overlap(known: Vocabulary, first: str, second: str) -> NDArray[np.float64]:
    """Share of the distinct words of the second column that stand in the first too; 0 without words. (texts,)"""
    held, of = known.columns[first], known.columns[second]
    words = np.asarray(of.sum(axis=1)).ravel().astype(np.float64)
    both = np.asarray(held.multiply(of).sum(axis=1)).ravel()
    return np.asarray(np.divide(both, words, out=np.zeros(len(words)), where=words > 0))


def ranges(property: str, numbers: NDArray[np.float64], name: str, write: Any = f.count) -> list[Part]:
    """Quantile ranges of a number, and all unions of neighbouring ranges but the whole."""
    if not len(numbers):
        return []
    edges = np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS, method="lower"))
    bins = np.searchsorted(edges, numbers, side="left")
    count = int(bins.max()) + 1
    out = []
    for low in range(count):
        for high in range(low, count):
            texts = (bins >= low) & (bins <= high)
            if not texts.any() or high - low == count - 1:
                continue
            ends = [write(float(end)) for end in (numbers[texts].min(), numbers[texts].max())]
            span = f"{ends[0]} to {ends[1]}" if ends[0] != ends[1] else ends[0]
            span = f"at most {ends[1]}" if low == 0 and ends[0] != ends[1] else span
            span = f"at least {ends[0]}" if high == count - 1 and ends[0] != ends[1] else span
            out.append(Part(property, f"{property}: {name.format(span)}", texts, finest=low == high))
    return out


def values(property: str, column: pl.Series, name: str) -> list[Part]:
    """One part for each value of a column; a missing value is none."""
    found = column.drop_nulls().unique().sort().to_list()
    return [Part(property, name.format(value), (column == value).fill_null(False).to_numpy()) for value in found]


def kept(name: str, column: pl.Series) -> list[Part]:
    """The parts that a column of any type defines; none where it has many values that are no numbers."""
    count = column.n_unique()
    if count < 2:
        return []
    if count <= MAX_VALUES and not column.dtype.is_nested():
        text = column.cast(pl.String)
        return [Part(name, f"{name}: {value}", part.texts) for value, part in _named(text, values(name, text, "{}"))]
    if column.dtype.is_numeric() and column.null_count() == 0:
        return ranges(name, column.cast(pl.Float64).to_numpy(), "{}", f.number)
    return []


def _named(text: pl.Series, found: list[Part]) -> list[tuple[str, Part]]:
    return list(zip(text.drop_nulls().unique().sort().to_list(), found, strict=True))


def _flags(texts: pl.Series, column: str, known: Vocabulary) -> list[Part]:
    """With and without a number, and a negation where the language is known."""
    out = []
    patterns = {"number": r"\d"}
    if found := language(known):
        patterns["negation"] = found.pattern
    for what, pattern in patterns.items():
        mask = texts.str.to_lowercase().str.contains(pattern).to_numpy()
        if mask.any() and not mask.all():
            out.append(Part(f"{what} in {column}", f"{column} with a {what}", mask))
            out.append(Part(f"{what} in {column}", f"{column} without a {what}", ~mask))
    return out
