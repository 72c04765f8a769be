"""Training only the words that occur is training all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.engine.reference import without_dropout
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, SHARED, model_folder

from thriftune.engine.frozen import words as words_module
from thriftune.engine.frozen.words import narrow
from thriftune.engine.hooks import DivergedError
from thriftune.engine.protocol import OptimizerSettings, Protocol
from thriftune.engine.train import Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier

PROTOCOL = Protocol(epochs=2, batch_size=8, max_tokens=32, optimizer=OptimizerSettings(weight_decay=0.5))


def classifier(kind: str, method: str = "full") -> Classifier:
    made = load_classifier(model_folder(kind), LABELS, seed=0)
    find(method)().apply(made, torch.Generator().manual_seed(0))
    made.network.double()
    without_dropout(made.network)
    return made


def trained(model: Classifier, folder: Path, protocol: Protocol = PROTOCOL, rate: float = 1e-2) -> None:
    texts = examples(model, 24), examples(model, 20, seed=9)
    fit(Task(model, *texts, protocol, rate, 0, folder / "best.safetensors"))


@pytest.mark.parametrize("kind", [*KINDS, SHARED[0]])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_are_those_of_training_the_whole_table(
    kind: str, keep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = replace(PROTOCOL, keep=keep)
    narrowed, whole, start = classifier(kind), classifier(kind), classifier(kind)
    trained(narrowed, tmp_path, protocol)
    with monkeypatch.context() as patch:
        patch.setattr(words_module, "narrow", lambda _, splits, __: (None, splits))
        trained(whole, tmp_path, protocol)
    for (name, ours), (_, theirs) in zip(narrowed.trained(), whole.trained(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}")
    words, before = (m.encoder.get_input_embeddings().weight for m in (narrowed, start))
    used = torch.from_numpy(examples(start, 24).tokens.ids).unique()
    unused = torch.ones(len(words), dtype=torch.bool).index_fill(0, used.long(), False)
    assert unused.sum() > 5
    assert (words[unused].abs() < before[unused].abs()).any(), "words that do not occur still decay"
    assert not any("whole" in name for name, _ in narrowed.network.named_buffers())


def test_only_used_rows_have_gradients_and_state() -> None:
    model = classifier("bert")
    data = examples(model, 24)
    size = len(model.encoder.get_input_embeddings().weight)
    vocabulary, (train, none) = narrow(model, [data, None], PROTOCOL)
    assert vocabulary is not None
    assert train is not None
    assert none is None
    used = len(set(data.tokens.ids.tolist()))
    assert len(model.encoder.get_input_embeddings().weight) == used < size
    assert train.tokens.ids.max() == used - 1
    vocabulary.restore(1.0)
    assert len(model.encoder.get_input_embeddings().weight) == size


def test_nothing_happens_where_words_are_frozen_or_batches_are_padded() -> None:
    frozen, padded = classifier("bert", "lora"), classifier("bert")
    assert narrow(frozen, [examples(frozen, 8)], PROTOCOL)[0] is None
    assert narrow(padded, [examples(padded, 8)], replace(PROTOCOL, padding="longest"))[0] is None


def test_a_training_that_breaks_off_leaves_the_whole_table(tmp_path: Path) -> None:
    model = classifier("bert")
    size = model.encoder.get_input_embeddings().weight.shape
    with pytest.raises(DivergedError):
        trained(model, tmp_path, rate=1e30)
    assert model.encoder.get_input_embeddings().weight.shape == size
