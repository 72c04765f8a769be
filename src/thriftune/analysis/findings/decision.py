"""The one decision of a study: what to take, how sure that is, and where every other method stands.

First screen, terminal, `recommend` and every sentence that compares draw on it, so that none can contradict another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import outcomes
from thriftune.analysis.findings.runs import Cell, cells, is_baseline, lacks, learned
from thriftune.analysis.findings.training import at, trained
from thriftune.analysis.statistics.choosing import TOLERANCE, Choice, choose
from thriftune.analysis.statistics.inference import Measured
from thriftune.analysis.statistics.metric_intervals import Metric, Score, measure, score, weight_of_a_text
from thriftune.results.store import Results

FLOOR = "majority"
"""The method that is no choice: it stands in no leaderboard."""
Place = Literal["highest", "close", "open", "lower", "not learned"]
"""highest: the best score. close: at most the tolerance below it. lower: below it beyond chance. open: neither can be
said."""
UNKNOWN = float("inf")
WORTH = 1.3
"""Costs that differ by less are not spoken of."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One method on one model, its seeds together: a row of the leaderboard."""

    cell: Cell
    place: Place
    score: Score
    """The mean over seeds, with its own 95% interval."""
    below: tuple[float, float] | None
    """How far it lies below the best, from the least to the most, all methods at once at 95%; negative where it may lie
    above. None for the best itself and for what did not learn."""
    could_be_best: bool
    """Whether no other method is shown to be better."""
    still_improving: bool
    lost: int
    """Seeds of it without a usable result."""

    @property
    def name(self) -> str:
        """As the page shows it."""
        return self.cell.name

    @property
    def baseline(self) -> bool:
        """Whether nothing was fine-tuned."""
        return is_baseline(self.cell.runs[0])

    @property
    def at_most(self) -> float:
        """It lies at most so far below the best; 0 for the best itself."""
        return 0.0 if self.below is None else max(0.0, self.below[1])

    @property
    def words(self) -> str:
        """Its place in a few words."""
        told = {
            "highest": "highest score",
            "close": f"at most {f.points(self.at_most).removesuffix(' points')} below",
            "open": "not told apart",
            "lower": "lower",
            "not learned": "did not learn",
        }[self.place]
        return f"{told}; no {lacks(self.cell.runs[0]).split()[-1]}" if self.baseline else told


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a study says to take."""

    metric: Metric
    standings: list[Standing]
    """By score, the best first; what did not learn last."""
    tolerance: float
    """A fraction: 0.01 is one point."""
    taken: Standing | None
    """The cheapest that lies at most `tolerance` below the best, beyond chance; else the best. None: none learned."""

    @property
    def best(self) -> Standing | None:
        """The highest score."""
        return self.standings[0] if self.standings and self.standings[0].place == "highest" else None

    @property
    def tuned(self) -> list[Standing]:
        """Those that were fine-tuned."""
        return [each for each in self.standings if not each.baseline]

    @property
    def one_seed(self) -> bool:
        """Whether a fine-tuned method ran with one seed: nothing is then said of methods, only of these models."""
        return any(len(each.cell.runs) == 1 for each in self.tuned)

    @property
    def best_set(self) -> list[Standing]:
        """Those that could be the best."""
        return [each for each in self.standings if each.could_be_best]

    def of(self, name: str) -> Standing | None:
        """The standing of a cell by its name."""
        return next((each for each in self.standings if each.name == name), None)


@once
def decide(results: Results) -> Decision:
    """Compares every method and baseline with the best one, by paired intervals that hold together at 95%."""
    study = results.study.study
    metric: Metric = study.get("decide_by") or "accuracy"
    found = cells(run for run in results.done if run.method.get("name") != FLOOR)
    able = [cell for cell in found if all(learned(run) for run in cell.runs)]
    lost = [cell for cell in found if cell not in able]
    return choose_among(results, able, lost, metric, float(study.get("tolerance", 100 * TOLERANCE)) / 100)


def choose_among(results: Results, able: list[Cell], lost: list[Cell], metric: Metric, tolerance: float) -> Decision:
    """The decision among these cells alone; `lost` are shown and not compared."""
    answers, classes = outcomes(results), len(results.labels)
    weight = weight_of_a_text(metric, answers.label, classes) if results.done else 0.0

    def measured(cell: Cell) -> Measured:
        predicted = np.stack([answers.predicted[run.run_id] for run in cell.runs])
        return measure(metric, answers.label, predicted, classes, is_baseline(cell.runs[0]))

    methods = [measured(cell) for cell in able]
    choice = choose(methods, [costs(cell) for cell in able], tolerance) if able else None
    training = trained(results)
    standings = [
        Standing(
            cell=cell,
            place=_place(choice, i) if choice and i < len(able) else "not learned",
            score=score(metric, methods[i] if i < len(able) else measured(cell), weight),
            below=_below(choice, i) if choice and i < len(able) else None,
            could_be_best=bool(choice and i < len(able) and choice.compared.methods[i].could_be_best),
            still_improving=training.still(cell),
            lost=sum(run.cell == cell.runs[0].cell for run in results.runs) - len(cell.runs),
        )
        for i, cell in enumerate([*able, *lost])
    ]
    taken = standings[choice.chosen] if choice else None
    order = sorted(
        standings, key=lambda each: (each.place == "not learned", each.place != "highest", -each.score.value)
    )
    return Decision(metric=metric, standings=order, tolerance=tolerance, taken=taken)


def costs(cell: Cell) -> tuple[float, ...]:
    """What the cheapest is asked of: training time, then memory."""
    return tuple(UNKNOWN if cost is None else cost for cost in (cell.seconds, cell.memory))


def _place(choice: Choice, i: int) -> Place:
    if i == choice.best:
        return "highest"
    if i in choice.close:
        return "close"
    return "open" if choice.compared.methods[i].could_be_best else "lower"


def _below(choice: Choice, i: int) -> tuple[float, float] | None:
    """Symmetrical about the estimate, with the end that the simultaneous comparison gives."""
    found = choice.to_best(i)
    if found is None:
        return None
    most = -choice.compared.methods[i].low
    return -2 * found.centre - most, most


def headline(decision: Decision) -> str:
    """What to take, in one sentence."""
    taken, best = decision.taken, decision.best
    if taken is None or best is None:
        return "Take none of these: no method learned."
    budget = at(any(each.still_improving for each in decision.standings), ", ")
    text = f"Take {taken.name}: {f.percent(taken.score.value)}"
    if taken is not best:
        than = f"at most {f.points(taken.at_most)} below the best ({best.name}, {f.percent(best.score.value)})"
        return f"{text}, {than}{_cheaper(taken, best)}{budget}."
    rest = [each for each in decision.standings if each is not best and each.score.value == best.score.value]
    if rest:
        return f"{text}, the highest score, as {f.listing([each.name for each in rest], 3)}{budget}."
    return f"{text}, the highest score{budget}.{_rival(decision)}"


def _cheaper(taken: Standing, best: Standing) -> str:
    """ ", in half the time and a third of the memory": what taking it saves."""
    parts = [
        f"{_part(ours / theirs)} the {what}"
        for what, ours, theirs in (
            ("time", taken.cell.seconds, best.cell.seconds),
            ("memory", taken.cell.memory, best.cell.memory),
        )
        if ours and theirs and theirs / ours >= WORTH
    ]
    return f", in {' and '.join(parts)}" if parts else ""


def _part(ratio: float) -> str:
    for value, word in ((1 / 2, "half"), (1 / 3, "a third of"), (1 / 4, "a quarter of"), (1 / 10, "a tenth of")):
        if abs(ratio / value - 1) < 0.12:
            return word
    return f"{f.share(ratio)} of"


def _rival(decision: Decision) -> str:
    """The cheapest method that could be the best too, and what keeps it from being taken."""
    best = decision.best
    rivals = [each for each in decision.standings if each.could_be_best and each is not best and best is not None]
    faster = [each for each in rivals if best and best.cell.seconds and each.cell.seconds]
    faster = [each for each in faster if (best.cell.seconds or 0) / (each.cell.seconds or 1) >= WORTH]  # type: ignore[union-attr]
    if not faster or best is None:
        return ""
    rival = min(faster, key=lambda each: each.cell.seconds or 0)
    ratio = f.ratio((best.cell.seconds or 0) / (rival.cell.seconds or 1))
    return (
        f" {rival.name} ({f.percent(rival.score.value)}) trains {ratio} as fast and is not told apart from it, "
        f"but may lie up to {f.points(rival.at_most)} below."
    )
