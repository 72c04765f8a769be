"""What the data looks like: `profile` and `robustness` in `results.json`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from thriftune import wording as f

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Histogram:
    """Counts between consecutive edges (numpy's convention: the last bin is closed)."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class Box:
    """A Tukey box plot: whiskers end at the last point within 1.5 interquartile ranges."""

    low: float
    q1: float
    median: float
    q3: float
    high: float
    minimum: float
    maximum: float
    mean: float
    outliers: list[float]
    """A sample, for drawing."""
    outlier_count: int


@dataclass(frozen=True)
class Lengths:
    """Distribution of a text's length over all splits."""

    histogram: Histogram
    box: Box


@dataclass(frozen=True)
class TokenLengths:
    """Length in tokens as one model sees the texts, and the share that max_tokens cut, by split."""

    model: str
    max_tokens: int
    lengths: Lengths
    truncated_share: dict[str, float]


@dataclass(frozen=True)
class Dropped:
    """Rows of the source that could not be used."""

    split: str
    reason: str
    count: int


@dataclass(frozen=True)
class SharedText:
    """Texts that two splits share."""

    first: str
    second: str
    exact: int
    """Rows of `second` whose whole text also stands in `first`."""
    first_column: int | None
    """Pairs: rows of `second` whose first text (the premise) stands in `first`; None for single texts."""
    rows: int
    """Rows of `second`."""


@dataclass(frozen=True)
class Groups:
    """Which texts belong together: those with one value of a column (premise, author)."""

    column: str
    """As the study file names it."""
    stored_as: str
    """What test.parquet calls it."""
    groups: int
    """Different groups among the test texts; a text without a value is a group of its own."""
    texts: int
    """Test texts."""
    in_train: int | None
    """Test texts whose group has training texts too; None where train has no such column."""


@dataclass(frozen=True)
class DataWarning:
    """Something in the data that makes scores say less than they seem to, and what to do about it."""

    kind: Literal[
        "label_variants",
        "missing_label",
        "few_rows",
        "absent_label",
        "dominant_label",
        "numeric_labels",
        "shared_texts",
        "repeated_texts",
        "grouped_texts",
        "conflicting_labels",
        "truncation",
    ]
    message: str
    """What was found, in a sentence."""
    remedy: str
    """What to do, in a sentence; settings are written as in the study file."""
    share: float | None = None
    """Of the rows that it concerns among those looked at; None where it is about labels."""

    @property
    def text(self) -> str:
        """Both sentences."""
        return f"{self.message} {self.remedy}"


@dataclass(frozen=True)
class DataProfile:
    """What the data looks like: shown in the report, and never needed for training."""

    name: str
    fingerprint: str
    """SHA-256 over the used rows and labels of all splits."""
    text_columns: list[str]
    label_column: str
    labels: list[str]
    rows: dict[str, int]
    """By split: train, validation, test."""
    label_counts: dict[str, dict[str, int]]
    """By split, then label."""
    sample: list[dict[str, str]]
    """A few training rows: the text columns and the label."""
    characters: dict[str, Lengths]
    """By text column; for pairs also under "all" (both texts)."""
    tokens: list[TokenLengths]
    dropped: list[Dropped]
    shared: list[SharedText]
    notes: list[str]
    warnings: list[DataWarning] = field(default_factory=list)
    groups: Groups | None = None
    """None where single texts count."""

    def unusable(self) -> str | None:
        """How many rows of the source could not be used, and why; None where all could."""
        by_reason: Counter[str] = Counter()
        for each in self.dropped:
            by_reason[each.reason] += each.count
        if not by_reason:
            return None
        why = f.listing([f"{reason}: {f.count(count)}" for reason, count in by_reason.most_common()])
        return f"{f.plural(by_reason.total(), 'row')} of the source could not be used ({why})."


@dataclass(frozen=True)
class RobustnessProfile:
    """One robustness set."""

    source: str
    """As the study file names it."""
    rows: int
    label_counts: dict[str, int]
    dropped: list[Dropped]
    notes: list[str]
    fingerprint: str
    """SHA-256 over its name, used rows and labels."""


def group_ids(column: pl.Series) -> NDArray[np.int64]:
    """The group of each row, ids from 0 without gaps in order of appearance, shape (rows,).

    Equal values are one group, blanks around them left out; a row without a value, or with a blank one, is a group of
    its own.
    """
    import numpy as np

    numbers: dict[object, int] = {}
    keys = ((row, None) if value is None else value for row, value in enumerate(group_values(column).to_list()))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def group_values(column: pl.Series) -> pl.Series:
    """Values as text without blanks around them, null for none."""
    import polars as pl

    if column.dtype.is_float():
        column = column.fill_nan(None)
    return column.cast(pl.String).str.strip_chars().replace("", None)
