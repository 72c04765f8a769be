"""What a training consists of between two steps, and how one takes it up again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch

from thriftune.engine.predict import QuickScores
from thriftune.engine.resume.randoms import random_state, restore_random
from thriftune.engine.resume.state import State
from thriftune.engine.resume.sums import Answers, Since, Sums
from thriftune.methods.base import Resumable
from thriftune.models.classifier import Classifier
from thriftune.results.history import EpochPoint, StepPoint

if TYPE_CHECKING:
    from thriftune.engine.loop import Loop
    from thriftune.engine.step import Step

PLAIN = ("steps_done", "texts", "seconds", "best_epoch", "stopping_best", "stopping_bad", "window_mean", "place")
"""Numbers of the loop."""


class Untrained:
    """Which of a model's tensors change in training although no gradient reaches them: running means, masks."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._first = {name: (weakref.ref(tensor), tensor._version) for name, tensor in self._tensors().items()}

    def state(self) -> State:
        """Those that are others now than in the beginning, or were written to since."""
        first = self._first
        return {
            name: tensor
            for name, tensor in self._tensors().items()
            if name not in first or first[name][0]() is not tensor or first[name][1] != tensor._version
        }

    def restore(self, state: State) -> None:
        """Copies them back."""
        tensors = self._tensors()
        for name, stored in state.items():
            tensors[name].copy_(stored.load())

    def _tensors(self) -> dict[str, torch.Tensor]:
        root = self._classifier.root
        named = {**dict(root.named_parameters()), **dict(root.named_buffers())}
        trained = {id(parameter) for _, parameter in self._classifier.trained()}
        return {n: t for n, t in named.items() if id(t) not in trained and not t.is_meta and not t.is_inference()}


def state_of(loop: Loop) -> State:
    """The state of a training; its tensors are those that training goes on with, not copies."""
    task, step = loop.task, loop.step
    return {
        **{name: getattr(loop, name) for name in PLAIN},
        "learning_rate": task.learning_rate,
        "pace": loop.pace.state(),
        "step_points": [vars(point) for point in loop.step_points],
        "epoch_points": [vars(point) for point in loop.epoch_points],
        "answers": [vars(answers) for answers in loop.answers],
        "best_score": list(loop.best_score),
        "kept": scores_state(loop.kept),
        "last": None if loop.last is loop.kept else scores_state(loop.last),
        "last_is_kept": loop.last is loop.kept,
        "since": dict(vars(loop.since)),
        "sums": dict(vars(loop.sums)),
        "hooks": {type(hook).__name__: hook.state() for hook in loop.hooks},
        "watcher": task.watcher.state() if isinstance(task.watcher, Resumable) else None,
        "trained": dict(task.classifier.trained()),
        "untrained": loop.untrained.state(),
        "optimizer": _optimizer_state(step),
        "losses": step.losses,
        "random": random_state(task.classifier.device),
    }


def restore_hooks(loop: Loop, state: State) -> None:
    """Of the hooks, before they hear that training starts."""
    for hook in loop.hooks:
        hook.restore(state["hooks"].get(type(hook).__name__, {}))


def restore(loop: Loop, state: State) -> None:
    """Everything else, after they have heard it."""
    task, step, device = loop.task, loop.step, loop.task.classifier.device
    if state["learning_rate"] != task.learning_rate:
        raise ValueError(f"the checkpoint's learning rate is {state['learning_rate']}, not {task.learning_rate}")
    for name in PLAIN:
        setattr(loop, name, state[name])
    loop.pace.restore(state["pace"])
    loop.step_points = [StepPoint(**point) for point in state["step_points"]]
    loop.epoch_points = [EpochPoint(**point) for point in state["epoch_points"]]
    loop.answers = [Answers(**answers) for answers in state["answers"]]
    loop.best_score = (state["best_score"][0], state["best_score"][1])
    loop.kept = scores_from(state["kept"])
    loop.last = loop.kept if state["last_is_kept"] else scores_from(state["last"])
    loop.since = Since(**state["since"])
    sums = state["sums"]
    loss, window_loss, correct = (sums[name].load().to(device) for name in ("loss", "window_loss", "correct"))
    loop.sums = Sums(loss, window_loss, correct, sums["texts"], sums["window_texts"])
    if task.watcher is not None and isinstance(task.watcher, Resumable):
        task.watcher.restore(state["watcher"])
    with torch.no_grad():
        for name, parameter in task.classifier.trained():
            parameter.copy_(state["trained"][name].load())
        loop.untrained.restore(state["untrained"])
        step.losses.copy_(state["losses"].load())
    _restore_optimizer(step, state["optimizer"])
    restore_random(state["random"], device)


def _optimizer_state(step: Step) -> list[State]:
    """Of each trained parameter, in their order; on a GPU some of it lies with the host."""
    found = [step.optimizer.state.get(parameter, {}) for parameter in step.parameters]
    return [
        {"values": dict(each), "host": [name for name, value in each.items() if value.device.type == "cpu"]}
        for each in found
    ]


def _restore_optimizer(step: Step, states: list[State]) -> None:
    step.optimizer.state.clear()
    for parameter, state in zip(step.parameters, states, strict=True):
        if state["values"]:
            step.optimizer.state[parameter] = {
                name: stored.load().to("cpu" if name in state["host"] else parameter.device)
                for name, stored in state["values"].items()
            }


def scores_state(scores: QuickScores | None) -> State | None:
    """Of scores on validation."""
    return None if scores is None else dict(vars(scores))


def scores_from(state: dict[str, Any] | None) -> QuickScores | None:
    """What `scores_state` made a state of."""
    return None if state is None else QuickScores(**state)
