"""Texts as Python programs hold them: lists, arrays, series and tables become a list of texts or of tuples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thriftune.errors import InputError

TWO_DIMENSIONAL = 2


def listed(texts: Any, columns: Sequence[str] | None = None) -> Any:
    """A numpy array, a polars or pandas Series or DataFrame, or an arrow array or Table as a list; else what is given.

    A table gives tuples: of the columns named `columns` where it has them, else of all of its columns. Raises
    `InputError` for a table of three columns or more without those.
    """
    if _is_table(texts):
        return _rows(texts, columns)
    for name in ("to_pylist", "to_list", "tolist"):  # arrow; polars and pandas; numpy
        convert = getattr(texts, name, None)
        if callable(convert):
            return _unpacked(convert()) if getattr(texts, "ndim", 1) == TWO_DIMENSIONAL else convert()
    return texts


def _unpacked(rows: list[Any]) -> list[Any]:
    """Rows of an array with two axes; a single column is no pair."""
    return [row[0] if len(row) == 1 else tuple(row) for row in rows]


def _is_table(texts: Any) -> bool:
    return hasattr(texts, "columns") and hasattr(texts, "shape") and len(texts.shape) == TWO_DIMENSIONAL


def _rows(table: Any, columns: Sequence[str] | None) -> list[Any]:
    names = [str(name) for name in (getattr(table, "column_names", None) or table.columns)]
    chosen = list(columns or ())
    if not chosen or not set(chosen) <= set(names):
        chosen = names
        if len(names) > TWO_DIMENSIONAL:
            wanted = f"the classifier's ({', '.join(columns)})" if columns else "one, or two for pairs"
            raise InputError(f"The table has {len(names)} columns: {', '.join(names[:10])}. Select {wanted}.")
    parts = [_column(table, names.index(name)) for name in chosen]
    return list(parts[0]) if len(parts) == 1 else list(zip(*parts, strict=True))


def _column(table: Any, place: int) -> list[Any]:
    """The values of a column of a pandas, polars or arrow table."""
    if hasattr(table, "iloc"):
        return list(table.iloc[:, place].tolist())
    if hasattr(table, "to_series"):
        return list(table.to_series(place).to_list())
    return list(table.column(place).to_pylist())
