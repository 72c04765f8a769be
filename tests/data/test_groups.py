"""`data.group`: which texts belong together, what of it is stored, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from thriftune.data.load import load_dataset
from thriftune.data.profile import profile_dataset
from thriftune.data.robustness import load_with_robustness
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.data.warnings import find_warnings
from thriftune.errors import InputError
from thriftune.results.profile import group_ids


def settings(reviews: dict[str, str], **changes: Any) -> DataSettings:
    return replace(DataSettings(source=reviews, text=("text",)), **changes)


def test_equal_values_are_a_group_and_blanks_are_their_own() -> None:
    ids = group_ids(pl.Series(["a", "b ", None, "a", "", None, "b"]))
    assert ids.tolist() == [0, 1, 2, 0, 3, 4, 1]
    assert group_ids(pl.Series([1.0, float("nan"), 1.0, float("nan")])).tolist() == [0, 1, 0, 2]


def test_the_column_is_carried_and_counted(reviews: dict[str, str]) -> None:
    data = load_dataset(settings(reviews, group="who"))
    assert data.splits["test"]["who"].to_list() == [f"w{i % 7}" for i in range(10)]
    groups = profile_dataset(data).groups
    assert groups is not None
    assert (groups.column, groups.stored_as, groups.groups, groups.texts, groups.in_train) == ("who", "who", 7, 10, 10)
    assert profile_dataset(load_dataset(settings(reviews))).groups is None


def test_the_splits_group_is_the_default(write: Any) -> None:
    rows = [{"text": f"text {i}", "label": ["bad", "good"][i % 2], "who": f"w{i % 20}"} for i in range(200)]
    data = load_dataset(
        DataSettings(
            source=str(write("a.jsonl", rows)),
            text=("text",),
            split=SplitSettings(test=0.2, validation=0.1, group_by="who"),
        )
    )
    assert data.group is not None
    assert (data.group.column, data.group.groups, data.group.in_train) == ("who", 4, 0)


def test_a_text_column_is_stored_once_and_under_its_name_there(write: Any) -> None:
    rows = [{"label": f"p{i // 2}", "other": f"h{i}", "y": "ab"[i % 3 % 2]} for i in range(40)]
    path = str(write("a.jsonl", rows))
    data = load_dataset(
        DataSettings(source={"train": path, "validation": path, "test": path}, text=("label", "other"), label="y",
                     group="label")
    )  # fmt: skip
    assert data.group is not None
    assert (data.group.stored_as, data.group.groups) == ("label_text", 20)
    assert data.splits["test"].columns == ["example", "label_text", "other", "label"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": "whom"}, r'no column "whom".*did you mean "?who"?.*Its columns: "text", "label", "who"'),
        ({"group": "same"}, 'All 10 test texts have one value of "same"'),
    ],
)
def test_what_groups_nothing_is_refused(
    write: Any, reviews: dict[str, str], changes: dict[str, Any], message: str
) -> None:
    if changes["group"] == "same":
        rows = [{"text": f"t{i}", "label": "ab"[i % 2], "same": "x"} for i in range(10)]
        reviews = dict.fromkeys(reviews, str(write("same.jsonl", rows)))
    with pytest.raises(InputError, match=f"(?is){message}"):
        load_dataset(settings(reviews, **changes))


def test_a_column_without_repeats_or_values_counts_texts_and_says_so(write: Any) -> None:
    rows = [{"text": f"t{i}", "label": "ab"[i % 2], "one": f"x{i}", "none": None} for i in range(10)]
    source = dict.fromkeys(("train", "validation", "test"), str(write("a.jsonl", rows)))
    for column, why in (("one", 'No value of "one" repeats'), ("none", 'no value of "none"')):
        data = load_dataset(settings(source, group=column))
        assert data.group is None
        assert any(why in note for note in data.notes)


def test_robustness_sets_carry_it_where_they_have_it(write: Any, reviews: dict[str, str]) -> None:
    rows = [{"text": f"t{i}", "label": ["bad", "good"][i % 2], "who": "w1"} for i in range(4)]
    sets = {
        "has": str(write("has.jsonl", rows)),
        "lacks": str(write("lacks.jsonl", [{key: row[key] for key in ("text", "label")} for row in rows])),
    }
    data = load_with_robustness(settings(reviews, group="who"), sets)
    assert data.robustness["has"].frame["who"].to_list() == ["w1"] * 4
    assert data.robustness["lacks"].frame["who"].null_count() == 4


def test_texts_that_belong_together_are_said_until_the_study_says_so(write: Any) -> None:
    rows = [{"p": f"premise {i // 3}", "h": f"h{i}", "label": "ab"[i % 2]} for i in range(60)]
    source = dict.fromkeys(("train", "validation", "test"), str(write("a.jsonl", rows)))
    found = DataSettings(source=source, text=("p", "h"))
    (warning,) = [each for each in find_warnings(load_dataset(found)) if each.kind == "grouped_texts"]
    assert "60 test pairs have 20 different values" in warning.message
    assert warning.remedy.startswith("data.group: p ")
    kinds = {each.kind for each in find_warnings(load_dataset(replace(found, group="p")))}
    assert "grouped_texts" not in kinds
