"""csv, tsv and jsonl, row by row: what is malformed keeps its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from thriftune.errors import InputError
from thriftune.use import rows as rows_module
from thriftune.use import text_files
from thriftune.use.files import format_of, open_rows


def read(path: Path, kind: str = "csv", skip: int = 0) -> tuple[list[Any], list[str]]:
    """All rows and reasons of a file."""
    windows = list(open_rows(path, kind).windows(skip))
    assert all(0 < window.read <= 1 for window in windows)
    return [row for window in windows for row in window.rows], [why for window in windows for why in window.reasons]


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "WINDOW", 3)


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_quotes_line_breaks_and_delimiters(tmp_path: Path) -> None:
    text = 'a;b\r\n1;"x; ""y""\nz"\r\n\r\n2;\0\r\n"";""\r\n3;w;;\r\n'
    path = write(tmp_path / "a.csv", "\ufeff" + text)
    found = open_rows(path, "csv")
    assert found.names == ("a", "b")
    assert read(path) == ([["1", 'x; "y"\nz'], ["2", "\0"], ["", ""], ["3", "w"]], [""] * 4)
    assert read(path, skip=3) == ([["3", "w"]], [""])


@pytest.mark.parametrize(
    ("line", "row", "said"),
    [
        ('1,"never closed', ["1", "never closed"], "a quote opens and does not close"),
        ('1,"closed" and more', ["1", "closed and more"], "text follows a closing quote"),
        ("1", ["1", ""], "1 fields, the header has 2"),
        ("1,2,3,4", ["1", "2"], "4 fields, the header has 2; left over: 3,4"),
    ],
)
def test_malformed_lines_are_rows(tmp_path: Path, line: str, row: list[str], said: str) -> None:
    path = write(tmp_path / "a.csv", f"a,b\n0,before\n{line}\n2,after\n3,last\n")
    rows, reasons = read(path)
    assert rows == [["0", "before"], row, ["2", "after"], ["3", "last"]]
    assert [bool(reason) for reason in reasons] == [False, True, False, False]
    assert said in reasons[1]


def test_a_stray_quote_costs_its_line_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MOST_LINES", 50)
    lines = [f"{i},text {i}" for i in range(200)]
    lines[10] = '10,"text 10'
    path = write(tmp_path / "a.csv", "\n".join(["a,b", *lines]) + "\n")
    rows, reasons = read(path)
    assert [int(row[0]) for row in rows] == list(range(200))
    assert [index for index, reason in enumerate(reasons) if reason] == [10]


def test_a_column_alone(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", 'text\nx\n""\n\ny\n')) == ([["x"], [""], ["y"]], [""] * 3)


def test_tabs_with_and_without_quotes(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.tsv", 'a\tb\n1\t"x" is said\n2\ty, "z\n')
    assert read(plain, "tsv")[0] == [["1", '"x" is said'], ["2", 'y, "z']]
    quoted = write(tmp_path / "b.tsv", 'a\tb\n1\t"x\ny"\n2\t"z"\n')
    assert read(quoted, "tsv")[0] == [["1", "x\ny"], ["2", "z"]]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n" + "é,ü,\n".encode() * 5 + b"\xff\xfe x,y\n")
    rows, _ = read(path)
    assert rows[-1][0].encode("utf-8", "surrogateescape") == b"\xff\xfe x"
    assert "not whole UTF-8" in open_rows(path, "csv").notes[0]
    with pytest.raises(InputError, match="not text"):
        open_rows(write(tmp_path / "b.csv", bytes(range(256)) * 9), "csv")
    latin = write(tmp_path / "c.csv", "a,b\ncafé,über\nnaïve,déjà\n".encode("cp1252"))
    assert read(latin)[0] == [["café", "über"], ["naïve", "déjà"]]
    wide = write(tmp_path / "d.csv", "a,b\n猫,犬\n".encode("utf-16"))
    assert read(wide)[0] == [["猫", "犬"]]


def test_packed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", gzip.compress(b"a,b\n1,2\n"))
    assert format_of(path, None) == "csv"
    assert read(path) == ([["1", "2"]], [""])
    with pytest.raises(InputError, match="cannot be read"):
        open_rows(write(tmp_path / "b.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:20]), "csv")


def test_objects_by_line(tmp_path: Path) -> None:
    lines = [
        '{"a": 1, "b": [1, {"c": null}]}',
        "",
        "{",
        "[1]",
        '{"b": "x", "d": 1.5}',
        '{"a": "\\ud800"}',
        "[" * 99_999,
    ]
    path = write(tmp_path / "a.jsonl", "\n".join(lines))
    found = open_rows(path, "jsonl")
    rows, reasons = read(path, "jsonl")
    assert found.names == ("a", "b", "d")
    assert rows == [json.loads(lines[0]), {}, {}, json.loads(lines[4]), {"a": "\ud800"}, {}]
    assert [bool(reason) for reason in reasons] == [False, True, True, False, False, True]
    assert all(len(reason) < 400 for reason in reasons)
    with pytest.raises(InputError, match="no line with a JSON object"):
        open_rows(write(tmp_path / "b.jsonl", "1\n2\n"), "jsonl")


@pytest.mark.parametrize(("name", "data"), [("a.csv", b""), ("a.jsonl", b""), ("a.csv", b"\n\n"), ("a.parquet", b"x")])
def test_what_is_no_file_of_rows(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(InputError):
        open_rows(write(tmp_path / name, data), name.split(".")[1])


def test_windows_end_before_they_hold_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHARACTERS", 20)
    path = write(tmp_path / "a.csv", "a\n" + "12345678\n" * 4 + "1\n" * 4 + "x" * 99 + "\n")
    sizes = [len(window.rows) for window in open_rows(path, "csv").windows(0)]
    assert sizes == [2, 3, 3, 1]
