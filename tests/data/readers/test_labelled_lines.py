from pathlib import Path

import pytest

from thriftune.data.readers.formats import read_file
from thriftune.data.table import ReadOptions
from thriftune.errors import InputError

TREC = [
    "DESC:manner How did serfdom develop ?",
    "ENTY:cremat What films featured Popeye ?",
    "DESC:def What is a bird ?",
]


def write(tmp_path: Path, lines: list[str], name: str = "a.txt") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.label", "data"])
def test_fasttext_lines(tmp_path: Path, name: str) -> None:
    table = read_file(write(tmp_path, ["__label__pos  a  fine, film", "__label__neg bad\tone", "", "no label"], name))
    assert table.frame.rows() == [("pos", "a  fine, film"), ("neg", "bad\tone"), (None, "no label")]
    assert "fastText" in table.notes[0]


def test_several_labels_in_a_line_are_multi_label(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2 has several labels \(a and b\): that is multi-label data"):
        read_file(write(tmp_path, ["__label__a x", "__label__a __label__b y"]))


@pytest.mark.parametrize("name", ["train_5500.label", "trec.txt"])
def test_question_types(tmp_path: Path, name: str) -> None:
    table = read_file(write(tmp_path, TREC * 4, name))
    assert table.columns == ("label", "text", "coarse")
    assert table.frame.row(0) == ("DESC:manner", "How did serfdom develop ?", "DESC")
    assert table.frame.height == 12
    assert "the first word of each line" in table.notes[0]


def test_a_first_word_that_is_a_label(tmp_path: Path) -> None:
    table = read_file(write(tmp_path, ["pos a fine film", "neg so bad", "pos I liked it"] * 4))
    assert table.frame.rows()[:2] == [("pos", "a fine film"), ("neg", "so bad")]
    assert read_file(write(tmp_path, ["pos a fine film", "neg so bad"] * 9), {"text"}).frame.columns == ["text"]


def test_prose_is_not_taken_apart(tmp_path: Path) -> None:
    table = read_file(write(tmp_path, [f"word{i} and more of it" for i in range(20)]))
    assert len(table.columns) == 1


@pytest.mark.parametrize(
    "starts",
    [["What is", "How do", "Who was"], ["the film", "a man", "two dogs"], ["A man is", "Two dogs run", "People sit"]],
)
def test_sentences_that_start_alike_have_no_labels(tmp_path: Path, starts: list[str]) -> None:
    table = read_file(write(tmp_path, [f"{starts[i % 3]} number {i} in it" for i in range(60)]))
    assert len(table.columns) == 1


def test_labels_after_the_text(tmp_path: Path) -> None:
    lines = ["Profit rose to 9 mn .@positive", "a@b.com wrote .@neutral", "It fell .@negative"]
    table = read_file(write(tmp_path, lines * 5))
    assert table.columns == ("text", "label")
    assert table.frame.rows()[:2] == [("Profit rose to 9 mn .", "positive"), ("a@b.com wrote .", "neutral")]
    assert "follows the last @" in table.notes[-1]
    assert len(read_file(write(tmp_path, [f"mail to user@host{i}.org" for i in range(30)])).columns) == 1


def test_tabs_decide(tmp_path: Path) -> None:
    spam = ["ham\tGo until jurong, crazy", "spam\tFree entry in 2", 'ham\t"Ok lar']
    table = read_file(write(tmp_path, spam * 6, "SMSSpamCollection"))
    assert table.columns == ("label", "text")
    assert table.frame["text"].to_list()[2] == '"Ok lar'
    named = read_file(write(tmp_path, ["label\ttext", *spam]), reading=ReadOptions(header="yes"))
    assert named.frame.height == 3
