"""What each kind of work takes on this machine, and how that follows from steps that were timed."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from thriftune.cost.work import Work


@dataclass(frozen=True)
class Machine:
    """What each kind of work takes; the sum predicts a step's time."""

    product: dict[str, float]
    """Seconds per FLOP, by operator."""
    moved: dict[str, float]
    """Seconds per byte, by operator."""
    other_product: float
    """Seconds per FLOP of an operator that was not timed."""
    other_moved: float
    """Seconds per byte of one."""
    operation: float
    """Seconds for each operation besides."""
    step: float
    """Seconds for each step besides: Python, the training loop."""

    def seconds(self, work: Work, steps: int = 1) -> float:
        """Predicted seconds of some steps together, or (`steps` 0) of a pass that is no step."""
        products = sum(flops * self.product.get(name, self.other_product) for name, flops in work.products.items())
        moved = sum(size * self.moved.get(name, self.other_moved) for name, size in work.moved.items())
        return products + moved + self.operation * work.operations + self.step * steps

    def save(self, path: Path) -> None:
        """Writes JSON, by rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(asdict(self)), encoding="utf-8")
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Machine | None:
        """Reads what `save` wrote; None where there is nothing sound."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


@dataclass
class Timed:
    """A step that was timed: its work, the seconds of its operators over some steps, and seconds of whole ones."""

    work: Work
    operators: dict[str, float]
    operator_steps: int
    steps: list[float]


def fit(found: list[Timed], loop: float = 0.0) -> Machine:
    """What explains the timed steps; `loop` are seconds that the training loop adds to each.

    An operator's price is its time over its work in all of them. One factor for all prices and the seconds besides
    for each operation and each step, none negative, then explain the whole steps with the least squared relative error.
    """
    seconds: dict[str, float] = defaultdict(float)
    work = Counter[str]()
    for each in found:
        for name, taken in each.operators.items():
            seconds[name] += taken
        for name, amount in (*each.work.products.items(), *each.work.moved.items()):
            work[name] += amount * each.operator_steps
    products = {name for each in found for name in each.work.products}
    product, moved = (
        {name: seconds[name] / work[name] for name in work if work[name] and (name in products) == kind}
        for kind in (True, False)
    )
    flop, byte = (sum(seconds[n] for n in kind) / max(1, sum(work[n] for n in kind)) for kind in (product, moved))
    first = Machine(product, moved, flop, byte, 0.0, 0.0)
    measured = np.array([np.median(each.steps) for each in found])
    columns = np.array([[first.seconds(each.work), each.work.operations, 1.0] for each in found])
    factor, operation, step = _weights(columns / measured[:, None])
    return Machine(
        {name: float(factor * price) for name, price in product.items()},
        {name: float(factor * price) for name, price in moved.items()},
        float(factor * flop),
        float(factor * byte),
        float(operation),
        float(step) + loop,
    )


def _weights(columns: np.ndarray) -> np.ndarray:
    """Weights of the columns, none negative, whose sum is nearest to one in every row; (columns,)."""
    best, least = np.zeros(columns.shape[1]), np.inf
    scale = np.abs(columns).max(axis=0)
    scale[scale == 0] = 1.0
    for count in range(1, columns.shape[1] + 1):
        for chosen in map(list, itertools.combinations(range(columns.shape[1]), count)):
            solution = np.linalg.lstsq(columns[:, chosen] / scale[chosen], np.ones(len(columns)), rcond=None)[0]
            error = float(((columns[:, chosen] / scale[chosen] @ solution - 1.0) ** 2).sum())
            if (solution >= 0).all() and error < least:
                least, best = error, np.zeros(columns.shape[1])
                best[chosen] = solution / scale[chosen]
    return best
