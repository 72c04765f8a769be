"""The first screen's table: a row per method, with what its dots and bars need to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from thriftune import wording as f
from thriftune.analysis.display.colours import colours
from thriftune.analysis.findings.answers.performance import under_baseline
from thriftune.analysis.findings.decision import Decision, Standing
from thriftune.results.store import Results

OPEN = 10
"""Rows that stand open at most; the others are folded."""
FEWEST = 5
"""Rows that stand open however many words the rest of the screen has."""
SHORT_NAME = 12
"""Letters of a name that a few words may hold."""
PAD = 3.0
"""Percent of the dots' width kept free on either side."""
LEAST = 0.01
"""The scale of the dots spans a point below the best at least."""
FAR = 4.0
"""A method that lies so many times further below the best than the median is drawn at the scale's end."""
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)
TICKS = 3


@dataclass(frozen=True)
class Scale:
    """From a lag behind the best, a share, to percent of the width; the best is on the right."""

    most: float
    """Shown on the left; what lies further below is drawn there."""
    above: float
    """Shown on the right, beyond the best."""

    def at(self, lag: float) -> float:
        """Percent of the width from the left."""
        inside = min(max(lag, -self.above), self.most)
        return round(PAD + (100 - 2 * PAD) * (self.most - inside) / (self.most + self.above), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and points below the best, the best itself included."""
        step = next((step for step in STEPS if self.most / step <= TICKS), STEPS[-1])
        lags = [step * i for i in range(int(self.most / step + 1e-9) + 1)]
        return [(self.at(lag), f"{100 * lag:g}") for lag in lags]


@dataclass(frozen=True)
class Dot:
    """A method's lag and its interval, in percent of the width."""

    at: float
    low: float
    """The interval's left end: the most that it may lie below."""
    high: float
    off: bool
    """Whether it lies beyond the scale."""
    text: str
    """The same in words."""


@dataclass(frozen=True)
class Row:
    """One method as the table shows it; what is not known is a dash."""

    name: str
    model: str
    """Where the study has several and the name ends in it, which then stands apart; else empty."""
    score: str
    dot: Dot | None
    words: str
    time: str
    time_bar: float
    """Percent of the longest."""
    memory: str
    memory_bar: float
    stored: str
    colour: str = ""
    """The class that gives it its colour."""
    taken: bool = False
    baseline: bool = False
    candidate: bool = False
    """Whether it could be the best."""
    why: str = ""
    """What stands in the place of a number that is not known."""

    @property
    def length(self) -> int:
        """Its words."""
        cells = (self.name, self.model, self.score, self.words, self.time, self.memory, self.stored)
        return sum(len(cell.split()) for cell in cells) + self.taken


def rows(results: Results, decision: Decision) -> tuple[Scale, list[Row]]:
    """Every method in the decision's order, then those without a result."""
    scale = _scale(decision)
    longest = max((each.cell.seconds or 0 for each in decision.standings), default=0)
    largest = max((each.cell.memory or 0 for each in decision.standings), default=0)
    found = [_row(results, decision, each, scale, longest, largest) for each in decision.standings]
    return scale, [*found, *_without_result(results)]


def _scale(decision: Decision) -> Scale:
    best = decision.best
    if best is None:
        return Scale(LEAST, LEAST / 4)
    lags = [(best.score.value - each.score.value, each) for each in decision.standings if each.place != "not learned"]
    below = [each.below or (lag, lag) for lag, each in lags]
    most = max(most for _, most in below)
    usual = FAR * median(most for _, most in below)
    return Scale(max(LEAST, min(most, usual)), max(LEAST / 4, *(-least for least, _ in below)))


def colour_class(results: Results, name: str) -> str:
    """The style sheet's class for a method's colour."""
    return f"c{colours(results).get(name, 0)}"


def _row(results: Results, decision: Decision, each: Standing, scale: Scale, longest: float, largest: float) -> Row:
    cell = each.cell
    name, model = _named(results, each)
    return Row(
        name=name,
        model=model,
        score=decision.deciding.said(each.score.value),
        dot=_dot(decision, each, scale),
        words=_words(decision, each),
        time=f.short_seconds(cell.seconds) if cell.seconds is not None else "–",
        time_bar=_part(cell.seconds, longest),
        memory=f.short_size(cell.memory) if cell.memory is not None else "–",
        memory_bar=_part(cell.memory, largest),
        stored=f.short_size(cell.stored) if cell.stored is not None else "–",
        colour=colour_class(results, each.name),
        taken=each is decision.taken,
        baseline=each.baseline,
        candidate=each.could_be_best,
        why=_why(each),
    )


def _named(results: Results, each: Standing) -> tuple[str, str]:
    model = each.cell.runs[0].model
    several = len({run.model for run in results.runs if run.model is not None}) > 1
    if several and model is not None and each.name.endswith(f" {model}"):
        return each.name.removesuffix(f" {model}"), model
    return each.name, ""


def _words(decision: Decision, each: Standing) -> str:
    """The standing's words, and which baseline a fine-tuned method is shown to lie below; none of a single method."""
    if len(decision.standings) == 1 and each is decision.best:
        return ""
    if each.lost:
        return f"{each.words}; {each.lost} of {each.lost + len(each.cell.runs)} seeds lost"
    if each.baseline and each.place in ("lower", "highest"):
        return each.words.removeprefix("lower; ").split("; ")[0]
    over = under_baseline(decision, each)
    if over is None:
        return each.words
    return f"below {over.name if len(over.name) <= SHORT_NAME else 'a baseline'}"


def _dot(decision: Decision, each: Standing, scale: Scale) -> Dot | None:
    best = decision.best
    if best is None or each.place == "not learned" or len(decision.standings) == 1:
        return None
    if each is best:
        return Dot(scale.at(0), scale.at(0), scale.at(0), False, "the best")
    lag = best.score.value - each.score.value
    text = f"{decision.deciding.apart(lag)} below the best"
    if each.below is None:
        return Dot(scale.at(lag), scale.at(lag), scale.at(lag), lag > scale.most, text)
    least, most = each.below
    text += f", 95% interval {f.points_range(least, most)}"
    return Dot(scale.at(lag), scale.at(most), scale.at(least), lag > scale.most, text)


def _part(value: float | None, whole: float) -> float:
    return round(100 * (value or 0) / whole, 1) if whole else 0.0


def _why(each: Standing) -> str:
    """Why its memory is not known."""
    costs = [run.cost for run in each.cell.runs if run.cost is not None]
    if each.cell.memory is not None or not costs:
        return ""
    return costs[0].reasons.get("peak_memory_bytes", "not measured")


def _without_result(results: Results) -> list[Row]:
    done = {run.cell for run in results.done}
    lost = {run.cell: run.status.replace("_", " ") for run in results.runs if run.cell not in done}
    return [Row(name, "", "–", None, status, "–", 0.0, "–", 0.0, "–") for name, status in lost.items()]


def split(found: Sequence[Row], words: int) -> tuple[list[Row], list[Row]]:
    """The rows that stand open, with about so many words, and those that are folded; never one alone.

    At most `OPEN` stand open and at least `FEWEST`; the one to take and the best baseline are among them.
    """
    count = next((n for n in range(OPEN + 1, FEWEST, -1) if sum(row.length for row in found[:n]) <= words), FEWEST)
    if len(found) <= count:
        return list(found), []
    count = min(count, OPEN) - (len(found) == count + 1)
    must = [row for row in (next((row for row in found if row.taken), None), _baseline(found)) if row is not None]
    kept = [row for row in found if row not in must][: count - len(must)]
    return [row for row in found if row in must or row in kept], [row for row in found if row not in [*must, *kept]]


def _baseline(found: Sequence[Row]) -> Row | None:
    return next((row for row in found if row.baseline and row.score != "–"), None)
