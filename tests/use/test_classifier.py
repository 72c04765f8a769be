"""`Classifier` against the predictions that a study stored, for every kind of method."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.use.trained import METHODS, study

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.panels.errors import calibration
from thriftune.errors import InputError
from thriftune.results.store import Results
from thriftune.use.classifier import Classifier


@pytest.fixture(scope="module")
def results() -> Results:
    return study()


@pytest.mark.parametrize("index", range(len(METHODS)))
def test_what_the_study_predicted(results: Results, index: int) -> None:
    run = results.done[index]
    loaded = Classifier.load(results.store.run(run.run_id).model_path)
    frame, stored = results.test, results.predictions(run)
    columns = run.method["text"] or ["premise", "hypothesis"]
    texts = frame[columns[0]].to_list() if len(columns) == 1 else frame.select(columns).rows()
    assert loaded.labels == tuple(results.labels)
    assert list(loaded.columns or ()) == columns
    assert loaded.predict(texts) == stored["predicted"].to_list()
    expected = stored.select(f"p_{label}" for label in results.labels).to_numpy()
    np.testing.assert_allclose(loaded.predict_proba(texts), expected, atol=1e-5)
    backwards = loaded.predict_proba(texts[::-1])[::-1]
    np.testing.assert_allclose(backwards, expected, atol=1e-5)


@pytest.mark.parametrize("index", range(len(METHODS)))
def test_vectors(results: Results, index: int) -> None:
    run = results.done[index]
    loaded = Classifier.load(results.store.run(run.run_id).path)
    stored = results.embeddings(run)
    texts = results.test.select(run.method["text"] or ["premise", "hypothesis"]).rows()
    if stored is None:
        for some in (texts, []):
            with pytest.raises(InputError, match="no vectors"):
                loaded.embed(some)
        return
    np.testing.assert_allclose(loaded.embed(texts)[stored.rows], stored.vectors.astype(np.float32), atol=2e-2)
    assert loaded.embed([]).shape == (0, 32)


def test_no_text_and_no_texts(results: Results) -> None:
    loaded = Classifier.load(results.store.run(results.done[2].run_id).path)
    assert loaded.predict([]) == []
    assert loaded.predict_proba([]).shape == (0, 3)
    for given, said in (
        ("a text", "Put it into a list"),
        (["a text"], "pair of texts"),
        ([("a", "b", "c")], "Item 0 is tuple of 3"),
        ([("a", "b"), ("a", None)], "Item 1 is tuple of 2: str, NoneType"),
        ([("a", "\ud800")], "half a character"),
        ([3], "of type int"),
    ):
        with pytest.raises(InputError, match=said):
            loaded.predict(given)  # type: ignore[arg-type]


def test_calibrated_as_the_page_has_it(results: Results) -> None:
    panel = calibration.build(results)
    assert isinstance(panel, Panel)
    for found in panel.statistics["runs"]:
        calibrated = Classifier.load(results.store.run(found["run"]).path, calibrated=True)
        assert calibrated.temperature == pytest.approx(found["temperature"])
    path, texts = f"{results.store.path}:full", results.test.select("premise", "hypothesis").rows()
    plain, calibrated = Classifier.load(path), Classifier.load(path, calibrated=True)
    assert calibrated.predict(texts) == plain.predict(texts)
    assert not np.allclose(calibrated.predict_proba(texts), plain.predict_proba(texts), atol=1e-3)


def test_calibration_needs_predictions(results: Results, tmp_path: Path) -> None:
    run = next(run for run in results.done if run.name == "full")
    copied = tmp_path / "model"
    shutil.copytree(results.store.run(run.run_id).model_path, copied)
    with pytest.raises(InputError, match="cannot be calibrated"):
        Classifier.load(copied, calibrated=True)
    assert Classifier.load(copied).labels == tuple(results.labels)
