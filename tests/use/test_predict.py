"""A file labelled: every row once, in order, with what it had, whatever stops the command."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.study.small_study import write_pairs
from tests.use.trained import study

from thriftune.errors import InputError
from thriftune.use import predict as module
from thriftune.use import rows as rows_module
from thriftune.use.classifier import Classifier
from thriftune.use.predict import Done, Options, calibrated, expected, new_names, predict_file

ROWS = 61


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(f"{study().store.path}:tfidf")


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "WINDOW", 7)


def run(classifier: Classifier, file: Path | str, out: Path, **options: Any) -> Done:
    return predict_file(classifier, file, out, Options(**options), lambda text: None)


def records(path: Path) -> list[dict[str, Any]]:
    """The rows of an output of any format."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_dicts()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def source(folder: Path, kind: str) -> Path:
    """The same pairs, with a text missing and a number beside each, in a format."""
    frame = pl.read_csv(write_pairs(folder / "pairs.csv", ROWS)).with_row_index("row")
    frame = frame.with_columns(pl.when(pl.col("row") == 20).then(pl.lit("  ")).otherwise("premise").alias("premise"))
    path = folder / f"source.{kind}"
    if kind == "jsonl":
        frame.write_ndjson(path)
    elif kind == "parquet":
        frame.write_parquet(path, row_group_size=10)
    else:
        frame.write_csv(path, separator="\t" if kind == "tsv" else ",")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("into", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format(tmp_path: Path, classifier: Classifier, kind: str, into: str) -> None:
    file, out = source(tmp_path, kind), tmp_path / "new" / f"out.{into}"
    done = run(classifier, file, out, probabilities=True)
    found, given = records(out), records(file)
    assert done.rows == ROWS == len(found)
    assert done.reasons == {'no text in "premise"': 1}
    typed = kind not in ("csv", "tsv") and into not in ("csv", "tsv")
    for a, b in zip(given, found, strict=True):
        own = {name: b[name] for name in a}
        assert own == a if typed else {k: str(v) for k, v in own.items()} == {k: str(v) for k, v in a.items()}
    usable = [row for row in range(ROWS) if row != 20]
    texts = [(given[row]["premise"], given[row]["hypothesis"]) for row in usable]
    assert [found[row]["predicted"] for row in usable] == classifier.predict(texts)
    shares = [[float(found[row][f"p_{label}"]) for label in classifier.labels] for row in usable]
    np.testing.assert_allclose(shares, classifier.predict_proba(texts), atol=1e-6)
    assert [float(found[row]["confidence"]) for row in usable] == [max(each) for each in shares]
    assert found[20]["predicted"] in ("", None)
    assert found[20]["reason"] == 'no text in "premise"'
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name]


@pytest.mark.parametrize("into", ["csv", "parquet"])
def test_killed_anywhere(tmp_path: Path, classifier: Classifier, into: str) -> None:
    """The process is killed at its first, second, ... write to the disk; each next one goes on from there."""
    file, out, whole = source(tmp_path, "csv"), tmp_path / f"out.{into}", tmp_path / f"whole.{into}"
    run(classifier, file, whole)
    journal, kills, kept = tmp_path / f".{out.name}.predict" / "journal.jsonl", 0, 0
    for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
        child = os.fork()
        if child == 0:
            _die_at(count)
            run(classifier, file, out)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        kept = max(kept, len(journal.read_bytes().splitlines()) if journal.exists() else 0)
        assert not out.exists() or records(out) == records(whole)
    assert kills >= 10
    assert kept > 6
    done = run(classifier, file, out)
    assert done.reasons == {'no text in "premise"': 1}
    assert records(out) == records(whole)
    assert not journal.parent.exists()


def _die_at(count: int) -> None:
    """Kills this process in its `count`th call of fsync; of every second one half of what was written is lost."""
    left, sync = [count], os.fsync

    def fsync(handle: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            if count % 2:
                os.truncate(handle, os.fstat(handle).st_size - 5)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(handle)

    os.fsync = fsync  # type: ignore[assignment]


def test_other_options_begin_anew(tmp_path: Path, classifier: Classifier) -> None:
    file, out, said = source(tmp_path, "csv"), tmp_path / "out.csv", []
    for options in ({}, {"probabilities": True}):
        child = os.fork()
        if child == 0:
            _die_at(6)
            run(classifier, file, out, **options)  # type: ignore[arg-type]
        os.waitpid(child, 0)
    predict_file(classifier, file, out, Options(probabilities=True), said.append)
    assert said == ["Going on after 7 rows that out.csv has already."]
    assert len(records(out)) == ROWS


def test_two_at_once(tmp_path: Path, classifier: Classifier) -> None:
    file, out = source(tmp_path, "csv"), tmp_path / "out.csv"
    work = module.Work(out)
    with pytest.raises(InputError, match="Another process"):
        run(classifier, file, out)
    work.close()
    assert run(classifier, file, out).rows == ROWS


def test_standard_input(tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    data = source(tmp_path, "jsonl").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run(classifier, "-", tmp_path / "out.csv", format="jsonl").rows == ROWS
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(InputError, match="Standard input is empty"):
        run(classifier, "-", tmp_path / "none.csv", format="jsonl")
    with pytest.raises(InputError, match="--format"):
        run(classifier, "-", tmp_path / "none.csv")
    assert not list(tmp_path.glob("*none*"))


def test_abstaining(tmp_path: Path, classifier: Classifier) -> None:
    options, said = Options(abstain=0.6), []
    scaled = calibrated(classifier, options, said.append)
    assert scaled.temperature is not None
    assert "calibrated on validation" in said[0]
    predict_file(scaled, source(tmp_path, "csv"), tmp_path / "out.csv", options, said.append)
    for row in records(tmp_path / "out.csv"):
        if row["confidence"]:
            assert bool(row["predicted"]) == (float(row["confidence"]) >= 0.6) == (not row["reason"])
    results = study()
    record = next(run for run in results.done if run.name == "tfidf")
    frame = results.predictions(record)
    truth, probabilities = frame["label"].to_list(), frame.select(f"p_{each}" for each in results.labels).to_numpy()
    powers = probabilities ** (1 / scaled.temperature)
    confidence = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    right = np.array(frame["predicted"].to_list()) == np.array(truth)
    sentence = expected(scaled, 0.6)
    assert f"sure of {100 * (confidence >= 0.6).mean():.1f}%" in sentence
    assert f"right on {100 * right[confidence >= 0.6].mean():.1f}% of those" in sentence
    assert calibrated(scaled, Options(calibrate=False), said.append).temperature is None


def test_columns(tmp_path: Path, classifier: Classifier) -> None:
    file = source(tmp_path, "csv")
    other = tmp_path / "other.csv"
    other.write_text(file.read_text().replace("premise", "one", 1).replace("hypothesis", "two", 1))
    with pytest.raises(InputError, match=r'trained on a column "premise".*--text.*"row", "who", "one", "two", "label"'):
        run(classifier, other, tmp_path / "out.csv")
    with pytest.raises(InputError, match="pair of text columns"):
        run(classifier, other, tmp_path / "out.csv", text=("one",))
    with pytest.raises(InputError, match=r'"ones", which .* lacks; did you mean "one"'):
        run(classifier, other, tmp_path / "out.csv", text=("ones", "two"))
    run(classifier, other, tmp_path / "out.csv", text=("one", "two"))
    run(classifier, file, tmp_path / "same.csv")
    assert [row["predicted"] for row in records(tmp_path / "out.csv")] == [
        row["predicted"] for row in records(tmp_path / "same.csv")
    ]
    nli = tmp_path / "nli.csv"  # as the corpora are distributed
    nli.write_text(file.read_text().replace("premise", "sentence1", 1).replace("hypothesis", "sentence2", 1))
    assert run(classifier, nli, tmp_path / "nli_out.csv").rows == ROWS


def test_bad_requests(tmp_path: Path, classifier: Classifier) -> None:
    file = source(tmp_path, "csv")
    for target, options, said in (
        (file, {}, "file that is read"),
        (tmp_path, {}, "is a folder"),
        (tmp_path / "out.xlsx", {}, "written are"),
        (tmp_path / "out.csv", {"abstain": 1.5}, "confidence is above 0"),
        (tmp_path / "out.csv", {"format": "xml"}, "not known"),
        (file / "out.csv", {}, "is a file"),
    ):
        with pytest.raises(InputError, match=said):
            run(classifier, file, target, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not there"):
        run(classifier, tmp_path / "nothing.csv", tmp_path / "out.csv")
    before = tmp_path / "before.csv"
    before.write_text("mine")
    with pytest.raises(InputError):
        run(classifier, file, before, text=("nothing", "else"))
    assert before.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.csv", "pairs.csv", "source.csv"]


def test_a_file_without_rows(tmp_path: Path, classifier: Classifier) -> None:
    file = tmp_path / "a.csv"
    file.write_text("premise,hypothesis\n")
    for into in ("csv", "jsonl", "parquet"):
        assert run(classifier, file, tmp_path / f"out.{into}").rows == 0
        assert records(tmp_path / f"out.{into}") == []


def test_names_that_are_taken() -> None:
    names = new_names(("a", "b"), ("predicted", "reason", "reason_2", "p_a"), probabilities=True)
    assert names == ("predicted_2", "confidence", "p_a_2", "p_b", "reason_3")


def test_types_of_further_columns_last(tmp_path: Path, classifier: Classifier) -> None:
    file, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    first = {"premise": "the cat", "hypothesis": 5, "n": 1, "x": 1.5, "t": True, "l": [1, {"a": None}], "none": None}
    file.write_text(json.dumps(first) + '\n{"hypothesis": "on", "premise": ["no"], "é": "ü"}\n{broken\n')
    run(classifier, file, out)
    found = records(out)
    assert {name: found[0][name] for name in first} == first
    assert found[0]["predicted"] in classifier.labels
    assert found[1] | {"confidence": None} == {
        "hypothesis": "on",
        "premise": ["no"],
        "é": "ü",
        "predicted": None,
        "confidence": None,
        "reason": 'a list in "premise"',
    }
    assert found[2]["reason"].endswith("{broken")
    run(classifier, file, tmp_path / "out.parquet")
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert dict(frame.schema) == {
        "premise": pl.String,
        "hypothesis": pl.String,
        "n": pl.Int64,
        "x": pl.Float64,
        "t": pl.Boolean,
        "l": pl.String,
        "none": pl.String,
        "é": pl.String,
        "predicted": pl.String,
        "confidence": pl.Float64,
        "reason": pl.String,
    }
    run(classifier, tmp_path / "out.parquet", tmp_path / "again.parquet")
    again = pl.read_parquet(tmp_path / "again.parquet")
    assert again.columns[-3:] == ["predicted_2", "confidence_2", "reason_2"]
    assert again.select(frame.columns).equals(frame)


def test_columns_of_one_name_and_long_numbers(tmp_path: Path, classifier: Classifier) -> None:
    """What jsonl and parquet cannot hold is refused before a row is lost; a long number goes through as it is."""
    file = tmp_path / "twice.csv"
    file.write_text("premise,x,x,hypothesis\na,1,2,b\n")
    for into in ("jsonl", "parquet"):
        with pytest.raises(InputError, match='2 columns called "x"'):
            run(classifier, file, tmp_path / f"out.{into}")
    run(classifier, file, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("a,1,2,b,")
    file = tmp_path / "long.jsonl"
    file.write_text('{"premise": "a", "hypothesis": "b", "id": 123456789012345678901234567890}\n')
    run(classifier, file, tmp_path / "out.parquet")
    assert records(tmp_path / "out.parquet")[0]["id"] == "123456789012345678901234567890"
    run(classifier, file, tmp_path / "out.jsonl")
    assert records(tmp_path / "out.jsonl")[0]["id"] == 123456789012345678901234567890
