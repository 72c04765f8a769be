"""Reads a data file by its ending."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.data.delimited import read_csv, read_tsv
from thriftune.data.jsonl import read_jsonl
from thriftune.data.table import Table, Wanted
from thriftune.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


def read_file(path: Path, wanted: Wanted = None, limit: int | None = None) -> Table:
    """Reads a file by its ending; at most `limit` rows.

    Texts stay as they are: csv, tsv and txt columns are all strings. Raises `InputError` for an unknown ending,
    an empty file, a wrong encoding and malformed rows, naming file and line.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f'{path} ends in "{path.suffix}"; data files end in {", ".join(_READERS)}. '
            "Rename the file, or convert it to one of these."
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes). Give a file with a header and rows.")
    table = reader(path, wanted, limit)
    # A frame without columns has no height to judge by; the caller reports the columns that it misses.
    if not table.frame.height and (table.frame.width or not table.columns):
        raise InputError(f"{path} has no data rows{_header_only(table.columns)}.")
    return table


def is_data_file(path: Path) -> bool:
    """Whether the ending is one that `read_file` knows (hidden files and system leftovers are not data)."""
    return path.suffix.lower() in _READERS and not path.name.startswith((".", "_"))


def _header_only(columns: tuple[str, ...]) -> str:
    return f", only a header: {', '.join(columns)}" if columns else ""


def _read_parquet(path: Path, wanted: Wanted, limit: int | None) -> Table:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        kept = [name for name in names if wanted is None or name in wanted]
        frame = pl.scan_parquet(path).select(kept).head(limit).collect() if limit else None
        frame = pl.read_parquet(path, columns=kept) if frame is None else frame
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} is not a readable parquet file: {error}") from error
    return Table(frame=frame, columns=tuple(names), where=str(path), label_names=_class_labels(file.schema_arrow))


def _class_labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Names of integer labels that a parquet file from the hub carries in its metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return {
        name: tuple(feature["names"])
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature
    }


_READERS: dict[str, Callable[[Path, Wanted, int | None], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".txt": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".parquet": _read_parquet,
}
