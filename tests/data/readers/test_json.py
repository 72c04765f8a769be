import json
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from thriftune.data.guess.inspect import guess
from thriftune.data.load import load_dataset
from thriftune.data.readers.formats import read_file
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.errors import InputError

ROWS = [{"text": "a", "label": 1}, {"text": "b", "label": 0}, {"text": "c", "label": 1}]
FRAME = pd.DataFrame(ROWS)
NAMED = FRAME.set_index(pd.Index(["r1", "r2", "r3"]))


def write(tmp_path: Path, content: Any, name: str = "a.json") -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


DOCUMENTS: dict[str, Any] = {
    "array": ROWS,
    "array over lines": json.dumps(ROWS, indent=2),
    "array of one line each": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]",
    "objects over lines": "\n".join(json.dumps(row, indent=1) for row in ROWS),
    "wrapper": {"version": "1.0", "data": ROWS},
    "wrapper, other name": json.dumps({"rows": ROWS, "count": 3}, indent=1),
    "lists": {"text": ["a", "b", "c"], "label": [1, 0, 1]},
    **{orient: FRAME.to_json(orient=orient) for orient in ("records", "columns", "index", "split", "table")},  # type: ignore[call-overload]
    **{f"{orient}, named rows": NAMED.to_json(orient=orient) for orient in ("columns", "index", "split", "table")},  # type: ignore[call-overload]
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents_are_read(tmp_path: Path, case: str) -> None:
    frame = read_file(write(tmp_path, DOCUMENTS[case])).frame
    assert frame.to_dicts() == ROWS
    assert read_file(write(tmp_path, DOCUMENTS[case]), {"label"}).frame.to_dicts() == [
        {"label": r["label"]} for r in ROWS
    ]


BAD: dict[str, tuple[Any, str]] = {
    "values": (FRAME.to_json(orient="values"), "row 1 is an array of values without names"),
    "two wrappers": ({"one": ROWS, "two": ROWS}, r"several lists of objects \(one, two\)"),
    "lists of lists": ({"train": [["a", 1]], "test": [["b", 0]]}, r"lists of values without names \(train, test\)"),
    "lengths": ({"text": ["a"], "label": [1, 2]}, r"differ in length \(text: 1, label: 2\)"),
    "a number": ("3", "line 1 is a JSON int"),
    "strings": (["a", "b"], "row 1 is a JSON str"),
    "broken": ('[{"text": "a"},\n {"text": }]', "line 2 is not JSON"),
    "deep": ("[" * 100_000, "nested too deeply"),
    "digits": ('[{"text": ' + "1" * 5000 + "}]", "a number that is too long"),
    "split with the wrong number": ({"columns": ["text", "label"], "data": [["a"]]}, "row 1 .* has 1 values"),
    "names twice": ({"columns": ["label", "label"], "data": [["a", "b"]]}, 'the column "label" occurs 2 times'),
    "mixed": (
        [{"text": "a", "label": True}, {"text": "b", "label": 1}],
        "mixes true or false and numbers .*row 1.*row 2",
    ),
    "lists among text": (
        [{"label": "a"}, {"label": ["a"]}],
        r"mixes text and lists \(\"a\" in row 1, \[\"a\"\] in row 2\)",
    ),
    "nested label": ([{"text": "a", "label": {"name": "x"}}], 'column "label" holds nested values .row 1'),
}


@pytest.mark.parametrize("case", BAD)
def test_documents_that_cannot_be_rows_say_why(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    with pytest.raises(InputError, match=message):
        read_file(write(tmp_path, content))


def test_nan_is_missing(tmp_path: Path) -> None:
    path = write(
        tmp_path, '{"text": "a", "label": NaN}\n{"text": "b", "label": "x"}\n{"text": NaN, "label": "y"}\n', "a.jsonl"
    )
    assert read_file(path).frame.rows() == [("a", None), ("b", "x"), (None, "y")]


def test_nan_is_no_class_of_a_study(tmp_path: Path) -> None:
    lines = [f'{{"text": "t{i}", "label": {["NaN", "1.0", "2"][i % 3]}}}' for i in range(30)]
    split = SplitSettings(test=0.2, validation=0.2)
    path = write(tmp_path, "\n".join(lines), "a.jsonl")
    data = load_dataset(DataSettings(source=str(path), text=("text",), split=split))
    assert data.labels == ("1", "2")
    assert [(drop.reason, drop.count) for drop in data.dropped] == [("no label", 10)]


LABELS = {
    "numbers and strings": ([1, "1", 2.0, "2"], ["1", "1", "2", "2"]),
    "truths and strings": ([True, "True", False, "false"], ["true", "True", "false", "false"]),
    "numbers": ([1, 2.5, None], [1.0, 2.5, None]),
    "lists": ([[1, "a"], None, [True]], [["1", "a"], None, ["true"]]),
}


@pytest.mark.parametrize("case", LABELS)
def test_types_of_a_column(tmp_path: Path, case: str) -> None:
    given, read = LABELS[case]
    assert (
        read_file(write(tmp_path, [{"text": "a", "label": value} for value in given])).frame["label"].to_list() == read
    )


def test_truths_of_both_kinds_are_two_classes(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": [True, "True", False, "false"][i % 4]} for i in range(40)]
    split = SplitSettings(test=0.2, validation=0.2)
    data = load_dataset(DataSettings(source=str(write(tmp_path, rows)), text=("text",), split=split))
    assert data.labels == ("false", "true")


def test_columns_that_nobody_asked_for_may_be_anything(tmp_path: Path) -> None:
    rows = [{**row, "meta": {"a": 1}, "odd": [1, "x", True][i]} for i, row in enumerate(ROWS)]
    table = read_file(write(tmp_path, rows))
    assert table.frame.schema == {"text": pl.String, "label": pl.Int64}
    assert table.columns == ("text", "label", "meta", "odd")
    assert 'The column "meta" is left out: it holds nested values' in table.notes[0]
    assert 'The column "odd" is left out: it mixes numbers and text and true or false' in table.notes[1]
    with pytest.raises(InputError, match='column "meta" holds nested values'):
        read_file(write(tmp_path, rows), {"text", "meta"})


@pytest.mark.parametrize("pairs", [True, False])
def test_splits_in_one_document_are_a_column(tmp_path: Path, pairs: bool) -> None:
    sizes = {"oos_test": 4, "test": 8, "train": 20, "val": 6}
    rows = {split: [(f"{split} text {i}", "ab"[i % 2]) for i in range(count)] for split, count in sizes.items()}
    made = {split: [[t, y] if pairs else {"t": t, "y": y} for t, y in found] for split, found in rows.items()}
    (tmp_path / "data_full.json").write_text(json.dumps(made), encoding="utf-8")
    table = read_file(tmp_path / "data_full.json")
    assert table.columns == (("text", "label", "split") if pairs else ("t", "y", "split"))
    assert table.frame["split"].value_counts().sort("split").rows() == list(sizes.items())
    assert any('in the column "split"' in note for note in table.notes)
    guessed = guess(tmp_path / "data_full.json")
    assert guessed.split is not None
    assert guessed.split.column == "split"
    assert guessed.label == ("label" if pairs else "y")
