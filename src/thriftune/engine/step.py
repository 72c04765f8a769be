"""One optimisation step: forward, backward, clip, update. The loop and the memory probe run this same code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from thriftune.engine.examples import Examples
from thriftune.engine.forward import logits_of, switch_recomputation
from thriftune.engine.protocol import OptimizerSettings, Protocol
from thriftune.models.classifier import Classifier


@dataclass(frozen=True)
class StepResult:
    """Sums over the step's texts, left on the device so that reading them is the caller's choice."""

    loss: torch.Tensor
    correct: torch.Tensor
    texts: int


def parameter_groups(
    classifier: Classifier, settings: OptimizerSettings, head_scale: float = 1.0
) -> list[dict[str, object]]:
    """AdamW's groups: with decay on weights alone, biases and normalisation parameters (vectors) get none.

    The head's parameters have groups of their own where their rate is `head_scale` times the others'.
    """
    parameters = [p for _, p in classifier.trained()]
    head = {id(p) for module in classifier.head_modules for p in module.parameters()} if head_scale != 1.0 else set()
    groups: list[dict[str, object]] = []
    for scale, part in (
        (1.0, [p for p in parameters if id(p) not in head]),
        (head_scale, [p for p in parameters if id(p) in head]),
    ):
        decayed = [p for p in part if p.ndim >= 2 or settings.decay == "all"]
        spared = [p for p in part if p.ndim < 2 and settings.decay != "all"]
        groups += [
            {"params": decayed, "weight_decay": settings.weight_decay, "scale": scale},
            {"params": spared, "weight_decay": 0.0, "scale": scale},
        ]
    return [group for group in groups if group["params"]]


def build_optimizer(
    classifier: Classifier, settings: OptimizerSettings, learning_rate: float, head_scale: float = 1.0
) -> torch.optim.AdamW:
    """AdamW over the trained parameters, in torch's fused implementation; the head's rate is `head_scale` times."""
    return torch.optim.AdamW(
        parameter_groups(classifier, settings, head_scale),
        lr=learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True,
    )


def text_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of each text, in nats and float32: (texts, classes), (texts,) -> (texts,)."""
    return nn.functional.cross_entropy(logits.float(), labels, reduction="none")


class Step:
    """Runs steps on the training examples."""

    joint = False
    """Whether several processes share every step."""

    def __init__(
        self,
        classifier: Classifier,
        examples: Examples,
        protocol: Protocol,
        optimizer: torch.optim.Optimizer,
        penalty: Callable[[], torch.Tensor | None] | None = None,
    ) -> None:
        self.classifier = classifier
        self.examples = examples
        self.protocol = protocol
        self.optimizer = optimizer
        self.penalty = penalty
        """Makes what is added to a batch's mean loss."""
        self.updated: Callable[[], None] | None = None
        """Called in an epoch's steps after the update, before the gradients are dropped."""
        self.done = 0
        """Steps of the training before those that `epoch` is asked for next; the loop says."""
        switch_recomputation(classifier, protocol)
        self.parameters = [p for _, p in classifier.trained()]
        self.labels = torch.from_numpy(examples.labels).to(classifier.device)
        self.losses = torch.full((len(examples),), torch.nan, device=classifier.device)
        """Every training text's loss when a step last saw it, dropout on, (texts,)."""

    def forward(self, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of shape (texts, classes) and the cross-entropies (texts,) of some training texts."""
        logits = logits_of(self.classifier, self.examples, indices, self.protocol)
        return logits, text_losses(logits, self.labels[torch.from_numpy(indices).to(self.labels.device)])

    def epoch(self, groups: list[list[np.ndarray]], rates: list[float]) -> Iterator[StepResult]:
        """Steps on groups of batches of text numbers at these learning rates, each when it is asked for.

        A result holds until the next one is asked for.
        """
        for group, rate in zip(groups, rates, strict=True):
            yield self(group, rate, self.updated)

    def own(self, indices: np.ndarray) -> np.ndarray:
        """The texts of a batch that this process computes: all."""
        return indices

    def notes(self) -> list[str]:
        """Nothing."""
        return []

    def __call__(
        self, batches: list[np.ndarray], learning_rate: float, updated: Callable[[], None] | None = None
    ) -> StepResult:
        """Accumulates the mean gradient over the batches' texts, clips it and updates the parameters."""
        texts = sum(len(batch) for batch in batches)
        loss = torch.zeros((), device=self.classifier.device)
        correct = torch.zeros((), device=self.classifier.device, dtype=torch.int64)
        for indices in batches:
            logits, losses = self.forward(indices)
            objective = losses.sum() / texts
            if self.penalty is not None and (added := self.penalty()) is not None:
                objective = objective + added * (len(indices) / texts)
            objective.backward()
            seen = torch.from_numpy(indices).to(self.labels.device)
            self.losses[seen] = losses.detach()
            loss += losses.detach().sum()
            labels = self.labels[seen]
            correct += (logits.detach().argmax(dim=1) == labels).sum()
        self.update(learning_rate, updated)
        return StepResult(loss, correct, texts)

    def update(self, learning_rate: float, updated: Callable[[], None] | None = None) -> None:
        """Clips the gradients that are there, updates the parameters and drops the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group.get("scale", 1.0)
        self.apply(updated)

    def apply(self, updated: Callable[[], None] | None = None) -> None:
        """`update` at the learning rate that the optimiser has."""
        if self.protocol.optimizer.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.protocol.optimizer.max_grad_norm, foreach=True)
        self.optimizer.step()
        if updated is not None:
            updated()
        self.optimizer.zero_grad(set_to_none=True)
