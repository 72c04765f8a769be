"""A stored head is kept only where its labels are the study's."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.pretrained.faults import classifier_folder, copied, permuted, rewrite
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder

from thriftune.engine.batches import padded_batch
from thriftune.engine.protocol import Protocol
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.labels import match_labels
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.restore import restore
from thriftune.models.trained.save import save_classifier

KINDS = ("bert", "roberta", "distilbert", "deberta-v2", "modernbert")
CASES = {
    "bert": (["cat", "dog", "bird"], r"its 3 labels \(cat, dog, bird\) are not the study's"),
    "roberta": (["LABEL_0", "LABEL_1", "LABEL_2"], r"have no names"),
}
PATHS = (None, 1)
"""Both ways of loading: all weights, and without the lowest layer."""


def logits(classifier: Classifier) -> torch.Tensor:
    classifier.eval_mode()
    inputs = padded_batch(examples(classifier, 6).tokens, torch.arange(6).numpy(), classifier, Protocol())
    with torch.no_grad():
        return classifier.logits(inputs)


def head_of(classifier: Classifier) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for module in classifier.head_modules for p in module.parameters()])


@pytest.fixture(scope="module", params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier_folder(tmp_path_factory.mktemp("saved"), request.param, LABELS)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model"


def test_permuted_labels_predict_the_same(saved: Path, folder: Path) -> None:
    permuted(folder, [2, 0, 1])
    expected, found = load_classifier(saved, LABELS), load_classifier(folder, LABELS, seed=5)
    assert torch.equal(logits(found), logits(expected))
    assert found.labels == LABELS
    assert any("kept: its labels are the study's, its rows" in note for note in found.notes)
    assert any(note.endswith("kept: its labels are the study's.") for note in expected.notes)
    lazy = load_classifier(folder, LABELS, seed=6, without=1)
    assert lazy.stored is not None
    assert torch.equal(head_of(lazy), head_of(expected))


@pytest.mark.parametrize("without", PATHS)
def test_another_tasks_head_is_drawn_from_the_seed(saved: Path, folder: Path, without: int | None) -> None:
    kind = json.loads((saved / "config.json").read_text())["model_type"]
    names, reason = CASES.get(kind, (["same", "same", "other"], r"are not the study's"))
    rewrite(folder, id2label=dict(enumerate(names)), label2id={})
    first, again, other = (load_classifier(folder, LABELS, seed=seed, without=without) for seed in (1, 1, 2))
    assert torch.equal(head_of(first), head_of(again))
    for name, parameter in first.network.named_parameters():
        if parameter.ndim == 2 and parameter.requires_grad and "pooler" not in name:
            assert not torch.equal(parameter, other.network.get_parameter(name)), name
            assert parameter.std() < 0.2, "initialised, not as the other task left it"
    (note,) = [note for note in first.notes if "head" in note]
    assert "drawn from the seed" in note
    assert re.search(reason, note), note


def test_both_ways_of_loading_draw_the_same_head(folder: Path) -> None:
    rewrite(folder, id2label={0: "x", 1: "y", 2: "z"}, label2id={})
    whole, lazy = (load_classifier(folder, LABELS, seed=4, without=without) for without in PATHS)
    assert torch.equal(head_of(whole), head_of(lazy))
    assert whole.notes == lazy.notes


def test_a_head_of_another_size_is_drawn_from_the_seed(folder: Path) -> None:
    classifier = load_classifier(folder, ("a", "b"), seed=1)
    assert any("labels" in note and "are not the study's" in note for note in classifier.notes)
    assert not torch.equal(head_of(classifier), head_of(load_classifier(folder, ("a", "b"), seed=2)))


def test_a_head_of_another_task_with_the_same_names(folder: Path) -> None:
    rewrite(folder, architectures=["SomeForTokenClassification"])
    assert any("another task (SomeForTokenClassification)" in note for note in load_classifier(folder, LABELS).notes)


def test_a_saved_run_is_restored_whatever_its_labels(tmp_path: Path) -> None:
    """Labels that look like placeholders, or that blanks alone tell apart, are a study's own."""
    for number, labels in enumerate([("LABEL_0", "LABEL_1"), ("pos", "pos ", "Pos")]):
        trained = load_classifier(model_folder("bert"), labels, seed=1)
        with torch.no_grad():
            for _, parameter in trained.trained():
                parameter.add_(0.5)
        save_classifier(trained, tmp_path / str(number))
        fresh = load_classifier(model_folder("bert"), labels, seed=2)
        restore(fresh, tmp_path / str(number))
        assert torch.equal(head_of(fresh), head_of(trained))


def test_a_linear_head_takes_nothing_from_the_checkpoint(folder: Path) -> None:
    first, second = (load_classifier(folder, LABELS, HeadSettings(type="linear"), seed=seed) for seed in (1, 2))
    assert not torch.equal(head_of(first), head_of(second))
    assert any("not used (first: " in note for note in first.notes)


def test_layers_that_a_pretraining_left_below_the_output_are_kept(tmp_path: Path) -> None:
    dense = torch.full((32, 32), 0.125)

    def with_dense(tensors: dict[str, Any]) -> dict[str, Any]:
        return tensors | {"head.dense.weight": dense, "head.norm.weight": torch.ones(32)}

    for task, kept in (("ForMaskedLM", True), ("ForQuestionAnswering", False)):
        made = copied(tmp_path / task, "modernbert", with_dense, architectures=[f"ModernBert{task}"])
        found = load_classifier(made, LABELS).network.get_parameter("head.dense.weight")
        assert torch.equal(found, dense) == kept


@pytest.mark.parametrize(
    ("stored", "labels", "rows"),
    [
        (["b", "a"], ("a", "b"), (1, 0)),
        ([" a", "b "], ("a", "b"), (0, 1)),
        (["Pos", "NEG"], ("neg", "pos"), (1, 0)),
        (["pos", "Pos"], ("Pos", "pos"), (1, 0)),
        (["pos", "Pos"], ("pos", "neg"), None),
        (["Pos", "pos ", "neg"], ("pos", "neg", "NEG"), None),
        (["a", "b", "c"], ("a", "b"), None),
        (["a", "a"], ("a", "b"), None),
        (["LABEL_0", "LABEL_1"], ("LABEL_0", "LABEL_1"), None),
        ([0, 1], ("1", "0"), None),
        (["0", "1"], ("0", "1"), None),
        ([], (), None),
    ],
)
def test_names_match(stored: list[object], labels: tuple[str, ...], rows: tuple[int, ...] | None) -> None:
    assert match_labels(dict(enumerate(stored)), labels) == rows


def test_methods_train_the_kept_head(folder: Path) -> None:
    permuted(folder, [1, 2, 0])
    classifier = load_classifier(folder, LABELS, without=1)
    find("head_only")().apply(classifier, torch.Generator().manual_seed(0))
    assert {id(p) for _, p in classifier.trained()} >= {id(p) for p in classifier.head_modules[-1].parameters()}
    assert json.loads((folder / "config.json").read_text())["id2label"] != dict(enumerate(LABELS))
