"""The explorer's data: which test texts it holds, what the page unpacks, and the scripts of others in the page."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.report.synthetic import NASTY, VARIANTS, Variant, write

from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.runs import comparable
from thriftune.report import explorer
from thriftune.report.explorer import Explorer
from thriftune.results.store import Results

VENDOR = Path(explorer.__file__).parent / "vendor"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write(tmp_path_factory.mktemp("explorer"), VARIANTS["nasty"]).load()


def build(results: Results, **limits: int) -> tuple[Explorer, dict[str, Any]]:
    found = explorer.build(results, **limits)
    assert found is not None
    return found, json.loads(gzip.decompress(base64.b64decode(found.data)))


def missed(results: Results) -> set[int]:
    wrong = np.logical_or.reduce([predictions.read(results, run).wrong for run in comparable(results)])
    return set(np.flatnonzero(wrong).tolist())


def test_every_text_and_answer_is_there(results: Results) -> None:
    found, data = build(results)
    assert found.sentence == "All 600 test texts with every run's answer."
    assert data["example"] == results.test["example"].to_list()
    assert [data["labels"][i] for i in data["label"]] == [name.replace("\u202e", "") for name in results.test["label"]]
    for field, column in zip(data["texts"], results.study.profile.text_columns, strict=True):
        assert field == {"name": column, "values": results.test[column].to_list()}
    assert len(data["runs"]) == len(results.done) > 4
    for packed, run in zip(data["runs"], results.done, strict=True):
        read = predictions.read(results, run)
        assert read.probabilities is not None
        assert packed["predicted"] == read.predicted.tolist()
        highest = read.probabilities[np.arange(600), read.predicted]
        assert np.allclose(np.array(packed["confidence"]) / 1000, highest, atol=0.0005)
    assert [run["name"] for run in data["runs"] if run["chosen"]] == [run.name for run in comparable(results)]


@pytest.mark.parametrize("limit", [590, 60])
def test_errors_go_first(results: Results, limit: int) -> None:
    errors = missed(results)
    assert 60 < len(errors) < 590
    found, data = build(results, texts=limit)
    held = set(data["example"])
    assert len(held) == limit
    assert data["example"] == sorted(held)
    assert (errors <= held) if limit == 590 else (held <= errors)
    assert f"{limit} of the 600 test texts" in found.sentence
    assert f"{len(errors)} that a fine-tuned run got wrong" in found.sentence
    assert explorer.build(results, texts=limit) == found


def test_size_is_kept(results: Results) -> None:
    whole, _ = build(results)
    found, data = build(results, size=len(whole.data) // 3)
    assert len(found.data) <= len(whole.data) // 3
    assert 100 < len(data["example"]) < 300
    assert f"{len(data['example'])} of the 600" in found.sentence


def test_odd_texts(tmp_path: Path) -> None:
    store = write(tmp_path, Variant(texts=200, columns=("text",), labels=("a", "b")))
    long = "é" * (explorer.CHARACTERS_SHOWN + 1)
    odd = [*NASTY, None, "", long]
    frame = store.load().test
    store.write_test(frame.with_columns(pl.Series("text", [*odd, *frame["text"].to_list()[len(odd) :]])))
    _, data = build(store.load())
    expected = [*odd[:-1], f"{long[: explorer.CHARACTERS_SHOWN]}…"]
    assert data["texts"][0]["values"][: len(odd)] == expected


def test_no_run_no_explorer(results: Results, tmp_path: Path) -> None:
    store = write(tmp_path, Variant(texts=50))
    study = store.load().study
    study.runs[:] = [run for run in study.runs if run.status != "done"]
    assert explorer.build(Results(store, study)) is None


def test_scripts_of_others_are_unchanged() -> None:
    readme = (VENDOR / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"\| `(\S+\.js)` .* `([0-9a-f]{64})` \|", readme))
    scripts = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    assert listed == scripts
    assert "MIT" in (VENDOR / "dataTables.LICENSE.txt").read_text(encoding="utf-8")
