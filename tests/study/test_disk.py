"""A full disk, and damage to any file that a study left: a clear error or a recovery, never a wrong result."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commands import run as command
from tests.study.small_study import ALL_METHODS, small_study

from thriftune.comparison import compare_and_analyse
from thriftune.results.storage.errors import UnwritableError
from thriftune.results.store import Store
from thriftune.study.execute import compare
from thriftune.study.file.config import Study


def _study(folder: Path) -> Study:
    protocol = {"epochs": 1, "batch_size": 16, "max_tokens": 32, "device": "cpu"}
    return small_study(folder, methods=["tfidf", ALL_METHODS[3]], protocol=protocol)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    compare_and_analyse(_study(folder), folder / "out", isolate=False)
    (folder / "texts.csv").write_text("premise,hypothesis\na cat sits,it sleeps\nno man,a man eats\n", encoding="utf-8")
    return folder


def _files(folder: Path) -> list[str]:
    paths = sorted(path.relative_to(folder / "out") for path in (folder / "out").rglob("*") if path.is_file())
    return [path.as_posix() for path in paths if path.name != "README.md"]


def _kinds(folder: Path) -> list[str]:
    """One file of each kind: by its name, of the run on a transformer where both have it."""
    return sorted({Path(name).name: name for name in _files(folder)}.values())


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _predicted(folder: Path, run: str) -> tuple[int, str, str | None]:
    made = folder / "predictions.csv"
    made.unlink(missing_ok=True)
    result = command("predict", f"{folder / 'out'}:{run}", str(folder / "texts.csv"), "--out", str(made))
    return result.exit_code, result.output, made.read_text(encoding="utf-8") if made.exists() else None


def _scores(folder: Path) -> dict[str, Any]:
    return {run.name: (run.status, run.test, run.validation) for run in Store(folder / "out").load().runs}


def _check(whole: Path, folder: Path, name: str, damage: Callable[[Path], None], again: bool) -> None:
    copy = folder / "copy"
    shutil.copytree(whole, copy)
    damage(copy / "out" / name)
    for run in ("tfidf", "top_layers 1"):
        code, said, made = _predicted(copy, run)
        assert (code == 0 and made == _predicted(whole, run)[2]) or (code == 2 and "damaged" in said), (name, run, said)
    report = command("report", str(copy / "out"))
    assert report.exit_code == 0 or (report.exit_code == 2 and "damaged" in report.stderr), (name, report.output)
    if name.startswith("runs/") and "/model/" not in name and not name.endswith("/log.txt"):
        assert report.exit_code == 2, f"{name}: the page is made of it"
    if again:
        compare(_study(copy), copy / "out", isolate=False)
        assert _scores(copy) == _scores(whole), name
        assert command("report", str(copy / "out")).exit_code == 0, name
    shutil.rmtree(copy)


@pytest.mark.parametrize("damage", [_flip, _cut])
def test_damage_to_a_run_s_tables_and_weights(whole: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    results = Store(whole / "out").load()
    run = results.store.run(results.runs[1].run_id).path.relative_to(whole / "out").as_posix()
    for name in ("predictions/test.parquet", "model/model.safetensors"):
        _check(whole, tmp_path, f"{run}/{name}", damage, again=False)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_flip, _cut])
def test_damage_to_any_kind_of_file(whole: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    kinds = _kinds(whole)
    assert {"results.json", "run.json", "history.jsonl", "dynamics.parquet", "model.safetensors", "best.json"} <= {
        Path(name).name for name in kinds
    }
    for name in kinds:
        _check(whole, tmp_path, name, damage, again=True)


def _full(monkeypatch: pytest.MonkeyPatch, wanted: Callable[[Path], bool]) -> None:
    """No room for files of some names."""
    real = os.fsync

    def fsync(handle: int) -> None:
        if wanted(Path(os.readlink(f"/proc/self/fd/{handle}"))):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr("os.fsync", fsync)


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files as Linux has them")


@needs_proc
def test_no_room_for_the_results_ends_the_study_and_it_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small_study(tmp_path, methods=["majority", "tfidf"], models=None, protocol=None)
    done: list[str] = []
    with monkeypatch.context() as patch:
        _full(patch, lambda path: path.name.startswith(".results.json") and len(done) > 0)
        with pytest.raises(UnwritableError, match=r"results\.json cannot be written: no space left on device \(about"):
            compare(study, tmp_path / "out", lambda event: done.append(str(event)), isolate=False)
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert not (tmp_path / "out" / ".work").exists()
    assert [run.status for run in compare(study, tmp_path / "out", isolate=False).runs] == ["done", "done"]


@needs_proc
def test_no_room_for_a_run_is_that_run_s_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study(tmp_path, methods=["majority", "tfidf"], models=None, protocol=None)
    with monkeypatch.context() as patch:
        _full(patch, lambda path: path.name == "vocabulary.json")
        first, second = compare(study, tmp_path / "out", isolate=False).runs
    assert (first.status, second.status) == ("done", "failed")
    assert "cannot be written: no space left on device (" in (second.message or "")
    folder = Store(tmp_path / "out").run(second.run_id).path
    assert {path.name for path in folder.iterdir()} == {"run.json", "log.txt"}
    assert [run.status for run in compare(study, tmp_path / "out", isolate=False).runs] == ["done", "done"]
