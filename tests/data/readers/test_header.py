from pathlib import Path

import pytest

from thriftune.data.readers.formats import read_file
from thriftune.data.readers.header import found_names, names_columns
from thriftune.data.table import ReadOptions

TEXTS = ["great film", "a waste of my time", "so good", "awful, boring", "I liked it", "not for me"]
TEXTS += ["ok", "bad", "wow", "meh", "fine film really", "no"]
LABELS = ["pos", "neg"] * 6
BITS = ["0", "1"] * 6
NUMBERS = [str(i) for i in range(12)]
QUESTIONS = [f"what is the name of number {i} please" for i in range(12)]

HEADERS: dict[str, tuple[list[str], list[list[str]]]] = {
    "usual": (["text", "label"], [TEXTS, LABELS]),
    "unusual": (["review_body", "sent"], [TEXTS, LABELS]),
    "capitals": (["TEXT", "LABEL"], [TEXTS, LABELS]),
    "another language": (["评论", "情感"], [TEXTS, LABELS]),
    "numbered by pandas": (["0", "1"], [TEXTS, BITS]),
    "numbered by pandas, with its index": (["", "0", "1"], [NUMBERS, TEXTS, BITS]),
    "a column per class": (["text", "pos", "neg"], [TEXTS, BITS, BITS[::-1]]),
    "a form": (["Timestamp", "How satisfied are you with our product overall?", "Rating"], [NUMBERS, TEXTS, BITS]),
    "a form of two": (["Please describe what you did not like about it", "Would you come again"], [TEXTS, LABELS]),
    "a name that is a value": (["text", "intent"], [TEXTS, ["intent", "other"] * 6]),
    "the header again, as of joined files": (["review", "mood"], [[*TEXTS[:-1], "review"], [*LABELS[:-1], "mood"]]),
    "years": (["text", "2019", "2020"], [TEXTS, NUMBERS, NUMBERS]),
    "numbers": (["id", "label"], [NUMBERS, BITS]),
    "many classes": (["text", "category"], [TEXTS, NUMBERS]),
    "one row": (["a", "b"], [["x"], ["y"]]),
    "one column": (["pos"], [LABELS]),
}
DATA: dict[str, tuple[list[str], list[list[str]], list[str]]] = {
    "text, label": (["great one", "pos"], [TEXTS, LABELS], ["text", "label"]),
    "label, text": (["pos", "great one"], [LABELS, TEXTS], ["label", "text"]),
    "numbers": (["great one", "1"], [TEXTS, BITS], ["text", "label"]),
    "a label that is a usual name": (
        ["how are you", "question"],
        [TEXTS, ["question", "answer"] * 6],
        ["text", "label"],
    ),
    "Chinese": (["很好看的电影", "正面"], [TEXTS, ["正面", "负面"] * 6], ["text", "label"]),
    "class, title, text": (
        ["3", "Wall", "Short"],
        [["3", "1", "2", "4"] * 3, TEXTS[::-1], QUESTIONS],
        ["label", "column_2", "text"],
    ),
    "tweets": (
        ["0", "14", "NO_QUERY", "I hate it"],
        [BITS, NUMBERS, ["NO_QUERY"] * 12, TEXTS],
        ["label", "column_2", "column_3", "text"],
    ),
    "id, text, label": (["17", "great", "pos"], [NUMBERS, TEXTS, LABELS], ["column_1", "text", "label"]),
    "each label once": (["this is a long sentence about weather", "weather"], [QUESTIONS, NUMBERS], ["text", "label"]),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_is_a_header(case: str) -> None:
    first, columns = HEADERS[case]
    assert names_columns(first, list(zip(*columns, strict=True)))


@pytest.mark.parametrize("case", DATA)
def test_a_first_row_of_data_is_data(case: str) -> None:
    first, columns, names = DATA[case]
    assert not names_columns(first, list(zip(*columns, strict=True)))
    assert found_names([[f, *column] for f, column in zip(first, columns, strict=True)]) == tuple(names)


def test_no_row_is_lost_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{text}\t{label}\n" for text, label in zip(TEXTS, LABELS, strict=True)))
    table = read_file(path)
    assert table.frame.rows() == list(zip(TEXTS, LABELS, strict=True))
    assert "a.tsv has no header" in table.notes[0]
    assert "text, label" in table.notes[0]
    assert read_file(path, {"label"}).frame.rows()[:2] == [("pos",), ("neg",)]


def test_the_user_has_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{text},{label}\n" for text, label in zip(TEXTS[:3], LABELS, strict=False)))
    assert read_file(path, reading=ReadOptions(header="yes")).columns == ("great film", "pos")
    path.write_text("text,label\na,x\n")
    assert read_file(path, reading=ReadOptions(header="no")).frame.height == 2
