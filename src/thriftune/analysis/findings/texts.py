"""Texts as table cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thriftune.analysis.display.panel import Column
from thriftune.results.store import Results

LONGEST = 300
"""Characters of a text that a table shows."""


def text_columns(results: Results) -> list[Column]:
    """A table's columns for the texts, headed by the names that the user gave them."""
    return [Column(f"text{i}", name) for i, name in enumerate(results.study.profile.text_columns)]


def text_cells(results: Results, frame: pl.DataFrame, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """For some rows of a frame of texts: `example` and the texts by column name, cut where they are very long."""
    names = results.study.profile.text_columns
    taken = frame[rows]
    return [
        {"example": str(example)} | {f"text{i}": _cut(text) for i, text in enumerate(texts)}
        for example, *texts in taken[["example", *names]].iter_rows()
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
