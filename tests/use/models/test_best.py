"""`OUT/best`: what it holds, how it is replaced, who chooses it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.use.copied import copied

from thriftune.errors import InputError
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.use import choose
from thriftune.use.classifier import Classifier
from thriftune.use.models import best
from thriftune.use.models.best import Best, Kept
from thriftune.use.source import find


def _card(results: Results, run: RunRecord, base: Path | None) -> str:
    return f"card of {run.name}"


def _kept(results: Results) -> Kept:
    return best.keep(results, _card)


@pytest.fixture(scope="module")
def results() -> Results:
    return copied()


def _predicts(results: Results, run: RunRecord, path: Path | str) -> bool:
    loaded = Classifier.load(path)
    texts = results.test.select(loaded.columns).rows()
    texts = [text[0] for text in texts] if len(loaded.columns or ()) == 1 else texts
    return loaded.predict(texts) == results.predictions(run)["predicted"].to_list()


def test_it_holds_the_recommended_run(results: Results) -> None:
    kept = _kept(results)
    run = choose.recommended(results)
    assert kept == Kept(Best.of(results.store), None)
    folder = results.store.best_path
    about = json.loads((folder / "best.json").read_text())
    assert (about["run_id"], about["promoted"]) == (run.run_id, False)
    assert (results.store.path / about["folder"]).is_dir()
    assert about["why"].startswith("Take ")
    assert (folder / "README.md").read_text() == f"card of {run.name}"
    assert _predicts(results, run, folder)
    assert find(folder).record == run
    assert find(results.store.path).name == run.name


def test_no_file_is_a_symbolic_link_and_weights_are_shared(results: Results) -> None:
    for run in results.done:
        best.promote(results, run, _card)
        folder, model = results.store.best_path, results.store.run(run.run_id).model_path
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        for path in model.rglob("*"):
            if path.suffix in (".safetensors", ".npz"):
                assert os.path.samefile(path, folder / path.name)
            elif path.is_file():
                assert not os.path.samefile(path, folder / path.name)


@pytest.mark.parametrize(
    "name", ["majority", "tfidf", "embeddings", "lora r8 all", "lora r8 top 1", "full", "peft ia3"]
)
def test_every_kind_of_model_predicts_from_there(results: Results, name: str) -> None:
    run = choose.named(results, name)
    best.promote(results, run, _card)
    assert _predicts(results, run, results.store.best_path)
    assert _predicts(results, run, results.store.path)


def test_a_promoted_run_is_kept_until_it_is_taken_back() -> None:
    results = copied()
    _kept(results)
    chosen = choose.named(results, "bitfit")
    best.promote(results, chosen, _card)
    kept = _kept(results)
    assert kept.best is not None
    assert (kept.best.name, kept.best.promoted) == ("bitfit", True)
    assert "which was promoted; recommended: " in str(kept.reason)
    assert find(results.store.path).record == chosen
    assert best.demote(results, _card).best is not None
    assert find(results.store.path).record == choose.recommended(results)


def test_a_promoted_run_that_the_study_lost_is_kept() -> None:
    results = copied()
    chosen = choose.named(results, "bitfit")
    best.promote(results, chosen, _card)
    expected = Classifier.load(results.store.path).predict_proba([("a", "b")])
    results.study = dataclasses.replace(results.study, runs=[run for run in results.runs if run != chosen])
    results.store.write_results(results.study)
    shutil.rmtree(results.store.run(chosen.run_id).path)
    kept = _kept(results)
    assert "no longer a finished run of the study" in str(kept.reason)
    np.testing.assert_array_equal(Classifier.load(results.store.path).predict_proba([("a", "b")]), expected)


def test_where_nothing_learned_it_goes_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    results = copied()
    _kept(results)
    none = dataclasses.replace(best.decide(results), taken=None)
    monkeypatch.setattr(best, "decide", lambda results: none)
    kept = _kept(results)
    assert (kept.best, results.store.best_path.exists()) == (None, False)
    assert "no run learned anything" in str(kept.reason)


def test_it_is_copied_where_links_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    results = copied()

    def fails(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", fails)
    run = choose.named(results, "full")
    best.promote(results, run, _card)
    assert not os.path.samefile(
        results.store.best_path / "model.safetensors", results.store.run(run.run_id).model_path / "model.safetensors"
    )
    assert _predicts(results, run, results.store.best_path)


def test_a_crash_leaves_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    results = copied()
    _kept(results)
    before = Best.of(results.store)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(best, "write_json", dies)
        with pytest.raises(KeyboardInterrupt):
            best.promote(results, choose.named(results, "full"), _card)
    assert Best.of(results.store) == before
    results.store.best_path.rename(results.store.path / ".best.old")  # between the two renames
    assert Best.of(results.store) == before
    assert results.store.best_path.is_dir()


def test_a_damaged_best_json_is_made_anew() -> None:
    results = copied()
    _kept(results)
    (results.store.best_path / "best.json").write_text("{")
    assert find(f"{results.store.path}:full").name == "full"
    with pytest.raises(InputError, match="damaged"):
        find(results.store.path)
    assert _kept(results).reason is None
    assert find(results.store.path).record == choose.recommended(results)


def test_what_is_not_ours_stays() -> None:
    results = copied()
    results.store.best_path.mkdir()
    (results.store.best_path / "mine.txt").touch()
    assert "none that Thriftune made" in str(_kept(results).reason)
    with pytest.raises(InputError, match="Move it away"):
        best.promote(results, choose.named(results, "full"), _card)
    assert (results.store.best_path / "mine.txt").exists()


def test_an_edited_card_is_kept(results: Results) -> None:
    first, second = results.done[:2]
    card = results.store.best_path / "README.md"
    best.promote(results, first, _card)
    for _ in range(2):
        card.write_text("our own words")
        best.promote(results, first, _card)
        assert card.read_text() == "our own words"
        assert card.with_name("README.new.md").read_text() == f"card of {first.name}"
    best.promote(results, second, _card)
    assert card.read_text() == f"card of {second.name}"
    assert not card.with_name("README.new.md").exists()
    for _ in range(2):
        assert card.with_name(f"README.{first.run_id}.md").read_text() == "our own words"
        best.promote(results, second, _card)
    assert card.read_text() == f"card of {second.name}"
    assert not card.with_name(f"README.{second.run_id}.md").exists()
    best.demote(results, _card)
