"""The terminal's table of methods: one unit a column, the best first."""

from __future__ import annotations

from collections.abc import Sequence

from thriftune import wording as f
from thriftune.analysis.findings.decision import Decision, Standing
from thriftune.metrics import METRICS

LONG = 40
"""Letters of a name; `--verbose` has the whole name."""
MARK = "*"
"""Beside the method to take."""
TIMES = ((2 * 3600, 3600, "h"), (2 * 60, 60, "min"), (0, 1, "s"))
"""From which longest time on which unit is used, and its seconds."""
SIZES = ((10e9, 1e9, "GB"), (1e6, 1e6, "MB"), (0, 1e3, "kB"))


def board(decision: Decision, shown: Sequence[Standing]) -> list[dict[str, str]]:
    """One row per method: short heading to value; what is not known is a dash. The one to take is marked."""
    metric = METRICS[decision.metric]
    cells = [each.cell for each in shown]
    time = _column([cell.seconds for cell in cells], TIMES)
    memory = _column([cell.memory for cell in cells], SIZES)
    stored = _column([cell.stored for cell in cells], SIZES)
    return [
        {
            "Method": f.middle_cut(each.name, LONG) + (f" {MARK}" if each is decision.taken else ""),
            metric.short: decision.deciding.said(each.score.value).removesuffix("%"),
            "Below" if decision.metric == "mcc" else "Points below": _below(decision, each),
            f"Time ({time[0]})": time[1][i],
            f"Memory ({memory[0]})": memory[1][i],
            f"Stored ({stored[0]})": stored[1][i],
        }
        for i, each in enumerate(shown)
    ]


def _column(values: Sequence[float | None], units: Sequence[tuple[float, float, str]]) -> tuple[str, list[str]]:
    """The unit that the largest value asks for, and every value in it."""
    largest = max((value for value in values if value is not None), default=0)
    one, unit = next((one, unit) for least, one, unit in units if largest >= least)
    return unit, ["–" if value is None else _amount(value / one) for value in values]


def _amount(value: float) -> str:
    """Two or three digits: "366", "3.1", "0.05", "<0.01"."""
    if 0 < value < 0.005:
        return "<0.01"
    return f"{value:,.{0 if value >= 9.95 else 1 if value >= 0.095 or value == 0 else 2}f}"


def _below(decision: Decision, each: Standing) -> str:
    """ "0.9±1.7": the lag with its interval, which is symmetrical."""
    if each.place == "not learned" or decision.best is None:
        return "did not learn"
    if each is decision.best:
        return "best"
    lag = decision.best.score.value - each.score.value
    if each.below is None:
        return _apart(decision, lag)
    return f"{_apart(decision, lag)}±{_apart(decision, (each.below[1] - each.below[0]) / 2)}"


def _apart(decision: Decision, difference: float) -> str:
    return decision.deciding.apart(difference).removesuffix(" points").removesuffix(" point")
