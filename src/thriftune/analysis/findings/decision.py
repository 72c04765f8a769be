"""The one decision of a study: what to take, how sure that is, and where every other method stands.

First screen, terminal, `recommend` and every sentence that compares draw on it, so that none can contradict another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.deciding import Deciding, by_seeds, deciding, scored, usable, without_use
from thriftune.analysis.findings.groups import groups_of, score_of
from thriftune.analysis.findings.judgement import judge
from thriftune.analysis.findings.lost import lost_seeds
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import outcomes
from thriftune.analysis.findings.runs import Cell, is_baseline, lacks
from thriftune.analysis.findings.times import as_fast, times_as_long
from thriftune.analysis.findings.training import AT, trained
from thriftune.analysis.statistics.choosing import TOLERANCE, Choice, choose
from thriftune.analysis.statistics.metric_intervals import Metric, Score, weight_of_a_text
from thriftune.analysis.statistics.ratios import TimeRatio
from thriftune.results.store import Results

__all__ = ["Decision", "Standing", "choose_among", "costs", "decide", "headline", "scored", "statistics"]

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
    """Seeds of it that ended without a usable result."""
    deciding: Deciding
    best_takes: TimeRatio | None = None
    """How many times longer the best trained; None for the best itself, and where a time is not known."""

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
    def interval(self) -> tuple[float, float] | None:
        """Of its score, at 95%; None where too few texts of a class are there to tell (`Deciding.no_interval`)."""
        return None if self.deciding.no_interval else (self.score.low, self.score.high)

    @property
    def words(self) -> str:
        """Its place in a few words."""
        told = {
            "highest": "highest score",
            "close": f"at most {self.deciding.apart(self.at_most).removesuffix(' points')} below",
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
    deciding: Deciding
    limited: bool = False
    """Whether it was made among those alone that fit a user's limits."""

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

    @property
    def best_first(self) -> list[Standing]:
        """The same, that with the highest score first, then that to take: sentences name the first few."""
        return sorted(self.best_set, key=lambda each: (each is not self.best, each is not self.taken))

    def of(self, name: str) -> Standing | None:
        """The standing of a cell by its name."""
        return next((each for each in self.standings if each.name == name), None)


Costs = Callable[[Cell], tuple[float, ...]]


@once
def decide(results: Results) -> Decision:
    """Compares every method and baseline with the best one, by paired intervals that hold together at 95%."""
    return choose_among(results, usable(results), without_use(results))


def costs(cell: Cell) -> tuple[float, ...]:
    """What the cheapest is asked of: training time, then memory."""
    return tuple(UNKNOWN if cost is None else cost for cost in (cell.seconds, cell.memory))


def tolerance_of(results: Results) -> float:
    """The study's tolerance as a fraction; the default in results of earlier versions."""
    return float(results.study.study.get("tolerance", 100 * TOLERANCE)) / 100


def choose_among(
    results: Results, able: Sequence[Cell], lost: Sequence[Cell] = (), by: Costs = costs, *, limited: bool = False
) -> Decision:
    """The decision among these cells alone, `by` their costs; `lost` are shown and not compared."""
    about, measured, training, groups = deciding(results), scored(results), trained(results), groups_of(results)
    tolerance = tolerance_of(results)
    methods = [measured[cell.name] for cell in able]
    choice = None
    if able and about.no_interval is None:
        margin = results.study.margin / 100
        seeds = by_seeds(results)
        choice = choose(
            methods,
            [by(cell) for cell in able],
            tolerance,
            margin,
            groups=groups,
            weight=about.weight,
            spreads=[seeds[cell.name] for cell in able],
        )
    worse = judge(results).worse({cell.name for cell in able}) if choice else set()
    means = [float(each.scores.mean()) for each in methods]
    best = choice.best if choice else int(np.argmax(means)) if means else None
    weight = weight_of_a_text(about.metric, outcomes(results).label, len(results.labels)) if measured else 0.0
    standings = [
        Standing(
            cell=cell,
            place="not learned"
            if i >= len(able)
            else "highest"
            if i == best
            else _place(choice, i, cell.name in worse),
            score=score_of(about.metric, measured[cell.name], weight, groups),
            below=_below(choice, i) if choice and i < len(able) else None,
            could_be_best=i < len(able)
            and cell.name not in worse
            and (choice is None or choice.compared.methods[i].could_be_best),
            still_improving=training.still(cell),
            lost=_lost(results, cell),
            deciding=about,
            best_takes=times_as_long(results, able[best], cell)
            if best is not None and cell is not able[best]
            else None,
        )
        for i, cell in enumerate([*able, *lost])
    ]
    taken = None if best is None else standings[choice.chosen if choice else best]
    order = sorted(
        standings, key=lambda each: (each.place == "not learned", each.place != "highest", -each.score.value)
    )
    return Decision(
        metric=about.metric, standings=order, tolerance=tolerance, taken=taken, deciding=about, limited=limited
    )


def _lost(results: Results, cell: Cell) -> int:
    """Its lost seeds but for those that are still to be trained, and for those that the cell itself holds."""
    here = {run.run_id for run in cell.runs}
    return sum(run.status != "interrupted" and run.run_id not in here for run in lost_seeds(results, cell))


def _place(choice: Choice | None, i: int, worse: bool) -> Place:
    """Of another than the highest."""
    if choice is None:
        return "open"
    if i in choice.close:
        return "close"
    return "open" if choice.compared.methods[i].could_be_best and not worse else "lower"


def _below(choice: Choice, i: int) -> tuple[float, float] | None:
    """Symmetrical about the estimate, with the end that the simultaneous comparison gives."""
    found = choice.to_best(i)
    if found is None:
        return None
    most = -choice.compared.methods[i].low
    return -2 * found.centre - most, most


def headline(decision: Decision) -> str:
    """What to take, in one sentence; a second one where seeds were lost, or a faster method may be as good."""
    taken, best, about = decision.taken, decision.best, decision.deciding
    if taken is None or best is None:
        return "Take none of these: no method learned."
    still = any(each.still_improving for each in decision.standings)
    text = f"{f'{AT.capitalize()}, take' if still else 'Take'} {taken.name}: {about.named(taken.score.value)}"
    lost = _lost_seeds(taken)
    if taken is not best:
        the_best = "the best that fits" if decision.limited else "the best"
        than = f"at most {about.apart(taken.at_most)} below {the_best} ({best.name}, {about.said(best.score.value)})"
        return f"{text}, {than}{_cheaper(taken, best)}.{lost}"
    if decision.limited:
        alone = len([each for each in decision.standings if each.place != "not learned"]) == 1
        text += ". It is the only one that fits" if alone else f". It is {_most(about)} that fits"
    elif len(decision.standings) > 1:
        text += ", the highest score" + (" in this run" if decision.one_seed else "")
    rest = [each for each in decision.standings if each is not best and each.score.value == best.score.value]
    if rest:
        text += f", as {f.listing([each.name for each in rest], 3)}"
    if about.no_interval and len(decision.standings) > 1:
        return f"{text}; how far the methods lie apart is not known: {about.no_interval}.{lost}"
    return f"{text}.{lost}{_rival(decision)}"


def _most(about: Deciding) -> str:
    return "the most accurate" if about.metric == "accuracy" else f"that with the highest {about.name}"


def _lost_seeds(taken: Standing) -> str:
    total = taken.lost + len(taken.cell.runs)
    return f" Of its {total} seeds {taken.lost} gave no usable result." if taken.lost else ""


def _cheaper(taken: Standing, best: Standing) -> str:
    """ ", in half the time and a third of the memory": what taking it saves; times beyond the machine's noise."""
    parts = []
    if taken.best_takes is not None and taken.best_takes.faster == "second":
        parts.append(f"{_part(1 / taken.best_takes.value)} the time")
    ours, theirs = taken.cell.memory, best.cell.memory
    if ours and theirs and theirs / ours >= WORTH:
        parts.append(f"{_part(ours / theirs)} the memory")
    return f", in {' and '.join(parts)}" if parts else ""


def _part(ratio: float) -> str:
    for value, word in ((1 / 2, "half"), (1 / 3, "a third of"), (1 / 4, "a quarter of"), (1 / 10, "a tenth of")):
        if abs(ratio / value - 1) < 0.12:
            return word
    return f"{f.share(ratio)} of"


def _rival(decision: Decision) -> str:
    """The fastest method that could be the best too, and what keeps it from being taken."""
    best = decision.best
    if best is None:
        return ""
    rivals = [
        (each.best_takes.value, words, each)
        for each in decision.standings
        if each.could_be_best and each.best_takes is not None and (words := as_fast(each.best_takes))
    ]
    if not rivals:
        return ""
    _, words, rival = max(rivals, key=lambda each: each[0])
    about = decision.deciding
    return (
        f" {rival.name} ({about.said(rival.score.value)}) trains {words}, "
        f"but may lie up to {about.apart(rival.at_most)} below."
    )


def statistics(decision: Decision) -> dict[str, Any]:
    """What `results.json` keeps under `recommendation`."""
    about = decision.deciding
    none = "no method learned"
    out: dict[str, Any] = {
        "metric": decision.metric,
        "tolerance": decision.tolerance,
        "taken": decision.taken.name if decision.taken else None,
        "best": decision.best.name if decision.best else None,
        "one_seed": decision.one_seed,
        "standings": [_figures(each) for each in decision.standings],
    }
    out |= {f"{name}_reason": none for name in ("taken", "best") if out[name] is None}
    return out | ({"interval_reason": about.no_interval} if about.no_interval else {})


def _figures(each: Standing) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": each.name,
        "runs": [run.run_id for run in each.cell.runs],
        "baseline": each.baseline,
        "place": each.place,
        "score": each.score.value,
        "interval": list(each.interval) if each.interval else None,
        "below": list(each.below) if each.below else None,
        "could_be_best": each.could_be_best,
        "still_improving": each.still_improving,
        "lost_seeds": each.lost,
        "seconds": each.cell.seconds,
        "memory_bytes": each.cell.memory,
    }
    few = each.deciding.no_interval
    below = {"highest": "it is the best", "not learned": "it did not learn"}.get(each.place, few or "not compared")
    reasons = {"interval": few, "below": below, "seconds": "not measured", "memory_bytes": "not measured"}
    return out | {f"{name}_reason": reason for name, reason in reasons.items() if out[name] is None}
