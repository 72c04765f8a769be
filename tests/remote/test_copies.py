"""Folders elsewhere and their copies here: what is transferred, in which order, and which side wins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from thriftune.errors import InputError
from thriftune.remote import lock as locks
from thriftune.remote.copy import WorkingCopy, opened
from thriftune.remote.lock import RemoteLock
from thriftune.remote.manifest import NAME as MANIFEST
from thriftune.remote.objects import Objects, UnreachableError
from thriftune.remote.output import output
from thriftune.remote.pull import look, pull
from thriftune.remote.push import push
from thriftune.remote.reading import data_here, folder_here, source_here, whole
from thriftune.remote.url import place_of, shown, url_of

URL = "memory://bucket/study"
RUN = "runs/full-seed0-1a2b3c4d"
FILES = {
    "results.json": "{}",
    "study.yaml": "name: x",
    f"{RUN}/run.json": "{1}",
    f"{RUN}/predictions/test.parquet": "p",
    f"{RUN}/model/config.json": "c",
    f"{RUN}/model/model.safetensors": "w" * 200_000,
}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "one"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield
    memory.store.clear()


def elsewhere() -> set[str]:
    names = {name.removeprefix("/bucket/study/") for name in fsspec.filesystem("memory").store}
    return {name for name in names if not name.startswith(".thriftune")}


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def pushed(files: dict[str, str]) -> list[str]:
    """Writes files through an output and gives what it said."""
    said: list[str] = []
    with output(URL, said.append) as out:
        put(out.path, files)
        said.append(str(out.push()))
    return said


class Recorded(Objects):
    """Remembers what was written and deleted, and fails from some write on."""

    def __init__(self, url: str, most: int = 10**6) -> None:
        super().__init__(url, waits=())
        self.done: list[str] = []
        self.most = most

    def put(self, local: Path, name: str) -> None:
        if len(self.done) >= self.most:
            raise UnreachableError("no network")
        self.done.append(name)
        super().put(local, name)

    def delete(self, name: str) -> None:
        self.done.append(f"-{name}")
        super().delete(name)


class TestUrl:
    @pytest.mark.parametrize(
        ("given", "url"),
        [
            ("s3://b/f/", "s3://b/f"),
            (Path("s3://b/f"), "s3://b/f"),
            ("memory:///x", "memory:///x"),
            ("results", None),
            ("C:/results", None),
            ("hub:owner/name", None),
            ("results:lora", None),
        ],
    )
    def test_what_is_one(self, given: str | Path, url: str | None) -> None:
        assert url_of(given) == url

    def test_files_are_paths(self, tmp_path: Path) -> None:
        assert place_of(f"file://{tmp_path}") == tmp_path
        assert place_of(Path(f"file://{tmp_path}")) == tmp_path

    def test_no_password_is_shown(self) -> None:
        assert shown("ftp://me:secret@host/x") == "ftp://me:***@host/x"

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("nowhere://b/f", '"nowhere" is no kind of place'),
            ("memory://", "names no folder"),
            ("memory://b/../c", "holds . or .."),
        ],
    )
    def test_refused(self, url: str, says: str) -> None:
        with pytest.raises(InputError, match=says):
            Objects(url)

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "fsspec.core.url_to_fs", lambda *_, **__: (_ for _ in ()).throw(ImportError("Install s3fs"))
        )
        with pytest.raises(InputError, match=r"pip install 'thriftune\[s3\]'"):
            Objects("s3://b/f")


class TestPush:
    def test_all_there_and_here_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert pushed(FILES)[-1].startswith("Pushed to memory://bucket/study: 6 files")
        assert elsewhere() == set(FILES)
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
        with output(URL, lambda text: None) as out:
            assert contents(out.path) == FILES
            assert out.push() == "memory://bucket/study has everything already."

    def test_only_what_changed(self) -> None:
        pushed(FILES)
        assert pushed({"results.json": "{2}", "study.yaml": "name: x"})[-1].startswith(
            "Pushed to memory://bucket/study: 1 file,"
        )

    def test_markers_come_last_and_go_first(self) -> None:
        copy, objects = opened(URL), Recorded(URL)
        put(copy.folder, FILES)
        push(copy, objects, {})
        assert objects.done[-2:] == [f"{RUN}/run.json", "results.json"]
        objects.done.clear()
        put(copy.folder, {f"{RUN}/predictions/test.parquet": "q"})
        push(copy, objects, dict(look(objects).known))
        assert objects.done == [f"-{RUN}/run.json", f"{RUN}/predictions/test.parquet", f"{RUN}/run.json"]

    def test_deleted_files_go(self) -> None:
        pushed(FILES)
        with output(URL, lambda text: None) as out:
            (out.path / f"{RUN}/predictions/test.parquet").unlink()
            out.push()
        assert elsewhere() == set(FILES) - {f"{RUN}/predictions/test.parquet"}

    def test_what_is_half_written_stays_here(self) -> None:
        pushed({**FILES, ".lock": "", ".work/train.parquet": "x", "runs/.x.tmp": "x", "search.db-journal": "x"})
        assert elsewhere() == set(FILES)

    @pytest.mark.parametrize("most", range(1, 6))
    def test_cut_short_it_never_passes_for_whole(
        self, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = opened(URL)
        put(copy.folder, FILES)
        with pytest.raises(UnreachableError):
            push(copy, Recorded(URL, most), {})
        there = elsewhere()
        assert f"{RUN}/run.json" not in there or there >= set(FILES) - {"results.json"}
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
        with output(URL, lambda text: None) as out:
            assert contents(out.path) == {name: FILES[name] for name in there}
            put(out.path, FILES)
            out.push()
        assert elsewhere() == set(FILES)

    def test_a_database_is_one_consistent_state(self) -> None:
        import sqlite3

        with output(URL, lambda text: None) as out:
            connection = sqlite3.connect(out.path / "search.db")
            connection.execute("create table t (x)")
            connection.execute("insert into t values (1)")
            connection.commit()
            connection.execute("insert into t values (2)")
            out.push()
            connection.close()
        with output(URL, lambda text: None) as out:
            assert sqlite3.connect(out.path / "search.db").execute("select x from t").fetchall() == [(1,)]
            assert out.push() == "memory://bucket/study has everything already."


class TestPull:
    def test_what_was_not_pushed_stays(self) -> None:
        pushed(FILES)
        copy = opened(URL)
        put(copy.folder, {"report.html": "new", "results.json": "{2}"})
        with output(URL, lambda text: None) as out:
            assert contents(out.path) == {**FILES, "report.html": "new", "results.json": "{2}"}
        assert "report.html" in elsewhere()

    def test_what_went_there_goes_here(self) -> None:
        pushed(FILES)
        fsspec.filesystem("memory").rm(f"/bucket/study/{RUN}", recursive=True)
        with output(URL, lambda text: None) as out:
            assert set(contents(out.path)) == {"results.json", "study.yaml"}
            assert not (out.path / RUN).exists()

    def test_a_run_that_both_made_is_theirs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pushed({"study.yaml": "name: x"})
        put(opened(URL).folder, {f"{RUN}/run.json": "here", f"{RUN}/only.txt": "here"})
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
        pushed(FILES)
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "one"))
        with output(URL, lambda text: None) as out:
            assert contents(out.path) == FILES

    def test_a_run_that_is_whole_here_alone_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pushed({"study.yaml": "name: x", f"{RUN}/checkpoint/1.pt": "a"})
        here = opened(URL).folder
        put(here, {f"{RUN}/run.json": "here"})
        (here / f"{RUN}/checkpoint/1.pt").unlink()
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
        pushed({f"{RUN}/checkpoint/2.pt": "b"})
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "one"))
        with output(URL, lambda text: None) as out:
            assert contents(out.path) == {"study.yaml": "name: x", f"{RUN}/run.json": "here"}
        assert elsewhere() == {"study.yaml", f"{RUN}/run.json"}

    def test_a_lost_copy_deletes_nothing(self) -> None:
        pushed(FILES)
        (opened(URL).folder / f"{RUN}/run.json").unlink()
        with output(URL, lambda text: None) as out:
            assert contents(out.path) == FILES

    def test_what_was_altered_there_is_not_used(self) -> None:
        pushed(FILES)
        fsspec.filesystem("memory").pipe_file(f"/bucket/study/{RUN}/predictions/test.parquet", b"q")
        copy, objects = opened(URL), Objects(URL)
        (copy.base / "state.json").unlink()
        copy.load()
        (copy.folder / f"{RUN}/predictions/test.parquet").unlink()
        assert pull(copy, objects, look(objects)) == [f"{RUN}/predictions/test.parquet"]

    @pytest.mark.parametrize("name", ["runs/../../../out.txt", "runs//x"])
    def test_no_name_leads_out_of_the_copy(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        objects = Objects(URL)
        monkeypatch.setattr(objects._files, "find", lambda *_, **__: {f"/bucket/study/{name}": {"size": 1}})
        with pytest.raises(InputError, match="no path here"):
            objects.sizes()


class TestReading:
    def test_weights_come_when_they_are_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pushed(FILES)
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
        here = folder_here(URL)
        weights = f"{RUN}/model/model.safetensors"
        assert set(contents(here)) == set(FILES) - {weights}
        whole(here / RUN / "model")
        assert contents(here) == FILES

    @pytest.mark.parametrize(
        ("text", "rest"),
        [
            (URL, ""),
            (f"{URL}:lora r8", ":lora r8"),
            (f"{URL}/{RUN}", f"/{RUN}"),
            (f"{URL}/{RUN}/model", f"/{RUN}/model"),
        ],
    )
    def test_classifiers(self, text: str, rest: str) -> None:
        pushed(FILES)
        assert source_here(text) == f"{opened(URL).folder}{rest}"

    def test_nothing_there(self) -> None:
        with pytest.raises(InputError, match="is not there, or holds nothing"):
            folder_here("memory://bucket/nothing")

    def test_reads_the_copy_that_is_written_to(self) -> None:
        pushed(FILES)
        with output(URL, lambda text: None) as out:
            put(out.path, {"results.json": "{3}"})
            assert (folder_here(URL) / "results.json").read_text() == "{3}"
            with pytest.raises(InputError, match="on this machine is writing"), output(URL, lambda text: None):
                pass

    def test_data(self) -> None:
        memory = fsspec.filesystem("memory")
        memory.pipe_file("/bucket/reviews.csv", b"a,b\n")
        assert data_here("memory://bucket/reviews.csv").name == "reviews.csv"
        memory.pipe_file("/bucket/reviews.csv", b"c,d\n")
        assert data_here("memory://bucket/reviews.csv").read_text() == "c,d\n"
        assert (data_here("memory://bucket") / "reviews.csv").exists()


class TestLock:
    def test_one_writer(self) -> None:
        first, second = RemoteLock(Objects(URL)), RemoteLock(Objects(URL))
        first.acquire()
        with pytest.raises(InputError, match=r"Another thriftune is writing to memory://bucket/study: process \d+"):
            second.acquire()
        first.release()
        second.acquire()
        second.release()
        assert not Objects(URL).exists(locks.NAME)

    @pytest.mark.parametrize(
        "owner",
        [
            {"token": "x", "host": "elsewhere", "process": 1, "seen": 0.0},
            {"token": "x", "host": locks.socket.gethostname(), "process": 2**22 + 1, "seen": 4e9},
        ],
    )
    def test_what_is_gone_is_taken_over(self, owner: dict[str, object]) -> None:
        objects = Objects(URL)
        objects.write(locks.NAME, json.dumps(owner).encode())
        lock = RemoteLock(objects)
        lock.acquire()
        assert lock.held()
        lock.release()

    def test_who_lost_it_pushes_nothing(self) -> None:
        said: list[str] = []
        with output(URL, said.append) as out:
            put(out.path, FILES)
            Objects(URL).write(locks.NAME, b'{"token": "y", "host": "h", "process": 1, "seen": 4e9}')
            out.push()
            assert out.error is not None
        assert elsewhere() == set()
        assert Objects(URL).exists(locks.NAME)


def test_state_that_is_damaged_is_compared_anew() -> None:
    pushed(FILES)
    copy = WorkingCopy(URL)
    (copy.base / "state.json").write_text("{")
    with output(URL, lambda text: None) as out:
        assert out.push() == "memory://bucket/study has everything already."
    assert MANIFEST.startswith(".thriftune/")
