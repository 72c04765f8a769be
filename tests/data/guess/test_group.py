"""What init finds to belong together, and the names of labels that are numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from thriftune.data.guess.inspect import Guess, guess


def written(path: Path, columns: dict[str, list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def guessed(folder: Path, rows: int = 400, **further: list[Any]) -> Guess:
    columns: dict[str, list[Any]] = {
        "text": [f"some words of text number {i}" for i in range(rows)],
        "label": ["ab"[i % 2] for i in range(rows)],
    }
    return guess(written(folder / "a.csv", columns | further))


def said(found: Guess) -> str:
    return " ".join(found.reasons)


@pytest.mark.parametrize("column", ["user", "user_id", "Author", "docId", "premise", "context", "group", "thread"])
def test_a_column_that_says_what_texts_belong_to(tmp_path: Path, column: str) -> None:
    found = guessed(tmp_path, **{column: [f"v{i // 7}" for i in range(400)]})
    assert found.group == column
    assert found.split is not None
    assert found.split.group_by == column
    assert f'"{column}" is what texts belong to, and its 58 values stand in 6.9 rows each' in said(found)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("id", [f"v{i}" for i in range(400)]),  # every row its own
        ("user", [f"v{i % 300}" for i in range(400)]),  # hardly any repeats
        ("group", [f"v{i % 3}" for i in range(400)]),  # too few to tell anything of others
        ("label_id", [i % 2 for i in range(400)]),  # the label again
        ("annotator_id", [f"v{i % 20}" for i in range(400)]),  # who labelled, not who wrote
        ("color", [f"v{i % 20}" for i in range(400)]),  # a name that says nothing
    ],
)
def test_what_groups_nothing(tmp_path: Path, column: str, values: list[Any]) -> None:
    found = guessed(tmp_path, **{column: values})
    assert found.group is None
    assert found.split is not None
    assert found.split.group_by is None


def test_the_first_text_of_pairs_and_texts_that_repeat(tmp_path: Path) -> None:
    pairs = {
        "premise": [f"this is premise number {i // 3}" for i in range(300)],
        "hypothesis": [f"and hypothesis {i}" for i in range(300)],
        "label": ["abc"[i % 3] for i in range(300)],
    }
    found = guess(written(tmp_path / "pairs.csv", pairs))
    assert (found.group, found.text) == ("premise", ("premise", "hypothesis"))
    assert '"premise" is one of the texts, and its 100 values stand in 3.0 rows each' in said(found)
    repeated = {"text": pairs["premise"], "label": ["ab"[i % 5 % 2] for i in range(300)]}
    found = guess(written(tmp_path / "repeated.csv", repeated))
    assert found.group == "text"


def test_a_group_that_test_lacks_is_not_proposed(tmp_path: Path) -> None:
    rows = {"text": [f"text {i} of some words" for i in range(200)], "label": ["ab"[i % 2] for i in range(200)]}
    written(tmp_path / "test.csv", rows)
    path = written(tmp_path / "train.csv", rows | {"user": [f"u{i % 20}" for i in range(200)]})
    assert guess(path).group is None


def test_groups_too_large_to_keep_whole_are_counted_all_the_same(tmp_path: Path) -> None:
    found = guessed(tmp_path, user=["big"] * 370 + [f"u{i % 11}" for i in range(30)])
    assert found.problem is None
    assert found.group == "user"


def test_numbers_get_the_names_that_the_file_has(tmp_path: Path) -> None:
    numbers, names = [i % 3 for i in range(400)], [["negative", "neutral", "positive"][i % 3] for i in range(400)]
    found = guessed(tmp_path, label=numbers, label_text=names)
    assert found.names == {"0": "negative", "1": "neutral", "2": "positive"}
    assert list(found.test_labels) == ["negative", "neutral", "positive"]
    assert '"label_text" has their names: 0 is negative, 1 is neutral, 2 is positive' in said(found)
    assert guessed(tmp_path, label=numbers).names == {}
    assert guessed(tmp_path, label=numbers, label_name=[*names[:-1], "other"]).names == {}
