"""Text columns as keys of joins and groups, under names of their own.

polars takes a column's name such as ^a$ or * for a pattern, and users' columns may have any name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def keyed(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns, called 0, 1, ..: (rows, columns)."""
    import polars as pl

    return pl.DataFrame([frame[name].alias(str(i)) for i, name in enumerate(columns)])
