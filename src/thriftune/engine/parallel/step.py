"""Optimisation steps by a team: each process computes a share of every batch, all make the same update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thriftune.engine.forward import packs
from thriftune.engine.hooks import Hook
from thriftune.engine.parallel.commands import Fit, Fitted, Steps
from thriftune.engine.parallel.dropout import agreeing, modules_of
from thriftune.engine.parallel.reducer import Reducer
from thriftune.engine.parallel.split import shares
from thriftune.engine.parallel.team import Team, present
from thriftune.engine.step import Step, StepResult
from thriftune.methods.base import Resumable, Watcher
from thriftune.models.ops.share import Share, computing

if TYPE_CHECKING:
    from thriftune.engine.loop import Task

STOP, CORRECT = 0, 1
"""Places among the numbers that come with the gradients; the texts' losses follow."""


class SharedStep(Step):
    """Steps whose batches a team splits; without `epoch`, as probes run it, a step of this process alone.

    On a CPU and the packed path every process draws the same random numbers, and dropout drops what it would in one
    process; elsewhere each has its own.
    """

    joint = True

    def __init__(self, team: Team, most_steps: int, *rest: Any) -> None:
        super().__init__(*rest)
        self.team = team
        self.most_steps = most_steps
        self.watcher: Watcher | None = None
        """Of the method, whose state the others take over where the first process has taken up a training."""
        self.exact = self.classifier.device.type == "cpu" and packs(self.classifier, self.protocol)
        self._reducer = Reducer(team, self.parameters)
        self._reducer.reserve(2 + self.protocol.batch_size * self.protocol.accumulate)
        self._dropouts = modules_of(self.classifier.root) if self.exact else []
        self._lengths = self.examples.tokens.lengths

    def own(self, indices: np.ndarray) -> np.ndarray:
        """This process's texts of a batch."""
        return self._share(indices)[0]

    def _share(self, indices: np.ndarray) -> tuple[np.ndarray, Share, np.ndarray]:
        """This process's texts, which part they are, and their places in the batch."""
        lengths = np.asarray(self._lengths[indices])
        order = np.argsort(-lengths, kind="stable")  # as the packed path orders them
        places = shares(lengths[order], self.team.size)
        start, stop = places[self.team.rank], places[self.team.rank + 1]
        return indices[order[start:stop]], Share(lengths[order], start, stop, self.team.rank), order[start:stop]

    def epoch(self, groups: list[list[np.ndarray]], rates: list[float]) -> Iterator[StepResult]:
        """The first process's steps, which it tells the others before."""
        state = self.team.unequal
        watcher = self.watcher.state() if state and isinstance(self.watcher, Resumable) else None
        self.team.tell(Steps(groups, rates, self.done, self.most_steps, torch.get_rng_state(), state, watcher))
        if state:
            self.spread()
        for number, (group, rate) in enumerate(zip(groups, rates, strict=True)):
            self.team.before = None
            result = self.together(group, rate, self.updated)
            assert result is not None
            if number + 1 < len(rates):
                self.team.before = partial(self._break_off, sum(map(len, groups[number + 1])))
            yield result

    def _break_off(self, texts: int) -> None:
        """Ends the others' steps where the first process wants no more: they are waiting for it in the next one."""
        further = self._numbers(texts)
        further[STOP] = 1
        self._reducer.begin()
        self._reducer.finish(further)
        self.optimizer.zero_grad(set_to_none=True)

    def _numbers(self, texts: int) -> torch.Tensor:
        return torch.zeros(2 + texts, device=self.classifier.device, dtype=self.parameters[0].dtype)

    def spread(self) -> None:
        """Gives every process the first one's weights and optimiser state; all are to call it."""
        with torch.no_grad():
            self.team.spread([p.data for p in self.parameters])
        (begun,) = self.team.gather(bool(self.optimizer.state))[:1]
        if begun:
            for parameter in self.parameters:
                self._spread_state(parameter)
        self.team.unequal = False

    def _spread_state(self, parameter: torch.Tensor) -> None:
        """AdamW's moments and step of one parameter; one without a state gets none."""
        own = self.optimizer.state.get(parameter)
        (there,) = self.team.gather(bool(own))[:1]
        if not there:
            self.optimizer.state.pop(parameter, None)
            return
        if not own:
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
            own = {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
            self.optimizer.state[parameter] = own
        self.team.spread([own[name] for name in ("step", "exp_avg", "exp_avg_sq")])

    def together(
        self, batches: list[np.ndarray], learning_rate: float, updated: Callable[[], None] | None
    ) -> StepResult | None:
        """One step of all processes, each on its share; None where the first one wants no more."""
        texts, device = sum(len(batch) for batch in batches), self.classifier.device
        further = self._numbers(texts)
        self._reducer.begin()
        seen, idle = 2, False
        for indices in batches:
            own, share, places = self._share(indices)
            idle = idle or len(indices) < self.team.size
            if len(own):
                with self._computing(share):
                    logits, losses = self.forward(own)
                    objective = losses.sum() / texts
                    if self.penalty is not None and (added := self.penalty()) is not None:
                        objective = objective + added * (len(own) / texts)
                    objective.backward()
                further[torch.from_numpy(places + seen).to(device)] = losses.detach().to(further.dtype)
                labels = self.labels[torch.from_numpy(own).to(device)]
                further[CORRECT] += (logits.detach().argmax(dim=1) == labels).sum()
            seen += len(indices)
        found = self._reducer.finish(further)
        if self.team.rank and found[STOP] > 0:
            self.optimizer.zero_grad(set_to_none=True)
            return None
        if idle and self.exact:
            self._same_random()
        self.losses[torch.from_numpy(np.concatenate(batches)).to(device)] = found[2:].to(self.losses.dtype)
        self.update(learning_rate, updated)
        return StepResult(found[2:].sum().float(), found[CORRECT].round().to(torch.int64), texts)

    @contextmanager
    def _computing(self, share: Share) -> Iterator[None]:
        with computing(share), agreeing(self._dropouts):
            yield

    def _same_random(self) -> None:
        """A process that had no text has drawn nothing: all go on with the first one's random numbers."""
        state = torch.get_rng_state()
        self.team.spread([state])
        torch.set_rng_state(state)


class Sharing(Hook):
    """Has the others get the weights that were put back in the first process."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def put_back(self) -> None:
        """The others still have those of the last step."""
        self._team.unequal = True


def step_of(task: Task, optimizer: torch.optim.Optimizer, most_steps: int) -> tuple[Step, list[Hook]]:
    """The steps of a training and what watches them: a team's where this process leads one that holds its texts."""
    team = leading(task.train.tokens.offsets)
    parts = (task.classifier, task.train, task.protocol, optimizer, task.watcher.penalty if task.watcher else None)
    if team is None:
        return Step(*parts), []
    team.tell(Fit(task.learning_rate, task.head_learning_rate, task.seed))
    team.unequal = True  # as a solved head, or a training that is resumed
    step = SharedStep(team, most_steps, *parts)
    step.watcher = task.watcher
    return step, [Sharing(team)]


def leading(offsets: np.ndarray) -> Team | None:
    """The team of which this process is the first and whose processes hold the texts with these offsets."""
    team = present()
    return team if team is not None and not team.rank and team.split_of(offsets) is not None else None


def fitted() -> None:
    """Tells the team that a training is over and its weights are whole again."""
    team = present()
    if team is not None and not team.rank and team.loaded:
        team.tell(Fitted())
        team.unequal = True
