"""Runs whose head is solved before their first step, or instead of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tests.study.small_study import small_study
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder

from thriftune.cost.measured.meter import CostMeter
from thriftune.engine.batches import padded_batch
from thriftune.engine.predict import predict
from thriftune.errors import InputError
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.report.render import write_report
from thriftune.results.history import EpochPoint
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.study import execute
from thriftune.study.file.config import Study
from thriftune.study.file.plan import plan
from thriftune.study.run import solved_head
from thriftune.study.run.solved_head import SolvedHead

MEAN = {"type": "mean"}


def solved(name: str, **settings: Any) -> dict[str, Any]:
    return {name: {"head_start": "solved", **settings}}


def compare(study: Study, out: Path) -> Results:
    return execute.compare(study, out, None, isolate=False)


def by_name(results: Results) -> dict[str, RunRecord]:
    return {run.name: run for run in results.runs}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Random and solved heads of every kind of method on the mean of a tiny model's tokens."""
    folder = tmp_path_factory.mktemp("solved")
    methods = [
        {"head_only": {"learning_rate": 0.01}},
        solved("head_only", learning_rate=0.01),
        solved("top_layers", layers=1, learning_rate=[1e-4, 3e-4]),
        solved("lora"),
        solved("full", learning_rate=1e-5),
    ]
    return compare(small_study(folder, methods=methods, head=MEAN), folder / "out")


def test_every_run_is_done_and_its_page_written(found: Results) -> None:
    assert [(run.status, run.message) for run in found.runs] == [("done", None)] * 5
    assert write_report(found.store.path).exists()


def test_a_solved_head_is_the_answer_where_nothing_else_is_trained(found: Results) -> None:
    run = by_name(found)["head_only head start solved"]
    cost = run.cost
    assert cost is not None
    assert run.learning_rate is None
    assert run.training is not None
    assert (run.training.ended, run.training.state, run.training.steps) == ("solved", "plateau", 0)
    steps, epochs = found.history(run)
    assert steps == []
    assert [(point.epoch, point.step) for point in epochs] == [(1, 0)]
    assert run.best_epoch == 1
    assert run.validation is not None
    assert epochs[0].validation_accuracy == pytest.approx(run.validation.accuracy)
    assert epochs[0].train_seconds == cost.train_seconds > 0
    for name in ("samples_per_second", "step_seconds", "pass_seconds"):
        assert getattr(cost, name) is None
        assert cost.reasons[name] == solved_head.NO_STEPS
    assert cost.memory is not None
    assert sum(vars(cost.memory).values()) == cost.peak_memory_bytes
    assert any("C " in note and "on validation" in note for note in run.notes)
    assert any("no steps were run" in note for note in run.notes)


def test_its_cost_was_predicted(found: Results) -> None:
    run = next(run for run in found.runs if run.training is not None)
    assert run.predicted is not None
    assert run.cost is not None
    assert run.predicted.peak_memory_bytes == pytest.approx(run.cost.peak_memory_bytes, rel=0.05)
    assert run.predicted.trained_parameters == run.cost.trained_parameters
    assert run.predicted.delta_bytes == run.cost.delta_bytes
    assert run.predicted.train_seconds is None or run.predicted.train_seconds > 0
    assert run.predicted.samples_per_second is None


def test_its_dynamics_are_one_epoch(found: Results) -> None:
    run = by_name(found)["head_only head start solved"]
    dynamics = found.store.run(run.run_id).read_dynamics()
    epochs = [point for point in found.history(run)[1] if isinstance(point, EpochPoint)]
    assert dynamics["epoch"].unique().to_list() == [1]
    assert dynamics["p_true"].is_between(0.0, 1.0).all()
    assert float(-np.log(dynamics["p_true"].to_numpy()).mean()) == pytest.approx(epochs[0].train_loss, rel=1e-4)


def test_it_is_no_worse_than_a_trained_head_on_the_training_texts(found: Results) -> None:
    runs = by_name(found)
    losses = {name: found.history(runs[name])[1][-1].train_loss for name in ("head_only head start random",)}
    mine = found.history(runs["head_only head start solved"])[1][-1].train_loss
    assert mine < losses["head_only head start random"]


def test_training_goes_on_from_the_solved_head(found: Results) -> None:
    answer = found.history(by_name(found)["head_only head start solved"])[1][0]
    first = found.history(by_name(found)["full"])[0][0]
    assert first.loss < 1.5 * answer.train_loss, "the first steps' loss is about that of the solved head"


def test_a_search_over_rates_solves_once(found: Results) -> None:
    run = by_name(found)["top_layers 1"]
    assert len(run.search) == 2
    assert sum("logistic regression" in note for note in run.notes) == 1
    assert run.cost is not None
    assert run.cost.train_seconds > sum(point.train_seconds for point in run.search), "the solve is charged"


def test_it_repeats_bit_by_bit(found: Results, tmp_path: Path) -> None:
    run = by_name(found)["head_only head start solved"]
    again = compare(small_study(tmp_path, methods=[solved("head_only")], head=MEAN), tmp_path / "out").runs[0]
    assert again.test == run.test
    assert again.validation == run.validation


@pytest.mark.parametrize("classes", [3, 4])
def test_the_logits_of_texts_are_scikit_learns(tmp_path: Path, classes: int) -> None:
    """On the mean as transformers' own encoder gives it; a fourth class has no training text."""
    labels = (*LABELS, "absent")[:classes]
    classifier = load_classifier(model_folder("bert"), labels, HeadSettings(type="mean"))
    texts = {"train": examples(classifier, 120), "validation": examples(classifier, 50, seed=1)}
    planned = plan(small_study(tmp_path, methods=[solved("head_only")], head=MEAN))[0]
    start = SolvedHead(planned, CostMeter(texts["train"].tokens.lengths, 0), lambda event: None)
    assert start.begin(classifier, texts) is not None
    means = {}
    for split, part in texts.items():
        batch = padded_batch(part.tokens, np.arange(len(part)), classifier, planned.protocol)
        with torch.no_grad():
            hidden = classifier.encoder(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        means[split] = ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).double().numpy()
    c = float(start.notes[0].partition(" C ")[2].split()[0])
    peer = LogisticRegression(C=c, tol=1e-12, max_iter=10_000).fit(means["train"], texts["train"].labels)
    logits = predict(classifier, texts["validation"], planned.protocol)
    assert np.abs(logits[:, :3] - peer.decision_function(means["validation"])).max() < 1e-4
    assert (logits.argmax(axis=1) < 3).all()


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_own_heads_begin_solved_and_train_on(kind: str, tmp_path: Path) -> None:
    study = small_study(tmp_path, kind, methods=[solved("head_only")], data={"split": {"test": 0.3, "validation": 0.2}})
    run = compare(study, tmp_path / "out").runs[0]
    assert (run.status, run.message) == ("done", None)
    if kind == "gpt2":  # one Linear is all of its head
        assert run.training is not None
        assert run.training.ended == "solved"
    else:
        assert run.learning_rate is not None
        assert run.cost is not None
        assert run.cost.step_seconds is not None


def test_without_validation_c_is_fixed_and_said(tmp_path: Path) -> None:
    study = small_study(
        tmp_path,
        methods=[solved("head_only")],
        head=MEAN,
        data={"split": {"test": 0.3}},
        protocol={"epochs": 2, "batch_size": 16, "max_tokens": 32, "device": "cpu", "keep": "last"},
    )
    run = compare(study, tmp_path / "out").runs[0]
    assert run.status == "done"
    assert any("there is no validation" in note for note in run.notes)


def test_a_head_that_cannot_be_solved_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thriftune.engine.solved import features

    def none(classifier: Any) -> Any:
        raise features._no_linear(classifier)

    monkeypatch.setattr(features, "last_linear", none)
    with pytest.raises(InputError, match="head_start solved needs a head"):
        compare(small_study(tmp_path, methods=[solved("head_only")]), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="head_start"):
        small_study(tmp_path, methods=[{"head_only": {"head_start": "warm"}}])
