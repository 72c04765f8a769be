"""Files of a study's folder: literal paths, whole writes, damage that is named."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from thriftune.results.files import (
    DamagedError,
    checksums,
    delete,
    read_json,
    read_parquet,
    sha256,
    write_atomic,
    write_json,
    write_parquet,
    write_text,
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b'{"a": 1', "not JSON"),
        (b"null", "holds null"),
        (b"[1]", "holds a list"),
        (b"3", "holds a number"),
        (b"true", "holds true or false"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": ' * 100_000, "recursion limit"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"\x00" * 40, "not JSON"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=why) as found:
        read_json(path)
    assert str(path) in str(found.value)
    assert "thriftune compare" in str(found.value)


def test_missing_files_and_folders_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for read in (read_json, read_parquet):
        with pytest.raises(DamagedError, match="missing"):
            read(tmp_path / "nothing")
        with pytest.raises(DamagedError, match="cannot be read"):
            read(tmp_path / "folder")


def test_an_empty_folder_gives_way_to_the_file_and_a_full_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.mkdir()
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    full = tmp_path / "full.json"
    (full / "inside").mkdir(parents=True)
    with pytest.raises(OSError):
        write_json(full, {"a": 1})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full.json", "results.json"], "nothing temporary is left"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table", b"PAR1" + b"\x00" * 60 + b"PAR1"])
def test_damaged_tables_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test.parquet"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="parquet"):
        read_parquet(path)


@pytest.mark.parametrize("name", ["a*", "d[1]", "a?b", "~", "s3:x", "x=1", "{a,b}", "$HOME", "file:"])
def test_paths_are_literal(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for other in ("ab", "d1", "axb", "a", "b"):
        write_parquet(Path(other) / "t.parquet", pl.DataFrame({"wrong": [0]}))
    for folder in (Path(name), tmp_path / name):
        write_parquet(folder / "t.parquet", pl.DataFrame({"right": [1, 2]}))
        assert read_parquet(folder / "t.parquet")["right"].to_list() == [1, 2]
    assert (tmp_path / name / "t.parquet").exists()


def test_the_bytes_are_on_the_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    synced, replaced = __import__("os").fsync, Path.replace

    def fsync(handle: int) -> None:
        steps.append("flush")
        synced(handle)

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replaced(self, target)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_text(tmp_path / "a", "text")
    assert steps == ["flush", "rename", "flush"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        write_atomic(path, fail)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_link_is_deleted_not_what_it_points_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    link = tmp_path / "link"
    link.symlink_to(outside)
    delete(link)
    assert not link.is_symlink()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    delete(inside)
    delete(inside)
    assert not inside.exists()
    assert (outside / "kept").read_text() == "kept"


def test_checksums(tmp_path: Path) -> None:
    write_text(tmp_path / "model" / "a.json", "abc")
    write_text(tmp_path / "run.json", "{}")
    assert checksums(tmp_path, without=["run.json"]) == {
        "model/a.json": {"bytes": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    }
    assert sha256(tmp_path / "run.json") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
