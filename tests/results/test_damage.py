"""Every file of a study's folder, damaged in every way: one error that names it, whoever reads it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.cli.commands import run
from tests.report.synthetic import Variant, write
from tests.results.examples import CROSSOVERS, SEARCH

from thriftune.results.files import DamagedError, write_json
from thriftune.results.store import Results, Store

RUN = "lora_r8-1-0"
FILES: dict[str, Callable[[Results], Any]] = {
    "results.json": lambda results: results.store.load(),
    f"runs/{RUN}/run.json": lambda results: results.store.run(RUN).read_record(),
    f"runs/{RUN}/history.jsonl": lambda results: results.store.run(RUN).read_history(),
    f"runs/{RUN}/predictions/test.parquet": lambda results: results.store.run(RUN).read_predictions("test"),
    f"runs/{RUN}/dynamics.parquet": lambda results: results.store.run(RUN).read_dynamics(),
    f"runs/{RUN}/embeddings.npy": lambda results: results.store.run(RUN).read_embeddings(),
    f"runs/{RUN}/embeddings_rows.npy": lambda results: results.store.run(RUN).read_embeddings(),
    "test.parquet": lambda results: results.test,
    "train.parquet": lambda results: results.train,
    "robustness/again.parquet": lambda results: results.robustness("again"),
    "search.json": lambda results: results.store.read_search(),
    "crossovers.json": lambda results: results.crossovers,
}
"""Each file, and who reads it."""
FOREIGN = b'{"name": "left-pad", "version": "1.3.0", "kind": "step", "runs": {}, "cells": 3}\n'


def _foreign(path: Path) -> None:
    if path.suffix == ".parquet":
        pl.DataFrame({"a": [1, 2]}).write_parquet(path)
    elif path.suffix == ".npy":
        np.save(path, np.array(["a", "b"]))
    else:
        path.write_bytes(FOREIGN)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "junk": lambda path: path.write_bytes(b"\x00\x01junk"),
    "another encoding": lambda path: path.write_bytes(FOREIGN.decode().encode("utf-16")),
    "null": lambda path: path.write_bytes(b"null\n"),
    "a list": lambda path: path.write_bytes(b"[1, 2]\n"),
    "a number without end": lambda path: path.write_bytes(b'{"kind": ' + b"9" * 9_000 + b"}"),
    "deep": lambda path: path.write_bytes(b'{"a": ' * 100_000),
    "an archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(60)),
    "foreign": _foreign,
    "a folder": _folder,
}
ALLOWED = {("history.jsonl", "empty")}
"""A training without a step has no lines."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    store = write(out, Variant(texts=60, troubled=False, baselines=False))
    store.write_search(SEARCH)
    write_json(store.crossovers_path, {"setting": CROSSOVERS.setting, "axes": {}})
    assert store.train_path.exists()
    assert store.run(RUN).dynamics_path.exists()
    return out


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("file", FILES)
def test_what_is_sound_is_read(whole: Path, file: str) -> None:
    assert FILES[file](Store(whole).load()) is not None


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_damage_is_named(out: Path, file: str, damage: str) -> None:
    results = Store(out).load()
    path = out / file
    DAMAGES[damage](path)
    if (path.name, damage) in ALLOWED:
        assert FILES[file](results) == ([], [])
        return
    with pytest.raises(DamagedError) as found:
        FILES[file](results)
    assert found.value.path == path
    assert str(found.value).count("damaged") == 1


@pytest.mark.parametrize(
    ("column", "values"),
    [("label", [0] * 60), ("example", [0.5] * 60), ("premise", [None] * 60), ("example", ["a"] * 60)],
)
def test_columns_of_other_types_are_named(out: Path, column: str, values: list[Any]) -> None:
    path = out / "test.parquet"
    pl.read_parquet(path).with_columns(pl.Series(column, values)).write_parquet(path)
    with pytest.raises(DamagedError, match=rf"test\.parquet is damaged: its column {column} does not hold"):
        _ = Store(out).load().test


def test_columns_of_a_newer_release_are_ignored(out: Path) -> None:
    for file in FILES:
        if file.endswith(".parquet"):
            pl.read_parquet(out / file).with_columns(pl.lit("new").alias("a_new_column")).write_parquet(out / file)
    result = run("report", str(out))
    assert result.exit_code == 0, result.output


def test_vectors_that_do_not_belong_together_are_named(out: Path) -> None:
    path = out / "runs" / RUN / "embeddings_rows.npy"
    np.save(path, np.load(path)[:-1])
    with pytest.raises(DamagedError, match="does not hold a row for each vector"):
        Store(out).run(RUN).read_embeddings()


READ_BY = [("report", file) for file in FILES if file != "search.json"]
READ_BY += [("recommend", file) for file in FILES if "test.parquet" in file or ("run" in file and ".json" in file)]
READ_BY += [("recommend", "results.json"), ("recommend", "robustness/again.parquet")]


@pytest.mark.parametrize(("command", "file"), READ_BY)
def test_a_command_says_one_line_and_writes_nothing(out: Path, command: str, file: str) -> None:
    DAMAGES["truncated"](out / file)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    result = run(command, str(out))
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {out / file} is damaged: ")
    assert result.stdout == ""
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
