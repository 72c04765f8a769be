"""What every process of a team but the first does: what it is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import packed_batch, token_batches, widest_batch
from thriftune.engine.examples import Examples
from thriftune.engine.forward import row_dtype
from thriftune.engine.frozen.words import used_words
from thriftune.engine.gpu.precision import use_precision
from thriftune.engine.parallel import commands
from thriftune.engine.parallel.passes import send_rows, spread_weights, taken
from thriftune.engine.parallel.step import SharedStep
from thriftune.engine.parallel.team import Team
from thriftune.engine.predict import predict, predict_and_embed
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import build_optimizer
from thriftune.methods.base import Resumable, Watcher
from thriftune.models.classifier import Classifier
from thriftune.models.packed import prefix_output
from thriftune.models.residence import in_memory, read_back, release

OWN_RANDOM = 1_000_003
"""Between the seeds of processes that draw their own random numbers."""


@dataclass
class Loaded:
    """A run's model and texts, as the first process has them."""

    classifier: Classifier
    examples: dict[str, Examples]
    protocol: Protocol
    watch: Callable[[Classifier], Watcher | None]


@dataclass(frozen=True)
class Tools:
    """What the engine does not know of."""

    load: Callable[[Any, int], Loaded]
    peak: Callable[[SharedStep, np.ndarray], int]
    """Bytes at the peak of a step of this process alone, on its share of a batch."""
    process_peak: Callable[[], int]


def serve(team: Team, tools: Tools) -> None:
    """Does what the first process tells, until that is the end."""
    helper = Helper(team, tools)
    while not isinstance(command := team.told(), commands.End):
        helper.obey(command)


class Helper:
    """One process's model, texts and training."""

    def __init__(self, team: Team, tools: Tools) -> None:
        self.team, self.tools = team, tools
        self.peak = 0
        """Bytes in training, of all trainings so far."""
        self._loaded: Loaded | None = None
        self._step: SharedStep | None = None
        self._watcher: Watcher | None = None
        self._started = False
        self._training = ExitStack()
        self._narrowed: dict[str, Examples] = {}

    @property
    def loaded(self) -> Loaded:
        """What was loaded."""
        assert self._loaded is not None, "told to compute before it was told to load"
        return self._loaded

    def obey(self, command: object) -> None:
        """Does what one command says."""
        match command:
            case commands.Load(job, without):
                self._end_training()
                self._loaded = None  # its weights are gone before the next are loaded
                self._loaded = self.tools.load(job, without)
                self.team.loaded = True
                self.team.splits = {name: part.tokens.offsets for name, part in self.loaded.examples.items()}
            case commands.Stage():
                self._pass(command)
            case commands.Prefixed(split=split):
                examples = self.loaded.examples
                examples[split] = replace(examples[split], prefix=taken(self.team, command, examples[split].tokens))
            case commands.Frozen(released):
                (release if released else read_back)(self.loaded.classifier)
            case commands.Fit():
                self._end_training()
                self._begin(command)
            case commands.Steps():
                self._steps(command)
            case commands.Predict():
                self._predict(command)
            case commands.Fitted():
                self._end_training()
            case commands.Memory():
                self.team.gather((self.peak, self.tools.process_peak()))
            case _:
                raise TypeError(f"{command} is no command")

    def _pass(self, told: commands.Stage) -> None:
        """This process's batches of a split, through some frozen layers."""
        classifier, tokens = self.loaded.classifier, self.loaded.examples[told.split].tokens
        family, encoder = classifier.family, classifier.encoder
        keep_freed_memory()
        classifier.eval_mode()
        lower = set() if told.bottom is None else {id(m) for m in family.below(encoder, told.bottom)}
        modules = [module for module in family.below(encoder, told.top) if id(module) not in lower]
        width = int(classifier.config.hidden_size)
        dtype = next(classifier.head_modules[-1].parameters()).dtype
        with torch.inference_mode(), in_memory(classifier, modules):
            for indices in token_batches(tokens.lengths)[told.first + self.team.rank :: self.team.size]:
                rows = packed_batch(tokens, indices, classifier.device)
                hidden: torch.Tensor | None = None
                if told.bottom is not None:
                    below = torch.empty(
                        int(tokens.lengths[indices].sum()),
                        width,
                        dtype=torch.float64 if dtype == torch.float64 else torch.float32,
                    )
                    self.team.receive(below, 0)
                    hidden = below.to(classifier.device)
                bottom = 0 if told.bottom is None else told.bottom
                dtype_between = row_dtype(classifier, self.loaded.protocol)
                send_rows(self.team, prefix_output(classifier, rows, told.top, bottom, hidden, dtype=dtype_between))

    def _begin(self, told: commands.Fit) -> None:
        """As `engine.train.fit` begins."""
        from thriftune.engine.loop import Task

        loaded = self.loaded
        keep_freed_memory()
        use_precision(loaded.protocol)
        self._watcher = loaded.watch(loaded.classifier)
        task = Task(
            classifier=loaded.classifier,
            train=loaded.examples["train"],
            validation=loaded.examples.get("validation"),
            protocol=loaded.protocol,
            learning_rate=told.learning_rate,
            seed=told.seed,
            checkpoint=Path(),  # the first process keeps the best weights
            watcher=self._watcher,
            head_learning_rate=told.head_learning_rate,
        )
        task, _ = self._training.enter_context(used_words(task, ()))
        self._narrowed = {"train": task.train}
        if task.validation is not None:
            self._narrowed["validation"] = task.validation
        torch.manual_seed(told.seed)
        rate = told.learning_rate
        scale = (told.head_learning_rate or rate) / rate
        optimizer = build_optimizer(loaded.classifier, loaded.protocol.optimizer, rate, scale)
        penalty = self._watcher.penalty if self._watcher else None
        step = SharedStep(self.team, 0, loaded.classifier, task.train, loaded.protocol, optimizer, penalty)
        loaded.classifier.train_mode(loaded.protocol.frozen_dropout == "on")
        widest = step.own(widest_batch(task.train.tokens.lengths, loaded.protocol, told.seed))
        if len(widest):
            self.peak = max(self.peak, self.tools.peak(step, widest))
        if not step.exact:
            torch.manual_seed(told.seed + self.team.rank * OWN_RANDOM)
        self._step, self._started = step, False

    def _steps(self, told: commands.Steps) -> None:
        step, watcher = self._step, self._watcher
        assert step is not None, "told to make steps without a training"
        self.loaded.classifier.train_mode(self.loaded.protocol.frozen_dropout == "on")
        if watcher is not None and not self._started:
            watcher.started(told.most)
        self._started = True
        if isinstance(watcher, Resumable) and told.watcher is not None:
            watcher.restore(_loadable(told.watcher))
        if told.state:
            step.spread()
        if step.exact:
            torch.set_rng_state(told.random)
        done = told.done
        for group, rate in zip(told.groups, told.rates, strict=True):
            done += 1
            if step.together(group, rate, None if watcher is None else partial(watcher.updated, done)) is None:
                return

    def _predict(self, told: commands.Predict) -> None:
        loaded = self.loaded
        if told.weights:
            spread_weights(self.team, loaded.classifier)
        examples = self._narrowed.get(told.split, loaded.examples[told.split])
        if told.texts is None:
            predict(loaded.classifier, examples, loaded.protocol)
        else:
            predict_and_embed(loaded.classifier, examples, loaded.protocol, told.texts)

    def _end_training(self) -> None:
        """All words are there again, and the gradients' buffer is gone."""
        self._training.close()
        self._training = ExitStack()
        self._narrowed, self._step, self._watcher = {}, None, None


@dataclass(frozen=True)
class _Held:
    """A tensor as a checkpoint hands it out."""

    tensor: torch.Tensor

    def load(self) -> torch.Tensor:
        return self.tensor


def _loadable(state: Any) -> Any:
    """A state whose tensors are read as those of a checkpoint."""
    if isinstance(state, torch.Tensor):
        return _Held(state)
    if isinstance(state, dict):
        return {key: _loadable(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_loadable(value) for value in state]
    return state
