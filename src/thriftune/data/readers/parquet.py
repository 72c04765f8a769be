"""Reads parquet files; dictionary-encoded columns are what their dictionary holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.data.large import arrays
from thriftune.data.large.tables import ROWS, Parts
from thriftune.data.table import ReadOptions, SourceTable
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq


def read_parquet(path: Path, reading: ReadOptions) -> SourceTable:
    """Reads the wanted columns; names of integer labels come from the hub's metadata, where it has some.

    Raises `InputError` for a damaged file and for columns of types that are not read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as opened:
        try:
            file = pq.ParquetFile(opened)
            schema = file.schema_arrow
            names = tuple(schema.names)
            kept = [n for n in names if names.count(n) == 1 and reading.wants(n)]
            large = (
                sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
                > arrays.LARGE_BYTES
            )
            frame = _part_by_part(file, kept, path) if large else _frame(file.read(columns=kept), kept, path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path} is not a readable parquet file: {error}") from error
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None and reading.wanted is None:
        raise InputError(f'{path}: the column "{twice}" occurs {names.count(twice)} times. Rename one.')
    return SourceTable(frame=frame, columns=names, where=str(path), label_names=_class_labels(schema))


def _part_by_part(file: pq.ParquetFile, names: list[str], path: Path) -> pl.DataFrame:
    """The same of a large file, some rows at a time."""
    import polars as pl
    import pyarrow as pa

    parts = Parts()
    try:
        for batch in file.iter_batches(batch_size=ROWS, columns=names):
            parts.add(_frame(pa.Table.from_batches([batch]), names, path))
        frame = parts.finished()
    finally:
        parts.drop()
    return pl.DataFrame() if frame is None else frame


def _frame(table: pa.Table, names: list[str], path: Path) -> pl.DataFrame:
    import polars as pl

    table = table.select(names)
    table.validate(full=True)
    return pl.DataFrame([_series(table.column(name), name, path) for name in names])


def _series(column: pa.ChunkedArray, name: str, path: Path) -> pl.Series:
    import polars as pl
    import pyarrow as pa

    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_null(column.type):
            column = column.cast(pa.string())
        series = pl.Series(name, column)
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise InputError(f'{path}: the column "{name}" of type {column.type} cannot be read: {error}') from error
    return series.cast(pl.String) if series.dtype in (pl.Categorical, pl.Enum) else series


def _class_labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Names of integer labels that a parquet file from the hub carries in its metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: tuple(str(label) for label in feature["names"])
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
