import numpy as np
import pytest

from thriftune.data.load import load_dataset
from thriftune.data.profile import lengths, profile_dataset
from thriftune.data.settings import DataSettings
from thriftune.data.tokens import encode
from thriftune.results.profile import SharedText
from thriftune.testing.tokenizers import bert


def test_profile_of_pairs(write) -> None:
    made = {
        "train": [{"a": f"one {i}", "b": "x" * i + "y", "label": "no" if i % 3 else "yes"} for i in range(9)],
        "validation": [{"a": "one 1", "b": "new", "label": "no"}, {"a": "else", "b": "y", "label": "yes"}],
        "test": [{"a": "one 2", "b": "xxy", "label": "no"}, {"a": "else", "b": "x", "label": "no"}],
    }
    source = {split: str(write(f"{split}.jsonl", rows)) for split, rows in made.items()}
    data = load_dataset(DataSettings(source=source, text=("a", "b")))
    tokenizer = bert()
    tokens = {
        split: encode(tokenizer, [frame["a"].to_list(), frame["b"].to_list()], 8, token_types=True)
        for split, frame in data.splits.items()
    }
    profile = profile_dataset(data, {"tiny": (8, tokens)})
    assert profile.rows == {"train": 9, "validation": 2, "test": 2}
    assert profile.label_counts["train"] == {"no": 6, "yes": 3}
    assert profile.label_counts["test"] == {"no": 2, "yes": 0}
    assert profile.shared == [
        SharedText("train", "validation", exact=0, first_column=1, rows=2),
        SharedText("train", "test", exact=1, first_column=1, rows=2),
        SharedText("validation", "test", exact=0, first_column=1, rows=2),
    ]
    assert list(profile.characters) == ["a", "b", "all"]
    assert profile.characters["all"].box.maximum == 14
    assert len(profile.sample) == 5
    assert set(profile.sample[0]) == {"a", "b", "label"}
    assert profile.tokens[0].max_tokens == 8
    assert profile.tokens[0].truncated_share == {split: t.truncated / len(t) for split, t in tokens.items()}
    assert profile == profile_dataset(data, {"tiny": (8, tokens)})


def test_single_texts_have_no_first_column(reviews: dict[str, str]) -> None:
    profile = profile_dataset(load_dataset(DataSettings(source=reviews, text=("text",))))
    assert [shared.first_column for shared in profile.shared] == [None] * 3
    assert list(profile.characters) == ["text"]
    assert profile.tokens == []


def test_box_is_tukeys() -> None:
    box = lengths(np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 100])).box
    assert (box.q1, box.median, box.q3) == (3.25, 5.5, 7.75)
    assert (box.low, box.high, box.minimum, box.maximum) == (1, 9, 1, 100)
    assert (box.outliers, box.outlier_count, box.mean) == ([100.0], 1, 14.5)


@pytest.mark.parametrize("values", [[5], [5, 5, 5], list(range(40)), list(range(1000)), [1, 512]])
def test_histograms_hold_every_value_in_whole_bins(values: list[int]) -> None:
    histogram = lengths(np.array(values)).histogram
    assert sum(histogram.counts) == len(values)
    assert len(histogram.edges) == len(histogram.counts) + 1
    assert len(histogram.counts) <= 40
    assert len(set(np.diff(histogram.edges))) == 1


def test_outliers_are_sampled() -> None:
    box = lengths(np.array([10] * 10_000 + list(range(1000, 1900)))).box
    assert (len(box.outliers), box.outlier_count) == (200, 900)
