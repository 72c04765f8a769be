from pathlib import Path

import pytest

from thriftune.data.inspect import guess
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.data.sources import load_dataset
from thriftune.errors import InputError


def table(header: str, lines: list[str]) -> str:
    return "\n".join([header, *lines]) + "\n"


def test_a_single_text_and_a_named_label(write) -> None:
    lines = [f"{i},2024-01-{i % 28 + 1:02},This is review number {i},{['pos', 'neg'][i % 2]}" for i in range(40)]
    found = guess(write("reviews.csv", table("id,date,review,sentiment", lines)))
    assert (found.text, found.label) == (("review",), "sentiment")
    assert found.labels == {"neg": 20, "pos": 20}
    assert found.splits == ("train",)
    assert found.split == SplitSettings(test=0.2, validation=0.1)
    assert found.max_tokens == 32
    assert len(found.reasons) == 4
    assert found.source.endswith("reviews.csv")


def test_pairs_by_name_are_grouped_by_the_repeated_first_text(write) -> None:
    lines = [f"p{i},same premise {i // 3},a longer hypothesis {i},{i % 3}" for i in range(60)]
    found = guess(write("a.csv", table("pairID,premise,hypothesis,label", lines)))
    assert found.text == ("premise", "hypothesis")
    assert found.labels == {"0": 20, "1": 20, "2": 20}
    assert found.split == SplitSettings(test=0.2, validation=0.1, group_by="premise")


def test_a_label_without_a_known_name(write) -> None:
    lines = [f"{i},words and words {i},{['x', 'y', 'z'][i % 3]},u{i % 5}" for i in range(60)]
    found = guess(write("a.csv", table("row_id,body,verdict,user_id", lines)))
    assert (found.text, found.label) == (("body",), "verdict")
    assert "fewest different values, 3" in found.reasons[0]


def test_distributed_files_leave_out_pairs_without_gold_label(write) -> None:
    gold = ["neutral", "-", "entailment", "contradiction"] * 5
    lines = [f"{g}\tpremise {i}\thypothesis {i}\tc{i}" for i, g in enumerate(gold)]
    found = guess(write("snli_1.0_train.txt", table("gold_label\tsentence1\tsentence2\tcaptionID", lines)))
    assert found.text == ("sentence1", "sentence2")
    assert list(found.labels) == ["entailment", "neutral", "contradiction"]


def test_a_folder_with_all_splits(reviews: dict[str, str]) -> None:
    found = guess(Path(reviews["train"]).parent)
    assert found.splits == ("train", "validation", "test")
    assert found.split is None


def test_what_is_guessed_loads() -> None:
    found = guess("demo:snli")
    data = load_dataset(DataSettings(source=found.source, text=found.text, label=found.label))
    assert data.text_columns == ("premise", "hypothesis")
    assert found.max_tokens == 64


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", table("id,text", [f"{i},text {i}" for i in range(9)]), "looks like a label.*id, text"),
        ("a.csv", table("label,n", [f"{i % 2},{i}" for i in range(9)]), "looks like text.*label, n"),
        ("a.csv", "", "is empty"),
    ],
)
def test_where_nothing_fits(write, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        guess(write(name, content))


def test_a_missing_file() -> None:
    with pytest.raises(InputError, match="is not found"):
        guess("nowhere.csv")
