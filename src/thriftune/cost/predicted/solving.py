"""What solving a head is predicted to cost: memory, and work that its time follows from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from thriftune.cost.predicted.work import CountWork, Work
from thriftune.engine.examples import Examples
from thriftune.engine.forward import logits_of
from thriftune.engine.protocol import Protocol
from thriftune.engine.solved.features import is_all, last_linear
from thriftune.engine.solved.solve import BLOCK, live_bytes
from thriftune.models.classifier import Classifier

PASSES = (200, 400)
"""Times that a solution goes through the features and back, without and with a search for C: about what it takes."""


@dataclass(frozen=True)
class Solving:
    """A head that is solved before the first step."""

    width: int
    """What its last Linear reads."""
    classes: int
    texts: int
    validation: int
    alone: bool
    """Whether nothing else is trained, so that there are no steps."""

    @classmethod
    def of(cls, classifier: Classifier, texts: int, validation: int) -> Solving:
        """From a skeleton with its method applied."""
        linear = last_linear(classifier)
        return cls(linear.in_features, linear.out_features, texts, validation, is_all(classifier, linear))

    def peak_bytes(self, classifier: Classifier) -> tuple[int, int]:
        """Of the weights in memory, and of the rest; (weights, rest)."""
        tensors = (*classifier.root.parameters(), *classifier.root.buffers())
        held = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors if t.device.type != "meta"}
        return sum(held.values()), live_bytes(self.texts, self.width, self.classes, self.validation)

    def work(self, classifier: Classifier, examples: Examples, batch: np.ndarray, protocol: Protocol) -> Work:
        """Of reading the texts, in batches like this one, and of solving."""
        classifier.eval_mode()
        with torch.no_grad(), CountWork() as counter:
            logits_of(classifier, examples, batch, protocol)
        reading = scaled(counter.work, (self.texts + self.validation) / len(batch))
        passes, blocks = PASSES[self.validation > 0], -(-self.texts // BLOCK)
        outputs = self.texts * self.classes
        solving = Work(
            products={"aten::addmm": passes * 4 * outputs * self.width},
            moved={"aten::mul": passes * 6 * 4 * outputs},
            calls={"aten::addmm": passes * 2 * blocks, "aten::mul": passes * 20 * blocks},
        )
        return added(reading, solving)


def scaled(work: Work, factor: float) -> Work:
    """So many times the work."""
    return Work(*({name: round(amount * factor) for name, amount in part.items()} for part in vars(work).values()))


def added(first: Work, second: Work) -> Work:
    """Both."""
    parts = zip(vars(first).values(), vars(second).values(), strict=True)
    return Work(*({name: one.get(name, 0) + two.get(name, 0) for name in {**one, **two}} for one, two in parts))
