"""Reads parquet files; dictionary-encoded columns are what their dictionary holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.data.table import Reading, Table
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq


def read_parquet(path: Path, reading: Reading) -> Table:
    """Reads the wanted columns; names of integer labels come from the hub's metadata, where it has some.

    Raises `InputError` for a damaged file and for columns of types that are not read.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as opened:
        try:
            file = pq.ParquetFile(opened)
            schema = file.schema_arrow
            names = tuple(schema.names)
            kept = [n for n in names if names.count(n) == 1 and (reading.wanted is None or n in reading.wanted)]
            table = _arrow(file, schema, kept, reading.limit)
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path} is not a readable parquet file: {error}") from error
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None and reading.wanted is None:
        raise InputError(f'{path}: the column "{twice}" occurs {names.count(twice)} times. Rename one.')
    frame = pl.DataFrame([_series(table.column(name), name, path) for name in kept])
    return Table(frame=frame, columns=names, where=str(path), label_names=_class_labels(schema))


def _arrow(file: pq.ParquetFile, schema: pa.Schema, kept: list[str], limit: int | None) -> pa.Table:
    import pyarrow as pa

    if limit is None:
        return file.read(columns=kept).select(kept)
    fields = pa.schema([schema.field(name) for name in kept])
    return pa.Table.from_batches(list(_batches(file, kept, limit)), schema=fields)


def _batches(file: pq.ParquetFile, kept: list[str], limit: int) -> Iterator[pa.RecordBatch]:
    left = limit
    for batch in file.iter_batches(batch_size=limit, columns=kept):
        yield batch.select(kept).slice(0, left)
        left -= min(left, batch.num_rows)
        if left == 0:
            return


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
