"""Whatever breaks off, wherever: the model has all parameters, frozen ones untouched, trained ones as set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.frozen.test_prefix import splits
from tests.engine.frozen.test_stages import made
from tests.engine.frozen.test_words import classifier
from tests.tiny_data import examples
from tests.tiny_models import model_folder

from thriftune.engine.frozen import stages
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import FrozenLayers
from thriftune.engine.hooks import Hook
from thriftune.engine.predict import predict, predict_and_embed
from thriftune.engine.protocol import OptimizerSettings, Protocol
from thriftune.engine.train import Task, fit
from thriftune.models.classifier import Classifier
from thriftune.models.residence import whole

PROTOCOL = Protocol(epochs=3, batch_size=8, max_tokens=48, optimizer=OptimizerSettings(weight_decay=0.5))
RATE = 1e-2
ERRORS = [RuntimeError, KeyboardInterrupt]
MOMENTS = {"stepped": 4, "steps_started": 2, "steps_done": 2, "epoch_ended": 2, "looked": 2, "kept": 1}
"""Of a hook: at which call it raises."""


class Stop(Hook):
    """Raises in one of a hook's methods, and remembers the weights and the decay until then."""

    def __init__(self, model: Classifier, moment: str = "", error: type[BaseException] = RuntimeError) -> None:
        self.model, self.moment, self.decay, self.calls = model, moment, 1.0, 0
        self.weights: dict[str, torch.Tensor] = {}
        if moment:
            setattr(self, moment, lambda *given: self.called(error, *given))

    def stepped(self, progress: Any) -> None:
        self.decay *= 1 - progress.learning_rate * PROTOCOL.optimizer.weight_decay

    def called(self, error: type[BaseException], *given: Any) -> None:
        if self.moment == "stepped":
            Stop.stepped(self, given[0])
        self.calls += 1
        self.remember()
        if self.calls == MOMENTS[self.moment]:
            raise error("broken off")

    def remember(self) -> None:
        self.weights = {name: p.detach().clone() for name, p in self.model.trained()}


def train(model: Classifier, folder: Path, hook: Hook) -> None:
    fit(Task(model, examples(model, 24), examples(model, 20, seed=9), PROTOCOL, RATE, 0, folder / "best"), [hook])


def check(model: Classifier, start: Classifier, stopped: Stop) -> None:
    """Every parameter: as it was when training broke off; words that do not occur with the decay that they missed."""
    words, before = model.encoder.get_input_embeddings(), start.encoder.get_input_embeddings()
    assert (words.num_embeddings, words.padding_idx) == (before.num_embeddings, before.padding_idx)
    assert [n for n, _ in model.network.named_buffers()] == [n for n, _ in start.network.named_buffers()]
    used = torch.cat([torch.from_numpy(examples(start, *n).tokens.ids) for n in ((24,), (20, 9))]).unique().long()
    named = dict(model.network.named_parameters())
    for name, untouched in start.network.named_parameters():
        found, expected = named[name], stopped.weights.get(name, untouched)
        if found is words.weight and name in stopped.weights and len(expected) == len(used):
            expected = (untouched * stopped.decay).index_copy(0, used, expected)
        assert found.requires_grad == untouched.requires_grad
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_in_training(moment: str, error: type[BaseException], tmp_path: Path) -> None:
    model, start = classifier("bert"), classifier("bert")
    stop = Stop(model, moment, error)
    with pytest.raises(error, match="broken off"):
        train(model, tmp_path, stop)
    check(model, start, stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "place", ["train.build_optimizer", "train.step_of", "train.pace_of", "loop.quick_scores", "loop.save_trained"]
)
def test_in_what_surrounds_the_steps(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, start = classifier("bert"), classifier("bert")
    stop = Stop(model)

    def broken(*_: Any, **__: Any) -> None:
        stop.remember()
        raise OSError("no space")

    monkeypatch.setattr(f"thriftune.engine.{place}", broken)
    with pytest.raises(OSError, match="no space"):
        train(model, tmp_path, stop)
    check(model, start, stop)


def same_parameters(model: Classifier, other: Classifier) -> None:
    named = dict(model.network.named_parameters())
    for name, parameter in other.network.named_parameters():
        assert torch.equal(named[name], parameter), name


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
def test_in_the_pass_of_the_frozen_layers(
    lazy: bool, streamed: bool, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(stages, "STREAMED_BYTES", 0)
    model, untouched = (made(model_folder("bert"), "lora", lazy=each) for each in (lazy, False))

    def report(split: str, done: int, total: int) -> None:
        if split == "validation":
            raise error("broken off")

    with pytest.raises(error):
        FrozenLayers(splits(model), PROTOCOL, PrefixCache(tmp_path), report).run(model)
    same_parameters(model, untouched)
    assert not list(tmp_path.glob("*.tmp"))


def test_in_training_above_frozen_layers(tmp_path: Path) -> None:
    model, untouched = (made(model_folder("bert"), "top_layers", lazy=False) for _ in range(2))
    texts = FrozenLayers(splits(model), PROTOCOL, PrefixCache(None)).run(model)
    stop = Stop(model, "steps_done")
    with pytest.raises(RuntimeError, match="broken off"):
        fit(Task(model, texts["train"], texts["validation"], PROTOCOL, RATE, 0, tmp_path / "best"), [stop])
    with torch.no_grad():
        for name, parameter in untouched.trained():
            parameter.copy_(stop.weights[name])
    same_parameters(whole(model), untouched)


@pytest.mark.parametrize("score", [predict, lambda *given: predict_and_embed(*given, texts=np.arange(3))])
def test_in_scoring(score: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, untouched = (made(model_folder("bert"), "lora", lazy=False) for _ in range(2))
    data = splits(model)["train"]

    def broken(*_: Any) -> None:
        raise RuntimeError("broken off")

    with monkeypatch.context() as patch:
        patch.setattr("thriftune.engine.predict.logits_of", broken)
        with pytest.raises(RuntimeError, match="broken off"):
            score(model, data, PROTOCOL)
    same_parameters(model, untouched)
    assert not any(part._forward_pre_hooks for part in model.network.modules())
    torch.testing.assert_close(predict(model, data, PROTOCOL), predict(untouched, data, PROTOCOL), rtol=0, atol=0)
