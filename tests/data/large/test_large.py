"""Large data lies in files without a name: the same data, and memory that hardly grows with it."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.tiny_models import model_folder

from thriftune.data.columns import repeated_rows, rows_in_both
from thriftune.data.large import arrays, tables
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.data.tokens import Tokens, encode
from thriftune.errors import InputError
from thriftune.models.pretrained.tokenizer import load_tokenizer


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything counts as large, in parts of a few rows."""
    monkeypatch.setattr(arrays, "LARGE_BYTES", 0)
    for place in ("large.tables", "readers.grid", "readers.parquet", "readers.json_columns"):
        monkeypatch.setattr(f"thriftune.data.{place}.ROWS", 7)
    monkeypatch.setattr("thriftune.data.columns.MANY_ROWS", 0)
    return


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"text": f"text {i % (count - 5)} \U0001f600 of many", "label": "abc"[i % 3], "group": f"g{i % 11}"}
        for i in range(count)
    ]


def written(folder: Path, ending: str, count: int = 200) -> Path:
    path, data = folder / f"data.{ending}", rows(count)
    frame = pl.DataFrame(data)
    if ending == "csv":
        frame.write_csv(path)
    elif ending == "parquet":
        frame.write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    return path


def settings(path: Path, **further: str) -> DataSettings:
    split = SplitSettings(test=0.2, validation=0.1, **further)
    return DataSettings(source=str(path), text=("text",), label="label", split=split)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("grouped", [{}, {"group_by": "group"}])
def test_streamed_data_are_the_same(
    ending: str, grouped: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = written(tmp_path, ending)
    expected = load_dataset(settings(path, **grouped))
    request.getfixturevalue("small")
    found = load_dataset(settings(path, **grouped))
    assert found.fingerprint == expected.fingerprint
    for split, frame in expected.splits.items():
        assert found.splits[split].equals(frame)
        assert found.splits[split].n_chunks() > 1, "it is read part by part"


def test_json_of_mixed_values_is_read_as_before(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "mixed.jsonl"
    values = [*(str(i) for i in range(20)), 3, None, 4.0, *("x" for _ in range(20))]
    data = [{"text": f"t{i}", "label": "ab"[i % 2], "extra": value} for i, value in enumerate(values)]
    path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    from thriftune.data.readers.formats import read_file

    expected = read_file(path).frame
    request.getfixturevalue("small")
    assert read_file(path).frame.equals(expected)


@pytest.mark.parametrize(
    "values",
    [
        [*range(20), None, 3],
        [None] * 9 + [1.5, 2.0, None] * 6,
        [True, None, False] * 8,
        [*range(20), 2**63],
        [*range(20), 0.5],
        [*(True for _ in range(20)), 1],
        [*("a" for _ in range(20)), True],
    ],
)
def test_json_of_numbers_is_read_as_before(values: list[object], tmp_path: Path, small: None) -> None:
    from thriftune.data.readers.formats import read_file

    def read() -> pl.DataFrame | str:
        try:
            return read_file(path).frame
        except InputError as error:
            return str(error)

    path = tmp_path / "numbers.jsonl"
    data = [{"text": f"t{i}", "label": "ab"[i % 2], "extra": value} for i, value in enumerate(values)]
    path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    found = read()
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr("thriftune.data.readers.json_columns.ROWS", 1000)
        expected = read()
    assert type(found) is type(expected)
    assert found.equals(expected) if isinstance(expected, pl.DataFrame) else found == expected


@pytest.mark.parametrize(
    "further",
    [
        {"limit": {"train": 40, "test": 9}},
        {"labels": {"a": "d", "b": None}},
        {"deduplicate": True},
        {"keep": ("number", "group")},
        {"split": SplitSettings(column="part")},
        {"split": SplitSettings(test=0.2, validation=0.1, stratify=False)},
    ],
)
def test_rows_that_go_are_the_same_part_by_part(
    further: dict[str, object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data: list[dict[str, object]] = [
        {**row, "number": i, "part": ("train", "train", "dev", "test", "?")[i * 7 % 5]}
        for i, row in enumerate(rows(200))
    ]
    for i in range(0, 200, 9):
        data[i]["text"] = (" ", None, "\t")[i % 3]
    for i in range(4, 200, 13):
        data[i]["label"] = (None, "")[i % 2]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    asked = replace(settings(path), **further)  # type: ignore[arg-type]
    expected = load_dataset(asked)
    request.getfixturevalue("small")
    found = load_dataset(asked)
    assert (found.fingerprint, found.dropped, found.notes) == (expected.fingerprint, expected.dropped, expected.notes)
    assert {each.reason for each in found.dropped} >= {'blank "text"', "no label"}
    for split, frame in expected.splits.items():
        assert found.splits[split].equals(frame)
        assert found.splits[split].n_chunks() > 1, "it is made part by part"


def test_names_of_columns_may_hold_any_character(small: None, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(
        "".join(json.dumps({"a\0b": f"t{i}", "a": "xy"[i % 2]}) + "\n" for i in range(30)), encoding="utf-8"
    )
    asked = DataSettings(source=str(path), text=("a\0b",), label="a", split=SplitSettings(test=0.2, validation=0.1))
    assert load_dataset(asked).splits["train"].columns == ["example", "a\0b", "label"]


def test_tokens_that_spill_are_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tokenizer = load_tokenizer(model_folder("bert"))
    texts = [row["text"] for row in rows(300)]
    expected = encode(tokenizer, [texts, texts[::-1]], 24, token_types=True)
    request.getfixturevalue("small")
    found = encode(tokenizer, [pl.Series(texts), pl.Series(texts[::-1])], 24, token_types=True)
    assert isinstance(found.ids, np.memmap)
    found.save(tmp_path)
    for each in (found, Tokens.load(tmp_path, mmap=True)):
        for name in ("ids", "types", "offsets"):
            np.testing.assert_array_equal(getattr(each, name), getattr(expected, name))
            assert getattr(each, name).dtype == getattr(expected, name).dtype
        assert each.truncated == expected.truncated


def test_memory_of_tokenising_does_not_grow_with_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the texts themselves, which the caller holds."""
    monkeypatch.setattr(arrays, "LARGE_BYTES", 20_000)
    monkeypatch.setattr("thriftune.data.tokens._CHUNK", 256)
    tokenizer = load_tokenizer(model_folder("bert"))
    peaks = []
    for count in (2_000, 12_000):
        texts = pl.Series([f"a text of some words {i}" for i in range(count)])
        tracemalloc.start()
        made = encode(tokenizer, [texts], 32, token_types=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(made) == count
    assert peaks[1] - peaks[0] < 30_000, f"{peaks}: less than three bytes per text"


def test_repeated_texts_are_counted_by_their_hashes_first(small: None) -> None:
    frame = pl.DataFrame({"a": ["x", "y", "x", None, None, "z"], "b": ["1", "2", "1", "3", "3", "4"]})
    other = pl.DataFrame({"a": ["x", "q", None], "b": ["1", "2", "3"]})
    assert repeated_rows(frame, ["a", "b"]).rows() == [("x", "1"), ("x", "1"), (None, "3"), (None, "3")]
    keys = frame.join(other, on=["a", "b"], how="semi").height
    assert rows_in_both(frame, other, ["a", "b"]) == keys


def test_room_is_taken_before_it_is_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arrays, "LARGE_BYTES", 0)
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path))
    made = arrays.room_for((100, 3), np.float32)
    made[:] = 2
    assert isinstance(made, np.memmap)
    assert list((tmp_path / "large").iterdir()) == [], "it has no name"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays.os, "posix_fallocate", full)
    assert not isinstance(arrays.room_for((100, 3), np.float32), np.memmap)


def test_distinct() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 500, 300, dtype=np.int32), rng.integers(0, 900, 10, dtype=np.int32)]
    found = arrays.distinct(parts)
    np.testing.assert_array_equal(found, np.unique(np.concatenate(parts)))
    assert found.dtype == np.int32


def test_nothing_is_left_of_a_table_on_disk(small: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path))
    frame = pl.DataFrame({"text": ["ä", None, "c"] * 10, "label": list(range(30))})
    made = tables.on_disk(frame)
    assert made.equals(frame)
    assert made is not frame
    assert list((tmp_path / "large").iterdir()) == []


def test_a_full_disk_is_said_in_a_sentence(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    tokenizer = load_tokenizer(model_folder("bert"))
    monkeypatch.setattr(arrays, "nameless_file", Full)
    monkeypatch.setattr("pyarrow.OSFile", full)
    parts = tables.Parts()
    for act in (lambda: encode(tokenizer, [["a"]], 8, token_types=True), lambda: parts.add(pl.DataFrame({"a": [1]}))):
        with pytest.raises(InputError, match=r"No space left on device\)\. Make room there, or set THRIFTUNE_CACHE"):
            act()
    parts.drop()
    frame = pl.DataFrame({"a": [1]})
    assert tables.on_disk(frame) is frame, "what is in memory already stays there"


class Full:
    """A file on a full disk."""

    def write(self, data: bytes) -> None:
        raise OSError(28, "No space left on device")
