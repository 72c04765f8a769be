import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from thriftune.data.readers import compressed
from thriftune.data.readers.formats import read_file
from thriftune.data.sources import read_source
from thriftune.errors import InputError

CSV = b"text,label\na,x\nb,y\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
CONTENTS = {
    ".csv": CSV,
    ".tsv": CSV.replace(b",", b"\t"),
    ".txt": CSV.replace(b",", b"\t"),
    ".jsonl": b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n',
    ".json": b'[{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]',
}


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("ending", CONTENTS)
def test_packed_files_are_read(tmp_path: Path, ending: str, packed: str) -> None:
    path = tmp_path / f"a{ending}{packed}"
    path.write_bytes(PACKERS[packed](CONTENTS[ending]))
    assert read_file(path).frame.rows() == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize("name", ["a.zip", "a.csv.zip"])
def test_a_zip_of_one_file_is_read(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("folder/a.csv", CSV)
        archive.writestr("__MACOSX/._a.csv", b"junk")
    assert read_file(tmp_path / name).frame.rows() == [("a", "x"), ("b", "y")]


def test_a_packed_file_under_a_plain_name_is_read_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(gzip.compress(CSV))
    table = read_file(tmp_path / "a.csv")
    assert table.frame.height == 2
    assert "which its name does not say" in table.notes[0]


def test_a_folder_of_packed_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv.gz").write_bytes(gzip.compress(CSV))
    tables, notes = read_source(str(tmp_path))
    assert list(tables) == ["train", "test"]
    assert notes == []


def zipped(**members: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return write


BAD: dict[str, tuple[str, bytes | Callable[[Path], None], str]] = {
    "two files": ("a.zip", zipped(**{"a.csv": CSV, "b.csv": CSV}), r"holds 2 files \(a\.csv, b\.csv\); one is read"),
    "parquet": ("a.zip", zipped(**{"a.parquet": b"x"}), "not read from an archive. Unpack it"),
    "packed parquet": ("a.parquet.gz", gzip.compress(b"PAR1"), "not read from an archive. Unpack it"),
    "unknown inside": ("a.docx.gz", gzip.compress(b"x"), r'holds a "\.docx" file; data files end in'),
    "nothing inside": ("a.csv.gz", gzip.compress(b""), "holds an empty file"),
    "cut": ("a.csv.gz", gzip.compress(CSV * 99)[:-20], "cannot be unpacked"),
    "no gzip": ("a.csv.gz", CSV, "is not such a file"),
    "zstandard": ("a.csv.zst", b"\x28\xb5\x2f\xfd0000", "zstandard"),
    "tar": ("a.tar.gz", gzip.compress(b"x"), "an archive of files is not read"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_unpacked_says_so(tmp_path: Path, case: str) -> None:
    name, content, message = BAD[case]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    with pytest.raises(InputError, match=message):
        read_file(path)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_a_bomb_ends_in_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(compressed, "_SMALL", 1 << 20)
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(b"a" * (8 << 20)))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", b"a" * (8 << 20))
    with pytest.raises(InputError, match="no text is compressed so well"):
        read_file(path)
