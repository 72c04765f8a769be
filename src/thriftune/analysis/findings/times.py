"""How many times longer one method trains than another, with an interval, in words: times are noisy, memory is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import Cell, training_seconds
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.ratios import Timed, TimeRatio, lost_share, time_ratio
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

EXACT = "exact: a repeat takes as much"
"""What is said of a peak of memory, which no neighbour on the machine changes."""


@once
def _steps(results: Results) -> dict[str, Floats]:
    """Seconds of a step between looks at validation, shape (looks,), by run id."""
    found = {}
    for run in results.runs:
        looks = results.history(run)[1]
        steps = np.diff([0, *(look.step for look in looks)])
        seconds = np.array([look.train_seconds for look in looks], dtype=np.float64)
        known = (steps > 0) & (seconds > 0)
        found[run.run_id] = np.asarray(seconds[known] / steps[known], dtype=np.float64)
    return found


def _timed(results: Results, run: RunRecord) -> Timed | None:
    """A run's training, frozen layers included: its steps as far as kept, and what other work may have taken of it."""
    seconds, cost = training_seconds(run), run.cost
    if not seconds or cost is None:
        return None
    threads = cost.threads or int(run.environment.get("threads") or 1)
    lost = lost_share(cost.train_cpu_seconds, cost.train_waited_seconds, cost.load_at_start, threads)
    return Timed(seconds, _steps(results)[run.run_id], lost)


def times_as_long(results: Results, first: Cell, second: Cell) -> TimeRatio | None:
    """The first method's training time over the second's; None where a run of either has none."""
    one, other = ([_timed(results, run) for run in cell.runs] for cell in (first, second))
    own, others = ([run for run in runs if run is not None] for runs in (one, other))
    if not own or not others:
        return None
    beside = any(run.cost is not None and run.cost.runs_beside for cell in (first, second) for run in cell.runs)
    return replace(time_ratio(own, others), beside=beside)


def ratio_words(found: TimeRatio) -> str:
    """ "about 2x, 1.5 to 2.6"."""
    return f"about {times(found.value)}, {span(found, ' to ')}{', measured beside other runs' if found.beside else ''}"


def span(found: TimeRatio, between: str = "–") -> str:
    """The interval alone: "1.5–2.6"."""
    return f"{_short(found.low)}{between}{_short(found.high)}"


def times(value: float) -> str:
    """A ratio as "2x", "1.8x" or "0.45x"."""
    return f"{_short(value)}x"


def _short(value: float) -> str:
    digits = 0 if value >= 9.95 else 1 if value >= 0.95 else 2
    text = f"{value:,.{digits}f}"
    return text.removesuffix(".0")


def as_fast(found: TimeRatio | None) -> str | None:
    """ "about 2x as fast (1.5 to 2.6)", of the second method, beyond the machine's noise and 1.3x; else None."""
    if found is None or found.faster != "second":
        return None
    return f"about {times(found.value)} as fast ({span(found, ' to ')})"
