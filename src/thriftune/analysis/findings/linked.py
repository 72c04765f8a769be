"""Which texts of two sets have a value in common, as numbers."""

from __future__ import annotations

import numpy as np
import polars as pl

from thriftune.analysis.statistics.drops import Ids


def coded(first: pl.DataFrame, second: pl.DataFrame, columns: list[str]) -> tuple[Ids, Ids]:
    """The texts of two sets as one number for each value of a column, from 1 on: (texts, columns) each."""
    both = pl.concat([frame[columns].cast(pl.String) for frame in (first, second)])
    codes = both.select(pl.all().rank("dense")).to_numpy().astype(np.int64)
    return codes[: first.height], codes[first.height :]
