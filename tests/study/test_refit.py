"""A run's method trained once more for use."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.study.small_study import small_study
from tests.use.copied import copied
from tests.use.trained import METHODS, PROTOCOL, study

from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.results.models.refitted import Refitted
from thriftune.results.store import Results
from thriftune.study import refit as module
from thriftune.study.execute import compare
from thriftune.study.refit import refit
from thriftune.use import choose
from thriftune.use.classifier import Classifier
from thriftune.use.source import find

EXPECTED = {"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6], "of": "x"}


@pytest.fixture(scope="module")
def results() -> Results:
    return copied()


@pytest.mark.parametrize("index", range(len(METHODS)))
def test_every_method_is_trained_on_train_and_validation(results: Results, index: int) -> None:
    run = results.done[index]
    folder = refit(results, run, EXPECTED, False)
    about = Refitted.read(folder)
    assert about is not None
    rows = results.study.profile.rows
    assert (about.run_id, about.trained_on) == (run.run_id, ["train", "validation"])
    assert (about.study_rows, about.rows) == (rows["train"], rows["train"] + rows["validation"])
    if run.learning_rate is not None:
        assert about.chosen["learning_rate"] == run.learning_rate
        assert about.epochs == 1
        assert about.steps == -(-about.rows // 32)
    assert not list(folder.rglob("predictions")) + list(folder.rglob("run.json"))
    source = find(folder)
    assert (source.name, source.record, source.model) == (f"{run.name} (refit)", run, folder / "model")
    assert "no test score belongs to it" in source.notes[0]
    loaded = Classifier.load(folder, calibrated=True)
    assert loaded.temperature is not None
    texts = results.test.select(loaded.columns).rows()
    texts = [text[0] for text in texts] if len(loaded.columns or ()) == 1 else texts
    assert loaded.predict_proba(texts).shape == (len(texts), 3)


def test_all_rows_and_names(results: Results) -> None:
    folder = refit(results, choose.named(results, "tfidf"), EXPECTED, True)
    assert folder.name == "tfidf-seed0-all"
    about = Refitted.read(folder)
    assert about is not None
    assert about.trained_on == ["train", "validation", "test"]
    assert about.rows == sum(results.study.profile.rows.values())
    assert "has seen the test texts" in about.sentences()[-1]
    out = results.store.path
    assert find(f"{out}:refit/{folder.name}").model == folder / "model"
    refit(results, choose.named(results, "majority"), EXPECTED, False)
    with pytest.raises(InputError, match="Several refits are there"):
        find(f"{out}:refit")
    with pytest.raises(InputError, match="No such refit"):
        find(f"{out}:refit/nothing")


def test_the_same_rows_give_the_same_regression(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen is fixed: on the study's own rows the study's model comes out again."""
    monkeypatch.setattr(module, "_merged", lambda dataset, parts: dataset)
    for name in ("tfidf", "embeddings"):
        run = choose.named(results, name)
        again = Classifier.load(refit(results, run, EXPECTED, False))
        texts = results.test.select(["premise", "hypothesis"]).rows()
        expected = results.predictions(run).select(f"p_{label}" for label in results.labels).to_numpy()
        np.testing.assert_allclose(again.predict_proba(texts), expected, atol=1e-5)


def test_a_solved_head_keeps_its_strength(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = {"head_only": {"learning_rate": "auto", "head_start": "solved"}}
    planned = small_study(tmp_path, methods=[method], protocol=PROTOCOL, head={"type": "linear"})
    solved = compare(planned, tmp_path / "out", isolate=False)
    (run,) = solved.done
    assert run.training is not None
    assert run.training.head_c is not None
    monkeypatch.setattr(module, "_merged", lambda dataset, parts: dataset)
    folder = refit(solved, run, EXPECTED, False)
    about = Refitted.read(folder)
    assert about is not None
    assert about.chosen == {"head_c": run.training.head_c}
    assert about.steps is None
    texts = solved.test.select(["premise", "hypothesis"]).rows()
    expected = solved.predictions(run).select(f"p_{label}" for label in solved.labels).to_numpy()
    np.testing.assert_allclose(Classifier.load(folder).predict_proba(texts), expected, atol=1e-4)


def test_what_a_study_of_open_length_chose() -> None:
    run = study().done[-3]
    protocol = run.protocol | {"epochs": "auto", "keep": "best", "budget": run.protocol["budget"] | {"patience": 2}}
    fixed, took = module.fixed_protocol(dataclasses.replace(run, protocol=protocol, best_epoch=3.4))
    assert (took, fixed["epochs"], fixed["keep"], fixed["early_stopping"]) == (3.4, 3, "last", None)
    assert fixed["schedule"]["type"] == "stable"
    Protocol(**{key: fixed[key] for key in ("epochs", "batch_size", "keep")})
    plateau = run.protocol | {"schedule": run.protocol["schedule"] | {"type": "plateau", "factor": 0.5}}
    fixed, _ = module.fixed_protocol(dataclasses.replace(run, protocol=plateau, best_epoch=0.3))
    assert (fixed["epochs"], fixed["schedule"]["type"]) == (1, "constant")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    results = copied()
    before = refit(results, choose.named(results, "majority"), EXPECTED, False)
    monkeypatch.setattr(module, "_trained", _interrupt)
    for name in ("majority", "full"):
        with pytest.raises(KeyboardInterrupt):
            refit(results, choose.named(results, name), EXPECTED, False)
    assert [path.name for path in results.store.refit_path.iterdir()] == [before.name]
    assert not (results.store.path / ".work").exists()
    assert not (results.store.path / ".lock").exists()


def test_other_data_are_refused() -> None:
    results = copied()
    csv = results.store.path.parent / "pairs.csv"
    text = csv.read_text(encoding="utf-8")
    try:
        csv.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
        with pytest.raises(InputError, match="have changed since the study ran"):
            refit(results, choose.named(results, "majority"), EXPECTED, False)
    finally:
        csv.write_text(text, encoding="utf-8")
    assert not results.store.refit_path.exists()
