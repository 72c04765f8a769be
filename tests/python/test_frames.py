"""Tables in memory: what is read of each kind, what is refused, and that the files say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from thriftune.data.sources import read_source
from thriftune.errors import InputError
from thriftune.python.frames import WHOLE, is_frame, tables, write

COLUMNS = {"text": ["a", "b", None], "label": [1, 0, 1]}
KINDS: dict[str, Any] = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas with an index": lambda: pd.DataFrame(COLUMNS, index=[5, 5, 7]),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars, lazy": lambda: pl.LazyFrame(COLUMNS),
    "arrow": lambda: pa.table(COLUMNS),
    "an arrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "datasets": lambda: datasets.Dataset.from_dict(COLUMNS),
    "datasets, in another order": lambda: datasets.Dataset.from_dict(COLUMNS).select([2, 1, 0]).select([2, 1, 0]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind: str, tmp_path: Path) -> None:
    data = KINDS[kind]()
    assert is_frame(data)
    path = write(tables(data), tmp_path / "data", used=False)
    frame = read_source(str(path))[0]["train"].frame
    assert frame["text"].to_list() == COLUMNS["text"]
    assert frame["label"].to_list() == COLUMNS["label"]
    before = path.stat().st_mtime_ns
    assert write(tables(KINDS[kind]()), tmp_path / "data", used=True) == path
    assert path.stat().st_mtime_ns == before


def test_splits(tmp_path: Path) -> None:
    named = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    part = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=named)
    found = tables(datasets.DatasetDict({"dev": part, "train": part, "extra": part}))
    assert list(found.tables) == ["train", "validation"]
    assert "extra" in found.notes[0]
    read, _ = read_source(str(write(found, tmp_path / "data", used=False)))
    assert list(read) == ["train", "validation"]
    assert read["train"].label_names == {"label": ("no", "yes")}
    mixed = tables({"train": pd.DataFrame(COLUMNS), "test": pl.DataFrame(COLUMNS)})
    assert list(mixed.tables) == ["train", "test"]


def test_other_data(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(tables(pl.DataFrame({"x": [1.0, float("nan")]})), folder, used=False)
    write(tables(pl.DataFrame({"x": [1.0, float("nan")]})), folder, used=True)
    with pytest.raises(InputError, match="Name another folder"):
        write(tables(pl.DataFrame({"x": [1.0, 2.0]})), folder, used=True)
    path = write(tables(pl.DataFrame({"x": [3.0]})), folder, used=False)
    assert pl.read_parquet(path)["x"].to_list() == [3.0]
    split = {"train": pl.DataFrame({"x": [3.0]})}
    with pytest.raises(InputError, match="Name another folder"):
        write(tables(split), folder, used=True)


def test_columns_that_no_file_holds() -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "things": [object(), {1}], 3: [1, 2]})
    found = tables(frame)
    assert found.tables[WHOLE].column_names == ["text", "3"]
    assert '"things" is left out' in found.notes[0]
    with pytest.raises(InputError, match='"things" holds values of several kinds'):
        tables(frame, ["things"])
    assert "left out" in tables(pl.DataFrame({"a": ["x"], "b": pl.Series([object()], dtype=pl.Object)})).notes[0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "occurs 2 times"),
        (pd.DataFrame({"text": []}), "has no rows"),
        ({"test": pl.DataFrame(COLUMNS)}, "no train split"),
        ({"train": ["a"]}, "a list, which is no table"),
        ({}, "no train split"),
        (datasets.Dataset.from_dict(COLUMNS).to_iterable_dataset(), "streaming"),
        ([1, 2], "a list is given"),
    ],
)
def test_what_cannot_be_used(data: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        tables(data)
