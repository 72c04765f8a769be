from collections.abc import Callable
from pathlib import Path

import pytest

from thriftune.data.sources import read_source
from thriftune.errors import InputError


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Path]:
    def write(*places: str) -> Path:
        for place in places:
            path = tmp_path / "reviews" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"the text of {place}\n".encode())
        return tmp_path / "reviews"

    return write


def test_a_folder_per_class(texts: Callable[..., Path]) -> None:
    folder = texts("pos/1.txt", "pos/2.txt", "neg/1.txt", ".git/a.txt", "pos/.hidden.txt", "readme.md")
    tables, notes = read_source(str(folder))
    assert tables["train"].frame.rows() == [
        ("the text of neg/1.txt", "neg", "neg/1.txt"),
        ("the text of pos/1.txt", "pos", "pos/1.txt"),
        ("the text of pos/2.txt", "pos", "pos/2.txt"),
    ]
    assert tables["train"].columns == ("text", "label", "file")
    assert (list(tables), notes) == (["train"], [])
    assert "its label the name of its folder (neg, pos)" in tables["train"].notes[0]


def test_a_folder_per_split_and_class(texts: Callable[..., Path]) -> None:
    folder = texts(
        *(f"{split}/{label}/{i}_7.txt" for split in ("train", "test") for label in ("pos", "neg") for i in range(2)),
        "train/unsup/0_0.txt",
        "train/urls_pos.txt",
        "imdb.vocab",
        "README",
    )
    tables, _ = read_source(str(folder))
    assert {split: sorted(set(table.frame["label"])) for split, table in tables.items()} == {
        "train": ["neg", "pos"],
        "test": ["neg", "pos"],
    }
    assert "Not used in train, as it has no label: unsup." in tables["train"].notes


def test_files_without_an_ending_and_of_other_encodings(texts: Callable[..., Path]) -> None:
    folder = texts("sci.space/49960", "alt.atheism/53068")
    (folder / "sci.space" / "49961").write_bytes(b"From: Ren\xe9\nna\xefve\r\n")
    tables, _ = read_source(str(folder))
    assert tables["train"].frame["text"].to_list()[-1] == "From: René\nnaïve"
    assert "files that are not UTF-8 are read as cp1252 (1)" in tables["train"].notes[-1]


def test_a_single_class_is_no_such_folder(texts: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"no file named after a split.*no folder of \.txt files per class"):
        read_source(str(texts("pos/1.txt")))


def test_two_folders_for_a_split(texts: Callable[..., Path]) -> None:
    folder = texts(*(f"{split}/{label}/1.txt" for split in ("dev", "valid") for label in ("a", "b")))
    with pytest.raises(InputError, match="several folders for validation: dev, valid"):
        read_source(str(folder))
