import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from thriftune.data.readers.formats import read_file
from thriftune.data.sources import read_source
from thriftune.errors import InputError

_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
DATE = "date:"


def workbook(path: Path, sheets: dict[str, list[list[object]]], extra: str = "") -> Path:
    """Writes cells: numbers, booleans, strings, None, and `date:N` for the day N."""
    names = list(sheets)
    listed = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(names, 1))
    targets = "".join(
        f'<Relationship Id="r{i}" Type="{_REL}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(names) + 1)
    )
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{i}.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        for i in range(1, len(names) + 1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        f"{overrides}</Types>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{_REL}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{_REL}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{targets}'
        f'<Relationship Id="s" Type="{_REL}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet {_MAIN}><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" '
        'applyNumberFormat="1"/></cellXfs></styleSheet>',
    }
    for number, rows in enumerate(sheets.values(), 1):
        lines = "".join(
            f'<row r="{r}">{"".join(_cell(value, r, c) for c, value in enumerate(row))}</row>'
            for r, row in enumerate(rows, 1)
        )
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f"<worksheet {_MAIN}><sheetData>{lines}{extra}</sheetData></worksheet>"
        )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return path


def _cell(value: object, row: int, column: int) -> str:
    place = f'r="{chr(65 + column)}{row}"'
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c {place} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, str) and value.startswith(DATE):
        return f'<c {place} s="1"><v>{value.removeprefix(DATE)}</v></c>'
    if isinstance(value, str):
        return f'<c {place} t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return f"<c {place}><v>{value}</v></c>"


def test_cells_are_text_as_a_sheet_shows_them(tmp_path: Path) -> None:
    rows = [
        ["text", "stars", "score", "when", "seen"],
        ["fine, really\n& good", 5, 0.25, DATE + "45413", True],
        ["bad", 1, -2.0, DATE + "45413.5", False],
        [None, None, None, None, None],
        ["no idea", None, 1e6, None, None],
    ]
    table = read_file(workbook(tmp_path / "a.xlsx", {"Reviews": rows}))
    assert table.columns == ("text", "stars", "score", "when", "seen")
    assert table.frame.rows() == [
        ("fine, really\n& good", "5", "0.25", "2024-05-01", "true"),
        ("bad", "1", "-2", "2024-05-01T12:00:00", "false"),
        ("no idea", None, "1000000", None, None),
    ]
    assert table.notes == ()


def test_the_first_sheet_with_data_is_read_and_said(tmp_path: Path) -> None:
    rows: list[list[object]] = [["text", "label"], ["a", "x"]]
    table = read_file(workbook(tmp_path / "a.xlsx", {"Empty": [], "One": rows, "Two": [["other"], ["b"]]}))
    assert table.frame.rows() == [("a", "x")]
    assert table.notes == ('a.xlsx: the sheet "One" is read, not "Two".',)


def test_a_sheet_without_a_header_is_recognised(tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"text number {i}", ["good", "bad"][i % 2]] for i in range(12)]
    table = read_file(workbook(tmp_path / "a.xlsx", {"S": rows}))
    assert (table.columns, table.frame.height) == (("text", "label"), 12)


def test_a_folder_of_workbooks(tmp_path: Path) -> None:
    for split in ("train", "test"):
        workbook(tmp_path / f"{split}.xlsx", {"S": [["text", "label"], [split, "x"]]})
    (tmp_path / "~$train.xlsx").write_bytes(b"lock")
    tables, _ = read_source(str(tmp_path))
    assert {split: table.frame["text"][0] for split, table in tables.items()} == {"train": "train", "test": "test"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04junk", "cannot be unpacked"),
        (b"text,label\n", "cannot be unpacked"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "cannot be unpacked"),
    ],
)
def test_what_is_no_workbook_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_file(tmp_path / "a.xlsx")


def test_an_empty_workbook_and_a_cell_far_away(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no data: its sheets \(One, Two\) are empty"):
        read_file(workbook(tmp_path / "a.xlsx", {"One": [], "Two": []}))
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    with pytest.raises(InputError, match=r"cells up to row 1,048,576 and column 16,384"):
        read_file(workbook(tmp_path / "a.xlsx", {"One": [["text"], ["a"]]}, far))
