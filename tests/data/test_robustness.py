"""Robustness sets: read as the data is, labels matched by name, all problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.data.conftest import Write

from thriftune.data.load import load_dataset
from thriftune.data.robustness import load_with_robustness
from thriftune.data.settings import DataSettings
from thriftune.errors import InputError

PAIR = ("premise", "hypothesis")


def test_bundled_sets() -> None:
    settings = DataSettings(source="demo:snli", text=PAIR)
    sources = {"original": "demo:cad-original", "revised": "demo:cad-revised"}
    data = load_with_robustness(settings, sources)
    assert {name: found.frame.height for name, found in data.robustness.items()} == {
        "original": 400,
        "revised": 1600,
    }
    assert data.fingerprint == load_dataset(settings).fingerprint
    assert list(data.frames) == ["train", "validation", "test", "original", "revised"]
    for found in data.robustness.values():
        assert found.frame.columns == data.splits["test"].columns
    assert len({found.fingerprint for found in data.robustness.values()}) == 2


def test_labels_are_matched_by_name_not_by_order(reviews: dict[str, str], write: Write) -> None:
    rows = [{"text": "a", "label": "good"}, {"text": "b", "label": None}, {"text": "c", "label": "good"}]
    path = write("hard.jsonl", rows)
    data = load_with_robustness(DataSettings(source=reviews, text=("text",)), {"hard": str(path)})
    found = data.robustness["hard"]
    assert found.frame["label"].to_list() == [1, 1]
    assert found.frame["example"].to_list() == [0, 2]
    assert [(d.split, d.reason, d.count) for d in found.dropped] == [("hard", "no label", 1)]


def test_numbers_written_differently_are_the_same_label(write: Write) -> None:
    train = write("a.jsonl", [{"text": f"t {i}", "label": i % 2} for i in range(40)])
    other = write("b.jsonl", [{"text": "x", "label": 1.0}])
    split = {"test": 0.2, "validation": 0.2}
    settings = DataSettings(source=str(train), text=("text",), split=_split(split))
    assert load_with_robustness(settings, {"b": str(other)}).robustness["b"].frame["label"].to_list() == [1]


def _split(shares: dict[str, float]) -> Any:
    from thriftune.data.settings import SplitSettings

    return SplitSettings(**shares)


def test_the_fingerprint_follows_rows_and_labels(reviews: dict[str, str], write: Write) -> None:
    settings = DataSettings(source=reviews, text=("text",))

    def fingerprint(label: str, text: str) -> str:
        path = write("x.jsonl", [{"text": text, "label": label}])
        return load_with_robustness(settings, {"x": str(path)}).robustness["x"].fingerprint

    prints = [fingerprint("good", "a"), fingerprint("good", "a"), fingerprint("bad", "a"), fingerprint("good", "b")]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_a_source_with_splits_gives_its_test_split(tmp_path: Path, reviews: dict[str, str]) -> None:
    data = load_with_robustness(DataSettings(source=reviews, text=("text",)), {"again": str(tmp_path)})
    assert data.robustness["again"].frame["text"].to_list() == data.splits["test"]["text"].to_list()


def test_all_problems_at_once(write: Write) -> None:
    good = [{"text": f"t {i}", "label": ["bad", "good"][i % 2]} for i in range(40)]
    train = write("train.jsonl", good)
    write("labels.jsonl", [{"text": "a", "label": "ugly"}, {"text": "b", "label": "good"}])
    write("columns.jsonl", [{"txt": "a", "label": "good"}])
    write("blank.jsonl", [{"text": "  ", "label": "good"}])
    sources = {"l": "labels.jsonl", "c": "columns.jsonl", "b": "blank.jsonl", "n": "nothing.csv", "d": "demo:snl"}
    folder = Path(train).parent
    split = _split({"test": 0.2, "validation": 0.2})
    with pytest.raises(InputError) as caught:
        load_with_robustness(DataSettings(source="train.jsonl", text=("text",), split=split), sources, folder)
    for part in (
        "robustness.l: ",
        'has the label "ugly", which the study\'s data lacks (it has bad, good)',
        "robustness.c: ",
        'has no column "text"; did you mean "txt"?',
        "robustness.b: ",
        "no row with a label and a text",
        "robustness.n: nothing.csv is not found",
        'robustness.d: The demo dataset "snl" is not known; did you mean "snli"?',
    ):
        assert part in str(caught.value)
    with pytest.raises(InputError) as caught:
        load_with_robustness(DataSettings(source="train.jsonl", text=("words",)), sources, folder)
    assert 'no column "words"' in str(caught.value).splitlines()[0]
    assert "robustness.n: nothing.csv is not found" in str(caught.value)
