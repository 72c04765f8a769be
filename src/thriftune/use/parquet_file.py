"""Reads a parquet file in windows, as many rows in memory as one has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from thriftune.errors import InputError
from thriftune.use.rows import CHARACTERS, WINDOW, Window

BUFFER = 1 << 20


class ParquetFile:
    """Rows of parquet; each window is a batch of Arrow, so that further columns keep their types."""

    quoted = True
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path} is not a readable parquet file: {error}") from error
        self.schema = file.schema_arrow
        self.names = tuple(self.schema.names)

    def windows(self, skip: int) -> Iterator[Window]:
        """As `Rows` says."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self.path, buffer_size=BUFFER, pre_buffer=False) as file:
                total, done, group = file.metadata.num_rows, 0, 0
                while group < file.num_row_groups and done + file.metadata.row_group(group).num_rows <= skip:
                    done += file.metadata.row_group(group).num_rows
                    group += 1
                left = skip - done
                groups = list(range(group, file.num_row_groups))
                for batch in file.iter_batches(batch_size=WINDOW, row_groups=groups) if groups else ():
                    kept = batch.slice(min(left, batch.num_rows))
                    left -= batch.num_rows - kept.num_rows
                    done += batch.num_rows
                    step = max(1, min(WINDOW, kept.num_rows * CHARACTERS // max(1, kept.nbytes)))
                    for start in range(0, kept.num_rows, step):
                        part = kept.slice(start, step)
                        yield Window([None] * part.num_rows, [""] * part.num_rows, done / max(1, total), part)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{self.path} is damaged: {error}") from error
