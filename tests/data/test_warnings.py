import re
from typing import Any

import pytest

from thriftune.data.dataset import Dataset
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.data.warnings import find_warnings, flow
from thriftune.errors import InputError

HALVES = SplitSettings(test=0.25, validation=0.25)


def loaded(write: Any, column: list[str], texts: list[str] | None = None, **settings: Any) -> Dataset:
    lines = [f'{texts[i] if texts else f"text {i}"},"{label}"' for i, label in enumerate(column)]
    path = write("a.csv", "\n".join(["text,label", *lines]) + "\n")
    return load_dataset(DataSettings(source=str(path), text=("text",), **{"split": HALVES, **settings}))


def said(dataset: Dataset, kind: str) -> list[str]:
    return [warning.text for warning in find_warnings(dataset) if warning.kind == kind]


def test_variants_of_a_label_are_named_with_what_merges_them(write) -> None:
    labels = ["pos", "pos ", "Pos", "neg"] * 40
    (text,) = said(loaded(write, labels), "label_variants")
    assert all(name in text for name in ('"Pos"', '"pos"', '"pos "'))
    assert "data.labels: {Pos: pos} merges them" in text
    merged = loaded(write, labels, labels={"Pos": "pos"})
    assert merged.labels == ("neg", "pos")
    assert not said(merged, "label_variants")
    assert any('("pos ")' in note and "blanks are removed" in note for note in merged.notes)


@pytest.mark.parametrize(
    ("one", "other"), [("not spam", "not_spam"), ("ok", "OK"), ("a  b", "A b"), ("pos", "pos\u200b"), ("\uff41b", "ab")]
)
def test_what_hands_vary_is_a_variant(write, one: str, other: str) -> None:
    assert said(loaded(write, [one, other, "third"] * 40), "label_variants")


@pytest.mark.parametrize("labels", [["a", "b", "ab"], ["1", "01", "-1"], ["c", "c++", "c#"]])
def test_other_labels_are_no_variants(write, labels: list[str]) -> None:
    assert not said(loaded(write, labels * 40), "label_variants")


@pytest.mark.parametrize("missing", ["NA", "N/A", "null", "None", "nan"])
def test_a_label_that_says_missing(write, missing: str) -> None:
    labels = ["a", "b", "c", missing] * 40
    (text,) = said(loaded(write, labels), "missing_label")
    assert f'"{missing}"' in text
    assert "40 rows" in text
    dropped = loaded(write, labels, labels={missing: None})
    assert dropped.labels == ("a", "b", "c")
    assert [(d.reason, d.count) for d in dropped.dropped] == [(f'label "{missing}" (data.labels)', 40)]


def test_few_rows_absent_and_dominant_classes(write) -> None:
    rows = [f'{{"text": "{i}", "label": "{label}"}}' for i, label in enumerate(["a"] * 90 + ["b"] * 6 + ["c"] * 4)]
    test = [f'{{"text": "t{i}", "label": "{"ab"[i % 2]}"}}' for i in range(20)]
    source = {
        "train": str(write("train.jsonl", "\n".join(rows))),
        "validation": str(write("v.jsonl", "\n".join(test).replace(': "t', ': "v'))),
        "test": str(write("t.jsonl", "\n".join(test))),
    }
    data = load_dataset(DataSettings(source=source, text=("text",)))
    assert '2 classes have fewer than 10 training rows: "b" (6) and "c" (4)' in said(data, "few_rows")[0]
    assert '1 label has no row in test: "c"' in said(data, "absent_label")[0]
    assert '90% of the training rows are "a"' in said(data, "dominant_label")[0]


def test_shared_repeated_and_conflicting_texts_and_what_leaves_them_out(write) -> None:
    texts = [f"text {i % 60}" for i in range(160)]
    labels = ["ab"[(i // 60 + i) % 2] for i in range(160)]
    data = loaded(write, labels, texts)
    assert any("test texts stand in train too" in text and "flatter" in text for text in said(data, "shared_texts"))
    assert all("data.deduplicate: true" in text for text in said(data, "shared_texts"))
    assert "training rows repeat" in said(data, "repeated_texts")[0]
    assert re.search(
        r'rows hold 60 texts under .* "text \d+" as "[ab]" and "[ab]"', said(data, "conflicting_labels")[0]
    )
    clean = loaded(write, labels, texts, deduplicate=True)
    assert not said(clean, "shared_texts")
    assert not said(clean, "repeated_texts")
    assert clean.splits["test"].equals(data.splits["test"])
    test, validation = set(data.splits["test"]["text"]), set(data.splits["validation"]["text"])
    assert set(clean.splits["validation"]["text"]) == validation - test
    left = set(data.splits["train"]["text"]) - test - validation
    assert set(clean.splits["train"]["text"]) == left
    assert clean.splits["train"].height == len(left)
    assert any(note.startswith("data.deduplicate left out") for note in clean.notes)
    assert clean.fingerprint != data.fingerprint


def test_numbers_with_gaps_may_be_regression(write) -> None:
    assert "regression" in said(loaded(write, [str(7 * (i % 30)) for i in range(300)]), "numeric_labels")[0]
    assert not said(loaded(write, [str(i % 30) for i in range(300)]), "numeric_labels")


def test_sound_data_have_no_warnings(write) -> None:
    data = loaded(write, ["a", "b"] * 40)
    assert find_warnings(data) == []
    assert any("found no repeated text" in n for n in loaded(write, ["a", "b"] * 40, deduplicate=True).notes)


def test_a_label_that_no_row_has_is_refused(write) -> None:
    with pytest.raises(InputError, match=r'no row has the label "Poss"; did you mean "Pos"\?'):
        loaded(write, ["Pos", "neg"] * 40, labels={"Poss": "pos"})
    with pytest.raises(InputError, match="leaves no row in train"):
        loaded(write, ["Pos", "neg"] * 40, labels={"Pos": None, "neg": None})
    with pytest.raises(InputError, match='one label only, "pos"'):
        loaded(write, ["Pos", "neg"] * 40, labels={"Pos": "pos", "neg": "pos"})


def test_labels_are_mapped_as_written_or_as_called_and_all_at_once(write) -> None:
    assert loaded(write, ["1.0", "2.0", "3.0"] * 40, labels={"1": "low", "3.0": "high", "2": "low"}).labels == (
        "high",
        "low",
    )
    swapped = loaded(write, ["a", "a", "b"] * 40, labels={"a": "b", "b": "a"})
    counts = swapped.splits["train"]["label"].value_counts(sort=True)
    assert swapped.labels[counts["label"][0]] == "b"
    assert loaded(write, ["0", "1", "2"] * 40, labels={"2": 1}).labels == ("0", "1")
    assert loaded(write, ["0.5", "1.5"] * 40, labels={"0.5": "low", "1.5": "high"}).labels == ("high", "low")


def test_mappings_are_shown_as_yaml() -> None:
    assert flow({"Pos": "pos", "N/A": None, "no": "No: 1"}) == '{Pos: pos, "N/A": null, "no": "No: 1"}'  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"{i / 8}" for i in range(2000)], "fractions such as .*regression"),
        (["0,5", "1,5", "2,5", "4,0"] * 40, "fractions such as 0.5: that is regression"),
        ([*(["1.25", "2.5", "3.75", "4.1", "5.2", "0.1", "0.2", "0.3", "0.4"] * 9), "nan"], "regression"),
        (["a", "b", "a|b", "b|c", "c"] * 40, r'several labels per text \("a\|b", "b\|c"\): that is multi-label'),
        (["2,27", "2", "27", "3"] * 40, "multi-label"),
        (["['a']", "['b']", "['a', 'b']"] * 40, "multi-label"),
        ([str(i) for i in range(1500)], "1,500 different values.*regression"),
    ],
)
def test_what_is_no_single_class_is_refused(write, labels: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        loaded(write, labels)


def test_the_column_that_says_the_split(write) -> None:
    splits = ["train", "Training", "dev", "TEST", "unused", ""]
    lines = [f"text {i},{'ab'[i // 6 % 2]},{splits[i % 6]}" for i in range(120)]
    path = write("a.csv", "\n".join(["text,label,part", *lines]) + "\n")
    settings = {"source": str(path), "text": ("text",)}
    data = load_dataset(DataSettings(**settings, split=SplitSettings(column="part")))
    assert {split: frame.height for split, frame in data.splits.items()} == {"train": 40, "validation": 20, "test": 20}
    assert data.splits["test"]["example"].to_list()[:2] == [3, 9]
    assert data.splits["test"].columns == ["example", "text", "label"]
    assert [(d.reason, d.count) for d in data.dropped] == [('"part" is no split ("unused")', 40)]
    assert any('"part" gives the splits: train (40 rows)' in note for note in data.notes)
    with pytest.raises(InputError, match="asks for a test split, but the source has one"):
        load_dataset(DataSettings(**settings, split=SplitSettings(column="part", test=0.2)))
    with pytest.raises(InputError, match=r'"label" of .* holds "a", "b", none of which is a split'):
        load_dataset(DataSettings(**settings, split=SplitSettings(column="label")))
    source = {"train": str(path), "test": str(path)}
    with pytest.raises(InputError, match="the source has train, test already"):
        load_dataset(DataSettings(source=source, text=("text",), split=SplitSettings(column="part")))


def test_what_the_column_lacks_is_made_from_train(write) -> None:
    lines = [f"text {i},{'ab'[i % 2]},{'train' if i < 80 else 'test'}" for i in range(100)]
    path = write("a.csv", "\n".join(["text,label,part", *lines]) + "\n")
    settings = {"source": str(path), "text": ("text",)}
    data = load_dataset(DataSettings(**settings, split=SplitSettings(column="part", validation=0.25)))
    assert {split: frame.height for split, frame in data.splits.items()} == {"train": 60, "validation": 20, "test": 20}
    with pytest.raises(InputError, match="no validation split"):
        load_dataset(DataSettings(**settings, split=SplitSettings(column="part")))
