"""Text-classification data in memory, as every later stage sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from thriftune.results.profile import Dropped, Groups

if TYPE_CHECKING:
    import polars as pl


def label_counts(frame: pl.DataFrame, labels: tuple[str, ...]) -> dict[str, int]:
    """Rows by label, in class order, of a frame with label ids."""
    counts = np.bincount(frame["label"].to_numpy(), minlength=len(labels))
    return {label: int(count) for label, count in zip(labels, counts, strict=True)}


@dataclass(frozen=True)
class RobustnessSet:
    """A robustness set: a test set beyond the data's own; `frame` is as the frames of a `Dataset`'s splits."""

    source: str
    """As the study file names it."""
    frame: pl.DataFrame
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]
    fingerprint: str
    """SHA-256 over its name, used rows and labels."""


@dataclass(frozen=True)
class Dataset:
    """Labelled texts in splits.

    Every frame in `splits` (train, test, and validation where there is one) has the columns `example` (Int64, the
    row in its source, counted from 0 over all data rows, used or not), the text columns under the user's names
    (String), `label` (Int32, an index into `labels`) and the kept columns. A text column called "example" or "label"
    gets the suffix "_text".
    """

    name: str
    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    label_column: str
    splits: dict[str, pl.DataFrame]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]
    """What a user should know about how the data was read: guesses, limits, columns ignored."""
    fingerprint: str
    """SHA-256 over the used rows and labels of all splits."""
    padded_labels: tuple[str, ...] = ()
    """Labels as the source writes them with blanks around, which are removed."""
    group: Groups | None = None
    """Which test texts belong together; None where single texts count."""
    robustness: dict[str, RobustnessSet] = field(default_factory=dict)
    """Robustness sets by name; no part of the fingerprint."""

    @property
    def frames(self) -> dict[str, pl.DataFrame]:
        """The splits and the robustness sets, by name."""
        return self.splits | {name: each.frame for name, each in self.robustness.items()}
