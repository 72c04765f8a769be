"""Damage to a study's folder: it is found, named, and made again; nothing outside the folder is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from filelock import FileLock
from tests.study.small_study import small_study
from typer.testing import CliRunner

from thriftune.cli import app
from thriftune.cost.measured.checkout import checkout
from thriftune.errors import InputError
from thriftune.report.render import write_report
from thriftune.results.files import DamagedError
from thriftune.results.store import Store
from thriftune.study.events import Event, Notice
from thriftune.study.execute import compare
from thriftune.study.file.config import Study


def _study(folder: Path) -> Study:
    return small_study(folder, methods=["majority", "tfidf"], models=None, protocol=None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    compare(_study(folder), folder / "out", isolate=False)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    return copy


def _again(folder: Path) -> tuple[list[str], list[str]]:
    """The runs that are made by another compare, and what is said of damage."""
    made: list[str] = []
    said: list[str] = []

    def listen(event: Event) -> None:
        if type(event).__name__ == "RunStarted":
            made.append(event.name)  # type: ignore[union-attr]
        if isinstance(event, Notice):
            said.append(event.text)

    results = compare(_study(folder), folder / "out", listen, isolate=False)
    assert [run.status for run in results.runs] == ["done", "done"]
    return made, said


def _tfidf(folder: Path) -> Path:
    store = Store(folder / "out")
    return next(store.run(run.run_id).path for run in store.load().runs if run.name == "tfidf")


def _write(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content)


def _into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _change(*keys: str, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        inner = data
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(json.dumps(data), encoding="utf-8")

    return change


def _shuffle(path: Path) -> None:
    frame = pl.read_parquet(path)
    frame[np.random.default_rng(0).permutation(frame.height)].write_parquet(path)


DAMAGES = {
    "empty": ("run.json", _write(b"")),
    "cut": ("run.json", _cut),
    "junk": ("run.json", _write(b"\x00\x01junk")),
    "null": ("run.json", _write(b"null")),
    "list": ("run.json", _write(b"[]")),
    "empty object": ("run.json", _write(b"{}")),
    "folder": ("run.json", _into_folder),
    "text for a number": ("run.json", _change("metrics", "test", "accuracy", value="high")),
    "no metrics": ("run.json", _change("metrics", value=None)),
    "another accuracy": ("run.json", _change("metrics", "test", "accuracy", value=0.99)),
    "another macro F1": ("run.json", _change("metrics", "test", "macro_f1", value=0.99)),
    "another loss": ("run.json", _change("metrics", "validation", "loss", value=0.001)),
    "shuffled predictions": ("predictions/test.parquet", _shuffle),
    "cut predictions": ("predictions/test.parquet", _cut),
    "no predictions": ("predictions/test.parquet", Path.unlink),
    "junk validation predictions": ("predictions/validation.parquet", _write(b"junk")),
    "another model": ("model/tfidf.npz", _cut),
}


@pytest.mark.parametrize(("file", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_is_made_again(folder: Path, file: str, damage: Callable[[Path], None]) -> None:
    path = _tfidf(folder) / file
    if not path.exists():
        path = next(p for p in (_tfidf(folder) / "model").iterdir() if p.suffix == ".npz")
    before = json.loads((_tfidf(folder) / "run.json").read_text(encoding="utf-8"))["metrics"]
    damage(path)
    made, said = _again(folder)
    assert made == ["tfidf"]
    assert len(said) == 1
    assert str(path) in said[0] or "run.json" in said[0]
    after = json.loads((_tfidf(folder) / "run.json").read_text(encoding="utf-8"))["metrics"]
    assert after == before
    assert _again(folder) == ([], [])


@pytest.mark.parametrize("file", ["results.json", "run.json"])
def test_what_a_newer_release_wrote_is_left_alone(folder: Path, file: str) -> None:
    path = folder / "out" / file if file == "results.json" else _tfidf(folder) / file
    _change("schema_version", value=2)(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="was written by a newer Thriftune"):
        compare(_study(folder), folder / "out", isolate=False)
    assert path.read_bytes() == before


def test_records_name_the_code_that_ran(folder: Path) -> None:
    for path in (_tfidf(folder) / "run.json", folder / "out" / "results.json"):
        about = json.loads(path.read_text(encoding="utf-8"))["environment"]
        assert {key: about[key] for key in ("commit", "dirty")} == checkout()
        assert about["thriftune"] == version("thriftune")


def test_a_sound_study_runs_nothing_and_a_removed_model_is_no_damage(folder: Path) -> None:
    shutil.rmtree(_tfidf(folder) / "model")
    assert _again(folder) == ([], [])


RESULTS = {name: damage for name, (file, damage) in DAMAGES.items() if file == "run.json" and "nother" not in name}


@pytest.mark.parametrize("damage", [d for n, d in RESULTS.items() if n not in ("text for a number", "no metrics")])
def test_damaged_results_are_named_and_rebuilt(folder: Path, damage: Callable[[Path], None]) -> None:
    path = folder / "out" / "results.json"
    damage(path)
    for command in ("report", "recommend"):
        result = CliRunner().invoke(app, [command, str(folder / "out")])
        assert result.exit_code == 2, result.output
        assert "results.json" in result.output
        assert "Traceback" not in result.output
    assert _again(folder)[0] == []
    assert write_report(folder / "out").exists()


@pytest.mark.parametrize("damage", [d for file, d in DAMAGES.values() if file == "run.json"])
def test_a_damaged_record_is_named_by_report_and_recommend(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(_tfidf(folder) / "run.json")
    for command in ("report", "recommend"):
        result = CliRunner().invoke(app, [command, str(folder / "out")])
        assert result.exit_code == 2, result.output
        assert "run.json" in result.output


@pytest.mark.parametrize("file", ["test.parquet", "runs/RUN/predictions/test.parquet"])
@pytest.mark.parametrize("damage", [_cut, _shuffle, Path.unlink])
def test_the_report_names_what_does_not_fit(folder: Path, file: str, damage: Callable[[Path], None]) -> None:
    path = folder / "out" / file.replace("RUN", _tfidf(folder).name)
    damage(path)
    with pytest.raises(DamagedError, match=r"\.parquet"):
        write_report(folder / "out")
    _again(folder)
    assert write_report(folder / "out").exists()


def test_links_in_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    run = _tfidf(folder)
    shutil.rmtree(run)
    run.symlink_to(outside)
    (folder / "out" / ".work").symlink_to(outside)
    with pytest.raises(InputError, match="symbolic link"):
        compare(_study(folder), folder / "out", isolate=False)
    (folder / "out" / ".work").unlink()
    assert _again(folder)[0] == ["tfidf"]
    assert [p.name for p in outside.iterdir()] == ["kept"]
    assert not run.is_symlink()


@pytest.mark.parametrize("name", ["a*", "d[1]", "x?"])
def test_names_of_output_folders_are_literal(tmp_path: Path, name: str) -> None:
    compare(_study(tmp_path), tmp_path / name, isolate=False)
    assert write_report(tmp_path / name).exists()


def test_a_report_beside_a_compare_overwrites_nothing_newer(folder: Path) -> None:
    store = Store(folder / "out")
    results = store.load()
    before = store.results_path.read_bytes()
    with FileLock(store.lock_path):
        assert not store.add_statistics(results, {"verdicts": {}})
        assert store.results_path.read_bytes() == before
    store.write_results(results.study.__class__(**{**vars(results.study), "margin": 1.0}))
    assert not store.add_statistics(results, {"verdicts": {}})
    assert store.load().study.margin == 1.0
    assert store.add_statistics(store.load(), {"verdicts": {}})


def test_every_file_of_a_run_is_in_its_record(folder: Path) -> None:
    run = _tfidf(folder)
    known = set(json.loads((run / "run.json").read_text(encoding="utf-8"))["files"])
    assert known == {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()} - {"run.json", "log.txt"}
