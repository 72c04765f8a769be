"""The rows that an evaluation scored, window by window into a parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from thriftune.results.scores import text_column


class ScoredRows:
    """Takes rows; without a writer they are forgotten."""

    def __init__(self, writer: Any, schema: Any, labels: Sequence[str]) -> None:
        self._writer, self._schema, self._labels = writer, schema, labels

    def add(self, rows: np.ndarray, texts: list[list[str]], truth: np.ndarray, probabilities: np.ndarray) -> None:
        """Rows' places in the file, texts (a list a column), label ids, and probabilities (rows, labels)."""
        if self._writer is None or not len(rows):
            return
        import pyarrow as pa

        named = [[self._labels[index] for index in ids] for ids in (truth, probabilities.argmax(axis=1))]
        arrays = [rows, *texts, *named, *probabilities.T]
        typed = [pa.array(array, kind) for array, kind in zip(arrays, self._schema.types, strict=True)]
        self._writer.write_batch(pa.record_batch(typed, schema=self._schema))


@contextmanager
def scored_rows(into: Path | None, columns: Sequence[str], labels: Sequence[str]) -> Iterator[ScoredRows]:
    """What writes scored rows to a parquet file, where one is named."""
    if into is None:
        yield ScoredRows(None, None, labels)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*map(text_column, columns), "label", "predicted"]
    fields = [("row", pa.int64()), *((name, pa.string()) for name in names)]
    schema = pa.schema([*fields, *((f"p_{label}", pa.float64()) for label in labels)])
    with pq.ParquetWriter(into, schema, compression="zstd") as writer:
        yield ScoredRows(writer, schema, labels)
