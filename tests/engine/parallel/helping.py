"""A process that helps the tests' own one to train tiny models."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.tiny_data import LABELS, examples

from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.hooks import Hook
from thriftune.engine.parallel import commands, team
from thriftune.engine.parallel.helper import Helper, Loaded, Tools
from thriftune.engine.parallel.step import SharedStep
from thriftune.engine.parallel.team import Team, part_of_store, store_at, working
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step
from thriftune.engine.train import Fit, Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier

RATE = 1e-3
PROTOCOL = Protocol(epochs=2, batch_size=8, max_tokens=32)


@dataclass(frozen=True)
class Training:
    """What is trained; it can be sent to another process."""

    model: Path
    method: str
    protocol: Protocol
    settings: dict[str, Any] = field(default_factory=dict)
    texts: int = 40

    def loaded(self) -> Loaded:
        """The model as the method changes it, and its texts."""
        classifier = load_classifier(self.model, LABELS, seed=1)
        method = find(self.method)(**self.settings)
        method.apply(classifier, torch.Generator().manual_seed(2))
        with torch.no_grad():
            for name, parameter in classifier.trained():
                if "lora_B" in name:
                    parameter.normal_(0, 0.05, generator=torch.Generator().manual_seed(3))
        texts = {
            "train": examples(classifier, self.texts),
            "validation": examples(classifier, 30, seed=9),
            "test": examples(classifier, 25, seed=4),
        }
        return Loaded(classifier, texts, self.protocol, method.watch)


@dataclass(frozen=True)
class Digest:
    """Tell the trained weights, as they are."""


@dataclass(frozen=True)
class Die:
    """End at once, in the middle of the next step."""


def trained_bytes(classifier: Classifier) -> bytes:
    """The trained weights' bits."""
    return b"".join(p.detach().numpy().tobytes() for _, p in classifier.trained())


class _Helper(Helper):
    def obey(self, command: object) -> None:
        if isinstance(command, Digest):
            self.team.gather(trained_bytes(self.loaded.classifier))
        elif isinstance(command, Die):
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            super().obey(command)


def _load(training: Training, without: int) -> Loaded:
    return training.loaded()


def help_out(port: int, rank: int, size: int) -> None:
    """The other process."""
    torch.set_num_threads(1)
    own = Team(part_of_store(store_at("127.0.0.1", port, holds=False), 0), rank, size, "cpu")
    own.join()
    with working(own):
        helper = _Helper(own, Tools(_load, lambda step, texts: 1, lambda: 1))
        while not isinstance(command := own.told(), commands.End):
            helper.obey(command)


@contextmanager
def helped(size: int = 2) -> Iterator[Team]:
    """A team with so many processes, this one the first; it is present while `shared` is used."""
    store = store_at("127.0.0.1", 0, holds=True)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=help_out, args=(store.port, rank, size), daemon=True) for rank in range(1, size)]
    for each in others:
        each.start()
    own = Team(part_of_store(store, 0), 0, size, "cpu")
    own.gone = lambda: [team.Lost(1, "failed", "gone") for each in others if each.exitcode is not None]
    own.begin()
    try:
        yield own
        if not own.gone():
            own.tell(commands.End())
            for each in others:
                each.join(10)
    finally:
        own.leave()
        for each in others:
            each.kill()
            each.join()


@contextmanager
def shared(own: Team) -> Iterator[None]:
    """Inside, the team is this process's."""
    team._present.append(own)
    try:
        yield
    finally:
        team._present.pop()
        own.loaded = False


@dataclass(frozen=True)
class Result:
    """What a training left."""

    fit: Fit
    classifier: Classifier
    texts: dict[str, Examples]


def train(training: Training, folder: Path, own: Team | None = None, hooks: tuple[Hook, ...] = ()) -> Result:
    """Trains in this process, or with a team's others where one is given."""
    if own is not None:
        own.tell(commands.Load(training, 0))
    loaded = training.loaded()
    if own is not None:
        own.loaded, own.splits = True, {name: part.tokens.offsets for name, part in loaded.examples.items()}
    texts = run_prefix(loaded.classifier, loaded.examples, training.protocol, PrefixCache(folder / "prefixes"))
    task = Task(
        loaded.classifier,
        texts["train"],
        texts["validation"],
        training.protocol,
        RATE,
        5,
        folder / "best.safetensors",
        watcher=loaded.watch(loaded.classifier),
    )
    return Result(fit(task, hooks), loaded.classifier, texts)


class Watching(Hook):
    """Whether the steps were a team's."""

    def __init__(self) -> None:
        self.shared = False

    def train_started(self, step: Step) -> None:
        """Looks at the step."""
        self.shared = isinstance(step, SharedStep)


def compare(training: Training, folder: Path, own: Team, weights: bool = True) -> None:
    """Two processes, with dropout, against one: losses, every look at validation, what is predicted, the weights."""
    alone = train(training, folder / "alone")
    watching = Watching()
    with shared(own):
        both = train(training, folder / "both", own, (watching,))
        predicted = predict(both.classifier, both.texts["test"], training.protocol)
        own.tell(Digest())
        bits = own.gather(trained_bytes(both.classifier))
    assert watching.shared
    assert bits[0] == bits[1], "all processes end with the same bits"
    assert len(both.fit.steps) == len(alone.fit.steps)
    for name in ("loss", "learning_rate"):
        found, expected = ([getattr(point, name) for point in each.fit.steps] for each in (both, alone))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "changed"):
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(both.fit.epochs, alone.fit.epochs, strict=True)]
        np.testing.assert_allclose(*zip(*[p for p in pairs if None not in p], strict=True), rtol=1e-5, atol=1e-6)
    assert both.fit.best_epoch == alone.fit.best_epoch
    expected = predict(alone.classifier, alone.texts["test"], training.protocol)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-5)
    if weights:
        for (name, a), (_, b) in zip(both.classifier.trained(), alone.classifier.trained(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)
