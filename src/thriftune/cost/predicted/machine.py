"""What each kind of work takes on this machine, and how that follows from steps that were timed."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from thriftune.cost.predicted.work import NARROW, Work

FEWEST_FLOPS, FEWEST_BYTES = 10**6, 10**5
"""Of an operator in a call: where no step has more, its time is the call's."""
NARROW_SHARE = 0.5
"""Of the seconds of a product in float32, one in bfloat16: as vectors are filled."""


@dataclass(frozen=True)
class Machine:
    """What each operator takes; the sum predicts a step's time."""

    call: dict[str, float]
    """Seconds per call, by operator."""
    unit: dict[str, float]
    """Seconds per FLOP of a product, per byte of another operator."""
    other_call: float
    """Seconds per call of an operator that was not timed."""
    other_flop: float
    """Seconds per FLOP of one."""
    other_byte: float
    """Seconds per byte of one."""
    step: float
    """Seconds for each step besides: Python, the training loop."""

    def seconds(self, work: Work, steps: int = 1) -> float:
        """Predicted seconds of some steps together, or (`steps` 0) of a pass that is no step."""
        calls = sum(count * self.call.get(_timed(name), self.other_call) for name, count in work.calls.items())
        products = sum(flops * self._flop(name) for name, flops in work.products.items())
        moved = sum(size * self.unit.get(name, self.other_byte) for name, size in work.moved.items())
        return calls + products + moved + self.step * steps

    def _flop(self, name: str) -> float:
        """Seconds per FLOP: a vector holds twice as many numbers of bfloat16, which attention widens first."""
        share = NARROW_SHARE if name.startswith("thriftune::wide") and name.endswith(NARROW) else 1.0
        return share * self.unit.get(_timed(name), self.other_flop)

    def scaled(self, share: float) -> Machine:
        """With every price times a share: what a machine would take that gives its whole time."""
        return Machine(
            call={name: price * share for name, price in self.call.items()},
            unit={name: price * share for name, price in self.unit.items()},
            other_call=self.other_call * share,
            other_flop=self.other_flop * share,
            other_byte=self.other_byte * share,
            step=self.step * share,
        )

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
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            prices = [*found.call.values(), *found.unit.values()]
            prices += [found.other_call, found.other_flop, found.other_byte, found.step]
            sound = all(math.isfinite(price) and price >= 0 for price in prices)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        return found if sound else None


def _timed(name: str) -> str:
    """The operator that is timed for one of that name: steps are timed in float32."""
    return name.removesuffix(NARROW)


@dataclass
class Timed:
    """A step that was timed: its work, the mean seconds of its operators, and the seconds of some whole steps."""

    work: Work
    operators: dict[str, float]
    steps: list[float]


def fit(found: list[Timed], loop: float = 0.0) -> Machine:
    """What explains the timed steps; `loop` are seconds that the training loop adds to each.

    An operator's seconds are explained by its calls and its work in the steps that have it. One factor for all of them,
    and seconds for each call and each step besides, then explain the whole steps. Nothing is negative, and the sum of
    squared relative errors is least.
    """
    flop, call_of_products, product = _prices(found, product=True)
    byte, call_of_rest, moved = _prices(found, product=False)
    prices = product | moved
    first = Machine(
        call={name: call for name, (_, call) in prices.items()},
        unit={name: unit for name, (unit, _) in prices.items()},
        other_call=min(call_of_products, call_of_rest),
        other_flop=flop,
        other_byte=byte,
        step=0.0,
    )
    measured = np.array([np.mean(each.steps) for each in found])  # a training has slow moments too
    columns = np.array([[first.seconds(each.work), sum(each.work.calls.values()), 1.0] for each in found])
    factor, call, step = (float(weight) for weight in _weights(columns / measured[:, None]))
    return Machine(
        call={name: factor * seconds + call for name, seconds in first.call.items()},
        unit={name: factor * seconds for name, seconds in first.unit.items()},
        other_call=factor * first.other_call + call,
        other_flop=factor * flop,
        other_byte=factor * byte,
        step=step + loop,
    )


def _prices(found: list[Timed], product: bool) -> tuple[float, float, dict[str, tuple[float, float]]]:
    """Seconds per unit and per call of one kind of operators together, and of each of them."""
    fewest = FEWEST_FLOPS if product else FEWEST_BYTES
    rows: dict[str, list[tuple[int, int, float]]] = {}
    for each in found:
        for name, amount in (each.work.products if product else each.work.moved).items():
            rows.setdefault(name, []).append((amount, each.work.calls[name], each.operators[name]))
    large = {name: row for name, row in rows.items() if max(amount / calls for amount, calls, _ in row) >= fewest}
    small = [each for name, row in rows.items() if name not in large for each in row]
    unit = _ratio([(amount, seconds) for row in large.values() for amount, _, seconds in row])
    prices = {}
    for name, row in rows.items():
        if name in large:
            columns = np.array([[amount / seconds, calls / seconds] for amount, calls, seconds in row])
            first, second = _weights(columns)
            prices[name] = (float(first), float(second))
        else:
            prices[name] = (unit, _ratio([(calls, seconds) for _, calls, seconds in row]))
    return (
        unit,
        _ratio([(calls, seconds) for _, calls, seconds in small or [each for row in large.values() for each in row]]),
        prices,
    )


def _ratio(pairs: list[tuple[int, float]]) -> float:
    """Seconds over amounts, both summed."""
    return sum(seconds for _, seconds in pairs) / max(1, sum(amount for amount, _ in pairs))


def _weights(columns: np.ndarray) -> np.ndarray:
    """Weights of the columns, none negative, whose sum is nearest to one in every row; (columns,).

    Of columns that do equally well the first ones are taken, and no more than are needed.
    """
    best, least = np.zeros(columns.shape[1]), np.inf
    scale = np.abs(columns).max(axis=0)
    scale[scale == 0] = 1.0
    for count in range(1, columns.shape[1] + 1):
        for chosen in map(list, itertools.combinations(range(columns.shape[1]), count)):
            solution = np.linalg.lstsq(columns[:, chosen] / scale[chosen], np.ones(len(columns)), rcond=None)[0]
            error = float(((columns[:, chosen] / scale[chosen] @ solution - 1.0) ** 2).sum())
            if (solution >= 0).all() and error < least - 1e-9:
                least, best = error, np.zeros(columns.shape[1])
                best[chosen] = solution / scale[chosen]
    return best
