"""How many times longer one method takes than another, with an interval: from steps, repeats and the machine's load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import stats

from thriftune.analysis.statistics.basics import Floats

RUN_SPREAD = 0.07
"""Standard deviation of a run's logarithmic time over repeats on one machine: two repeats then differ by more than 10%
in a third of cases, as was measured."""
RUN_FREEDOM = 4.0
"""Degrees of freedom that `RUN_SPREAD` is worth beside the spread of a study's own repeats."""
BLOCKS = 10
"""Steps are averaged in so many blocks: consecutive steps are slow together."""
FEWEST_STEPS = 20
"""Fewer steps tell nothing of how steady they were."""
WORTH = 1.3
"""No method is called faster below this ratio."""


@dataclass(frozen=True)
class Timed:
    """One run's time."""

    seconds: float
    steps: Floats = field(default_factory=lambda: np.zeros(0))
    """Seconds of parts of equal work in their order (steps, or parts of epochs); empty where they were not kept."""
    lost: float = 0.0
    """Share of the time, from 0 to below 1, that other work on the machine may have taken."""


@dataclass(frozen=True)
class TimeRatio:
    """The first method's time over the second's."""

    value: float
    low: float
    high: float
    beside: bool = False
    """Whether some of the times are of a device that was shared with other runs."""

    @property
    def faster(self) -> Literal["first", "second"] | None:
        """Which takes less time; None where the ratio is below 1.3 or its interval holds 1."""
        if max(self.value, 1 / self.value) < WORTH or self.low <= 1 <= self.high:
            return None
        return "second" if self.value > 1 else "first"


def lost_share(cpu_seconds: float | None, waited_seconds: float | None, load: float | None, processors: int) -> float:
    """The share of a run's time that other work may have taken, from 0 to 0.9; 0 where nothing is known.

    What the threads waited for a processor over what they wanted of it; where that was not counted, the load when the
    run began over the processors: with as many others as processors a run gets half of them.
    """
    if cpu_seconds is not None and waited_seconds is not None and cpu_seconds + waited_seconds > 0:
        share = waited_seconds / (cpu_seconds + waited_seconds)
    elif load is not None and processors > 0:
        share = load / (load + processors)
    else:
        share = 0.0
    return min(max(share, 0.0), 0.9)


def time_ratio(first: Sequence[Timed], second: Sequence[Timed], level: float = 0.95) -> TimeRatio:
    """The ratio of two methods' mean times, and its interval on the logarithmic scale.

    Repeats vary by what the machine does besides. A study has few of them, so their variance is moderated (Smyth,
    2004): it is averaged with that of `RUN_SPREAD`, which is worth `RUN_FREEDOM` degrees of freedom, and Student's t
    has those of both. It is never less than the steps of a run show by batch means (Conway, 1963). An end is moved
    further out by what other work may have taken from that run: without it, its time would have been shorter. Raises
    ValueError where a method has no run or a time is not above 0.
    """
    if not first or not second or any(run.seconds <= 0 for run in (*first, *second)):
        raise ValueError("a ratio needs a run of either method and times above 0")
    logs = [np.log([run.seconds for run in runs]) for runs in (first, second)]
    own = float(sum(((each - each.mean()) ** 2).sum() for each in logs))
    freedom = RUN_FREEDOM + sum(len(each) - 1 for each in logs)
    between = (RUN_FREEDOM * RUN_SPREAD**2 + own) / freedom
    variance = sum(float(np.mean([max(between, _within(run)) for run in runs])) / len(runs) for runs in (first, second))
    centre = float(logs[0].mean() - logs[1].mean())
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(variance)
    less, more = (-math.log(1 - float(np.mean([run.lost for run in runs]))) for runs in (first, second))
    return TimeRatio(math.exp(centre), math.exp(centre - half - less), math.exp(centre + half + more))


def _within(run: Timed) -> float:
    """The variance of a run's logarithmic mean step by batch means; 0 with few steps."""
    if len(run.steps) < FEWEST_STEPS:
        return 0.0
    means = np.array([block.mean() for block in np.array_split(np.asarray(run.steps, dtype=np.float64), BLOCKS)])
    return float(means.var(ddof=1) / BLOCKS / means.mean() ** 2)
