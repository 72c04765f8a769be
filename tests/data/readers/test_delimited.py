import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thriftune.data.readers.formats import read_file
from thriftune.data.table import ReadOptions
from thriftune.errors import InputError


def read(tmp_path: Path, name: str, content: str | bytes, **reading: object) -> list[tuple[str, ...]]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read_file(path, reading=ReadOptions(**reading))  # type: ignore[arg-type]
    return [table.columns, *table.frame.rows()]


ROWS = [("text", "label"), ("a", "x"), ("b", "y")]
READ = {
    "sep line": ("a.csv", "\ufeffsep=;\r\ntext;label\r\na;x\r\nb;y\r\n", ROWS),
    "sep line with a tab": ("a.csv", "sep=\t\ntext\tlabel\na\tx\nb\ty\n", ROWS),
    "sep line, unusual mark": ("a.csv", '"SEP=~"\ntext~label\na~x\nb~y\n', ROWS),
    "cr alone": ("a.csv", "text,label\ra,x\rb,y\r", ROWS),
    "cr alone, tabs": ("a.tsv", "text\tlabel\ra\tx\rb\ty\r", ROWS),
    "blank lines": ("a.csv", "\n\ntext,label\n\na,x\n   \nb,y\n\n", ROWS),
    "trailing delimiters": ("a.csv", "text,label,,\na,x,,\nb,y,,\n", ROWS),
    "trailing delimiters in rows": ("a.csv", "text,label\na,x,\nb,y,,\n", ROWS),
    "trailing delimiters in the header": ("a.csv", "text;label;\na;x\nb;y\n", ROWS),
    "blanks in the header": ("a.csv", " text , label\na,x\nb,y\n", ROWS),
    "index of pandas": ("a.csv", ",text,label\n0,a,x\n1,b,y\n", ROWS),
    "index of pandas, written twice": ("a.csv", "Unnamed: 0,text,label\n0,a,x\n1,b,y\n", ROWS),
    "commas in a tsv": ("a.tsv", "text,label\na,x\nb,y\n", ROWS),
    "other delimiter in a later column": (
        "a.csv",
        'text;label;"a, b"\n"one; two";x;0,5\nb;y;1,5\n',
        [("text", "label", "a, b"), ("one; two", "x", "0,5"), ("b", "y", "1,5")],
    ),
    "other delimiter in the header alone": (
        "a.csv",
        "text;label;note, if any\na;x;n\nb;y;m\n",
        [("text", "label", "note, if any"), ("a", "x", "n"), ("b", "y", "m")],
    ),
    "line breaks in quotes, tabs": (
        "a.tsv",
        'text\tlabel\n"a\nmore"\tx\n"b\r\n\tmore"\ty\n',
        [("text", "label"), ("a\nmore", "x"), ("b\r\n\tmore", "y")],
    ),
    "tabs in quotes": ("a.tsv", 'text\tlabel\n"a\tmore"\tx\nb\ty\n', [("text", "label"), ("a\tmore", "x"), ("b", "y")]),
    "line breaks in quotes, txt": (
        "a.txt",
        'text\tlabel\n"a\nb"\tx\nb\ty\n',
        [("text", "label"), ("a\nb", "x"), ROWS[2]],
    ),
    "quotes as text, as SNLI has them": (
        "a.txt",
        'label\ttext\nx\t"Hello" she said\ny\t"b\nx\t"c"\n',
        [("label", "text"), ("x", '"Hello" she said'), ("y", '"b'), ("x", '"c"')],
    ),
    "names like regular expressions": (
        "a.csv",
        "^a$,*,count\na,x,1\nb,y,2\n",
        [("^a$", "*", "count"), ("a", "x", "1"), ("b", "y", "2")],
    ),
    "semicolons in a txt": ("a.txt", "i feel sad;sadness\n" + "so happy now;joy\ni am down;sadness\n" * 3, None),
}


@pytest.mark.parametrize("case", READ)
def test_what_people_have_is_read(tmp_path: Path, case: str) -> None:
    name, content, rows = READ[case]
    if rows is None:
        assert read(tmp_path, name, content)[1] == ("i feel sad", "sadness")
    else:
        assert read(tmp_path, name, content) == rows


BAD = {
    "duplicate name": (
        "a.csv",
        "text,label,label\na,b,c\n",
        'the column "label" occurs twice in the header.*Rename one',
    ),
    "duplicate but for blanks": ("a.tsv", "text\tlabel\tlabel \na\tb\tc\n", 'the column "label" occurs twice'),
    "unclosed": (
        "a.csv",
        'text,label\na,x\n"b,y\nc,x\n' + "d,x\n" * 50,
        "line 3: a quote opens here and is never closed",
    ),
    "unclosed after a line break in quotes": (
        "a.csv",
        'text,label\n"a\nb",x\n"c\nd","y\ne,x\n',
        "line 5: a quote opens here and is never closed",
    ),
    "closed by the next row's quote": (
        "a.csv",
        'text,label\n"a,x\n"b",y\n',
        "line 2: a quote opens here, and text follows where it closes in line 3",
    ),
    "text after a quote": (
        "a.csv",
        'text,label\n"a" b,x\n',
        "line 2: a quote opens here, and text follows .* same line",
    ),
    "unclosed with tabs": ("a.tsv", 'text\tlabel\n"a\nb"\tx\n"c\ty\nd\tx\n', "line 4: a quote opens here and is never"),
    "swallowed rows": ("a.csv", 'text,label\n"a,x\nb,y\nc",x,z\n', r"lines 2 to 4 \(one row in quotes\) have 3 fields"),
    "too few with tabs": ("a.tsv", 'text\tlabel\n"a\nb"\tx\nc\n', "line 4 has 1 fields, the header has 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_broken_rows_are_placed_where_they_start(tmp_path: Path, case: str) -> None:
    name, content, message = BAD[case]
    with pytest.raises(InputError, match=message):
        read(tmp_path, name, content)


def test_a_pandas_index_is_there_for_who_wants_it(tmp_path: Path) -> None:
    content = "Unnamed: 0,text,label\n7,a,x\n8,b,y\n"
    assert read(tmp_path, "a.csv", content, wanted={"Unnamed: 0"})[1:] == [("7",), ("8",)]


def test_a_duplicate_that_nobody_wants_does_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, "a.csv", "id,id,text\n1,2,a\n", wanted={"text"})[1:] == [("a",)]


FIELDS = st.text(st.characters(exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=12)


@given(
    rows=st.lists(st.tuples(FIELDS, st.sampled_from(["x", "y", "x y"]), FIELDS), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    ending=st.sampled_from(["\n", "\r\n"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_csv_writer_wrote_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    delimiter: str,
    ending: str,
    codec: str,
    quoting: int,
) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("text", "label", "note"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(written.getvalue().encode(codec))
    assert read_file(path).frame.rows() == rows
