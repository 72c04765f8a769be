import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thriftune.data.readers.formats import read_file
from thriftune.errors import InputError

ROWS = {"text": ['say "hi"', "a,b", "c;d\te"], "label": ["x", "y", "x"]}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_with_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"say ""hi""",x\n"a,b",y\n"two\nlines",x\n')
    assert read_file(path).frame.to_dict(as_series=False) == {
        "text": ['say "hi"', "a,b", "two\nlines"],
        "label": ["x", "y", "x"],
    }


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolon"), ("\t", "tab"), ("|", "vertical bar")])
def test_another_delimiter_is_found_and_noted(tmp_path: Path, mark: str, word: str) -> None:
    path = write(tmp_path / "a.csv", f"text{mark}label\na, b{mark}x\n")
    table = read_file(path)
    assert table.frame.to_dict(as_series=False) == {"text": ["a, b"], "label": ["x"]}
    assert f"read with {word} as delimiter" in table.notes[0]


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbftext,label\r\n\xc3\xa9,x\r\n")
    assert read_file(path).frame.to_dict(as_series=False) == {"text": ["é"], "label": ["x"]}


def test_long_documents(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\n" + "x" * 300_000 + ",y\n")
    assert len(read_file(path).frame["text"][0]) == 300_000


@pytest.mark.parametrize("ending", ["tsv", "txt"])
def test_stray_quotes_in_tabbed_files_are_text(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", 'text\tlabel\n"unclosed\tx\nsay "hi"\ty\n')
    assert read_file(path).frame["text"].to_list() == ['"unclosed', 'say "hi"']


def test_well_formed_quotes_in_tsv_are_quotes(tmp_path: Path) -> None:
    table = read_file(write(tmp_path / "a.tsv", 'text\tlabel\n"say ""hi"""\tx\nplain\ty\n'))
    assert table.frame["text"].to_list() == ['say "hi"', "plain"]
    assert "quoted fields" in table.notes[0]


@pytest.mark.parametrize("ending", ["jsonl", "json", "ndjson"])
def test_json_lines(tmp_path: Path, ending: str) -> None:
    lines = [{"text": "a", "label": 1}, {"text": "b", "label": 0, "extra": True}, {"text": None, "label": 1}]
    path = write(tmp_path / f"a.{ending}", "\n".join(json.dumps(line) for line in lines) + "\n\n")
    assert read_file(path).frame.to_dict(as_series=False) == {
        "text": ["a", "b", None],
        "label": [1, 0, 1],
        "extra": [None, True, None],
    }


def test_numbers_among_strings_in_json_are_named_as_labels_are(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", '{"label": 1}\n{"label": "b"}\n{"label": 2.0}\n{"label": 123456789012345678901}\n'
    )
    assert read_file(path).frame["label"].to_list() == ["1", "b", "2", "123456789012345678901"]


def test_only_wanted_columns_are_kept_and_all_are_named(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", "id,text,label\n1,a,x\n")
    jsonl = write(tmp_path / "a.jsonl", '{"id": 1, "text": "a", "label": "x"}\n')
    parquet = tmp_path / "a.parquet"
    pl.read_csv(csv).write_parquet(parquet)
    for path in (csv, jsonl, parquet):
        table = read_file(path, {"text", "other"})
        assert table.frame.columns == ["text"]
        assert table.columns == ("id", "text", "label")


def test_parquet_with_class_names_from_the_hub(tmp_path: Path) -> None:
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}, "text": {"_type": "Value"}}
    table = pa.table({"text": ["a", "b"], "label": [0, 1]})
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert read_file(tmp_path / "a.parquet").label_names == {"label": ("no", "yes")}


BAD = {
    "empty file": ("a.csv", "", r"a\.csv is empty \(0 bytes\)"),
    "header only": ("a.csv", "text,label\n", "no data rows, only a header: text, label"),
    "header only, json": ("a.jsonl", "\n", "no data rows"),
    "blank first line": ("a.tsv", "\t\na\tb\n", "starts with a blank line"),
    "unknown ending": ("a.docx", "x", r'ends in "\.docx"; data files end in \.csv'),
    "old workbook": ("a.xls", "x", r'ends in "\.xls".*Save it as \.xlsx'),
    "pickle": ("a.pkl", "x", "pickled data can run code"),
    "damaged utf-8": (
        "a.csv",
        "text,label\nabc,é\n".encode() + b"caf\xe9,y\n",
        r"not UTF-8: byte 21 \(line 3\).*Save the file as UTF-8",
    ),
    "bytes of no encoding": ("a.jsonl", b'{"a": "\x81\x8d\xff"}\n', r"encoding is not clear.*Set data\.encoding"),
    "binary": ("a.csv", b"\x00\x01\x02\xff\x00\xfe", "is not text: it holds NUL bytes"),
    "too many fields": ("a.csv", "text,label\na,b,x\n", r"line 2 has 3 fields, the header has 2 \(text, label"),
    "too few fields": ("a.tsv", "text\tlabel\na\tx\nb\n", "line 3 has 1 fields, the header has 2"),
    "unclosed quote": ("a.csv", 'text,label\n"abc,x\nd,y\n', "line 2: a quote opens here and is never closed"),
    "broken json": ("a.jsonl", '{"text": "a"}\n{"text": \n', "line 2 is not JSON"),
    "arrays in lines": ("a.jsonl", '["a"]\n["b"]\n', "line 1 is a JSON list"),
    "nested values": ("a.jsonl", '{"text": [["a"]]}\n', 'column "text" holds nested values'),
    "half a character": ("a.jsonl", '{"text": "\\ud83d"}\n', "half a character"),
    "not parquet": ("a.parquet", "text", "not a readable parquet file"),
}


@pytest.mark.parametrize("case", BAD)
def test_broken_files_say_where(tmp_path: Path, case: str) -> None:
    name, content, message = BAD[case]
    with pytest.raises(InputError, match=message):
        read_file(write(tmp_path / name, content))


def test_a_wrong_byte_far_into_a_file_is_placed(tmp_path: Path) -> None:
    line = "é" * 100 + ",x\n"
    good = "text,label\n" + line * 8000
    path = write(tmp_path / "a.csv", good.encode() + b"\xe9,y\n")
    with pytest.raises(InputError, match=rf"byte {len(good.encode())} \(line 8002\)"):
        read_file(path)
