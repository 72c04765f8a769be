"""Tables in memory as a study's data: written as parquet files, one per split, so that the study file says it all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.data.settings import SPLITS
from thriftune.data.splits.names import split_of
from thriftune.errors import InputError
from thriftune.results.files import delete, write_atomic

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = "table"
"""What the file of a table without splits is called."""
KINDS = {
    "pandas": ("DataFrame",),
    "polars": ("DataFrame", "LazyFrame"),
    "pyarrow": ("Table", "RecordBatch"),
    "datasets": ("Dataset", "DatasetDict", "IterableDataset", "IterableDatasetDict"),
}
WANTED = (
    "a study, a study file or its output folder, a data file or folder, a pandas or polars DataFrame, a pyarrow Table, "
    "a datasets.Dataset or DatasetDict, or one of these per split: {'train': ..., 'test': ...}"
)


@dataclass(frozen=True)
class Tables:
    """Data in memory, as arrow tables."""

    tables: dict[str, pa.Table]
    """By split; a single table is under `WHOLE`."""
    notes: tuple[str, ...]
    """What was left out, and why."""
    name: str | None
    """What the data are called, where they say so."""


def is_frame(data: object) -> bool:
    """Whether it is a table in memory, or a mapping of splits to tables."""
    return kind(data) is not None or isinstance(data, Mapping)


def kind(data: object) -> str | None:
    """`pandas.DataFrame` and the like, derived classes included; None for what is no table."""
    for cls in type(data).__mro__:
        root = cls.__module__.partition(".")[0]
        if cls.__name__ in KINDS.get(root, ()):
            return f"{root}.{cls.__name__}"
    return None


def tables(data: object, needed: Collection[str] = ()) -> Tables:
    """The tables of data in memory. Columns that no parquet file holds are left out, with a note.

    Raises `InputError` where one of the `needed` columns is among them, where a name stands twice, for streams of
    unknown length, for no rows, and for what is no table.
    """
    notes: list[str] = []
    if kind(data) == "datasets.DatasetDict" or (kind(data) is None and isinstance(data, Mapping)):
        assert isinstance(data, Mapping)
        found = _by_split(data, needed, notes)
    else:
        found = {WHOLE: _table(data, "the table", needed, notes)}
    return Tables(found, tuple(notes), _name(data))


def write(found: Tables, folder: Path, used: bool) -> Path:
    """Writes `table.parquet`, or one file per split, and returns what a study names: the file, or the folder.

    Files of the same content stay. Where the folder holds other data it is made anew; raises `InputError` where
    those are `used`, by results that lie beside them.
    """
    import pyarrow.parquet as pq

    names = {f"{name}.parquet" for name in found.tables}
    others = [path.name for path in folder.glob("*") if path.name not in names] if folder.is_dir() else []
    other = others or [name for name, table in found.tables.items() if not _holds(folder / f"{name}.parquet", table)]
    if other and used:
        raise InputError(
            f"{folder.parent} holds results on other data than those given now, which would not be comparable. Name "
            "another folder (out=...), or remove this one if its results are no longer needed."
        )
    if other:
        delete(folder)
    for name, table in found.tables.items():
        path = folder / f"{name}.parquet"
        if not path.exists():
            write_atomic(path, _writer(pq.write_table, table))
    return folder / f"{WHOLE}.parquet" if WHOLE in found.tables else folder


def _writer(write_table: Callable[..., object], table: pa.Table) -> Callable[[Path], object]:
    return lambda path: write_table(table, str(path), compression="zstd")


def _holds(path: Path, table: pa.Table) -> bool:
    """Whether a file is what writing the table gives, whatever release of pyarrow wrote it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return False
    try:
        there = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError, ValueError):
        return False
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    now = pq.ParquetFile(pa.BufferReader(sink.getvalue())).read()
    # Missing numbers are NaN in pandas, which equals nothing: their bytes do.
    return bool(there.schema.equals(now.schema) and (there.equals(now) or _stream(there) == _stream(now)))


def _stream(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    whole = table.combine_chunks()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    return bytes(sink.getvalue())


def _by_split(data: Mapping[Any, Any], needed: Collection[str], notes: list[str]) -> dict[str, pa.Table]:
    found: dict[str, pa.Table] = {}
    for key, part in data.items():
        if kind(part) is None:
            raise InputError(f"{key!r} is {_shown(part)}, which is no table; give {WANTED}.")
        split = split_of(str(key))
        if split is None or split in found:
            notes.append(f'The split "{key}" is not used: a study has train, validation and test.')
            continue
        found[split] = _table(part, f'the split "{key}"', needed, notes)
    if "train" not in found:
        given = ", ".join(map(str, data)) or "none"
        raise InputError(f"There is no train split; the splits given are: {given}. Give {{'train': ..., 'test': ...}}.")
    return {split: found[split] for split in SPLITS if split in found}


def _table(data: object, where: str, needed: Collection[str], notes: list[str]) -> pa.Table:
    found = kind(data)
    if found is None:
        raise InputError(f"{_shown(data)} is given; give {WANTED}.")
    if "Iterable" in found:
        raise InputError(f"{where} is a stream ({found}), whose length is not known. Load it without streaming=True.")
    if found.endswith("DatasetDict"):
        raise InputError(f"{where} has splits of its own; give one table per split.")
    table = _READERS[found](data, where, needed, notes)
    if not table.num_rows:
        raise InputError(f"{where} has no rows.")
    return table


def _from_pandas(data: Any, where: str, needed: Collection[str], notes: list[str]) -> pa.Table:
    import pyarrow as pa

    columns = [(str(name), data.iloc[:, place]) for place, name in enumerate(data.columns)]
    return _assembled(columns, pa.array, where, needed, notes)


def _from_polars(data: Any, where: str, needed: Collection[str], notes: list[str]) -> pa.Table:
    import polars as pl

    def convert(series: pl.Series) -> Any:
        if series.dtype == pl.Object:
            raise TypeError("they are Python objects")
        return series.to_arrow()

    frame = data.collect() if isinstance(data, pl.LazyFrame) else data
    return _assembled([(s.name, s) for s in frame.get_columns()], convert, where, needed, notes)


def _from_arrow(data: Any, where: str, needed: Collection[str], notes: list[str]) -> pa.Table:
    import pyarrow as pa

    table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
    _check_names(table.column_names, where)
    return table


def _from_datasets(data: Any, where: str, needed: Collection[str], notes: list[str]) -> pa.Table:
    table = data.with_format("arrow")[:]
    # It holds the names of classes that are numbers.
    return table.replace_schema_metadata(data.features.arrow_schema.metadata)


_READERS: dict[str, Callable[[Any, str, Collection[str], list[str]], Any]] = {
    "pandas.DataFrame": _from_pandas,
    "polars.DataFrame": _from_polars,
    "polars.LazyFrame": _from_polars,
    "pyarrow.Table": _from_arrow,
    "pyarrow.RecordBatch": _from_arrow,
    "datasets.Dataset": _from_datasets,
}


def _assembled(
    columns: list[tuple[str, Any]],
    convert: Callable[[Any], Any],
    where: str,
    needed: Collection[str],
    notes: list[str],
) -> pa.Table:
    """A table of those columns that arrow holds; the others are noted."""
    import polars as pl
    import pyarrow as pa

    _check_names([name for name, _ in columns], where)
    found = {}
    for name, values in columns:
        try:
            found[name] = convert(values)
        except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            why = str(error).splitlines()[0][:120]
            if name in needed:
                raise InputError(
                    f'{where}: the column "{name}" holds values of several kinds, or of one that no file holds '
                    f"({why}). Make them all text, or all numbers."
                ) from error
            notes.append(f'{where}: the column "{name}" is left out, since no parquet file holds its values ({why}).')
    return pa.table(found)


def _check_names(names: list[str], where: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f'{where}: the column "{twice}" occurs {names.count(twice)} times. Rename one.')


def _name(data: object) -> str | None:
    """What a datasets.Dataset says that it is called."""
    first = next(iter(data.values()), None) if isinstance(data, Mapping) else data
    found = getattr(getattr(first, "info", None), "dataset_name", None) if kind(first) == "datasets.Dataset" else None
    return str(found) if found else None


def _shown(data: object) -> str:
    return f"a {type(data).__name__}"
