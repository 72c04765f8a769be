"""Which texts belong together, by the values of a column of a table of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl


def group_ids(column: pl.Series) -> NDArray[np.int64]:
    """The group of each row, ids from 0 without gaps in order of appearance, shape (rows,).

    Equal values are one group, blanks around them left out; a row without a value, or with a blank one, is a group of
    its own.
    """
    numbers: dict[object, int] = {}
    keys = ((row, None) if value is None else value for row, value in enumerate(group_values(column).to_list()))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def group_values(column: pl.Series) -> pl.Series:
    """Values as text without blanks around them, null for none."""
    import polars as pl

    if column.dtype.is_float():
        column = column.fill_nan(None)
    return column.cast(pl.String).str.strip_chars().replace("", None)
