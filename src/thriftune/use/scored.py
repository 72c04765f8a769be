"""The rows that an evaluation scored, window by window into a parquet file; and their place in the study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.results.evaluation import Evaluated, FurtherTest, further_name, text_column

if TYPE_CHECKING:
    from thriftune.results.store import Store
    from thriftune.use.evaluate import Evaluation
    from thriftune.use.source import Source


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


def study_of(source: Source) -> Store | None:
    """The study whose report has the classifier's run; None where it lies in none."""
    if source.results is None or source.record is None:
        return None
    known = {run.run_id for run in source.results.done}
    return source.results.store if source.record.run_id in known else None


def add_to_study(source: Source, found: Evaluation, predictions: Path, name: str | None) -> FurtherTest:
    """Stores an evaluation beside the study that `study_of` gives; the same file again takes its place."""
    store, record = study_of(source), source.record
    assert store is not None
    assert record is not None
    file = found.file if found.file == "-" else str(Path(found.file).absolute())
    own = Evaluated(
        run_id=record.run_id,
        run=record.name,
        rows=found.rows,
        accuracy=found.accuracy,
        accuracy_interval_95=found.accuracy_interval_95,
        macro_f1=found.macro_f1,
        not_scored=found.not_scored,
    )
    test = FurtherTest(
        name=name or further_name(file, store.evaluations()),
        file=file,
        fingerprint=found.fingerprint,
        columns=list(found.columns),
        label=found.label,
        runs=[own],
    )
    return store.write_evaluation(test, record.run_id, predictions)
