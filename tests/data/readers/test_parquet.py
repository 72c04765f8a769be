from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thriftune.data.readers.formats import read_file
from thriftune.errors import InputError


def write(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_text_of_every_kind_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    values = pa.array(["a", None, "b", "a"], kind)
    assert read_file(write(tmp_path / "a.parquet", text=values)).frame["text"].to_list() == ["a", None, "b", "a"]


def test_dictionaries_are_what_they_hold(tmp_path: Path) -> None:
    text = pa.array(["a", None, "b"]).dictionary_encode()
    large = pa.array(["a", None, "b"], pa.large_string()).dictionary_encode()
    numbers = pa.array([1, None, 2]).dictionary_encode()
    table = read_file(write(tmp_path / "a.parquet", text=text, large=large, numbers=numbers))
    assert table.frame.schema == {"text": pl.String, "large": pl.String, "numbers": pl.Int64}
    assert table.frame.rows() == [("a", "a", 1), (None, None, None), ("b", "b", 2)]
    pl.DataFrame({"text": ["x", "y"]}, schema={"text": pl.Categorical}).write_parquet(tmp_path / "b.parquet")
    assert read_file(tmp_path / "b.parquet").frame.schema == {"text": pl.String}


def test_paths_and_names_are_literal(tmp_path: Path) -> None:
    (tmp_path / "k=1").mkdir()
    names = {"^a$": pa.array(["1"]), "a": pa.array(["2"]), "*": pa.array(["3"]), "a.b": pa.array(["4"])}
    path = write(tmp_path / "k=1" / "d[1].parquet", **names)
    write(tmp_path / "k=1" / "d1.parquet", **{name: pa.array(["no"]) for name in names})
    assert read_file(path).frame.to_dicts() == [{"^a$": "1", "a": "2", "*": "3", "a.b": "4"}]
    assert read_file(path, {"^a$", "a"}).frame.to_dicts() == [{"^a$": "1", "a": "2"}]


def test_a_name_that_occurs_twice(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["label", "label"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match='the column "label" occurs 2 times'):
        read_file(tmp_path / "a.parquet")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    buffers = [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    with pytest.raises(InputError, match="Invalid UTF8"):
        read_file(write(tmp_path / "a.parquet", text=pa.Array.from_buffers(pa.string(), 1, buffers)))
