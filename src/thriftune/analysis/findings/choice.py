"""Which method to take under limits: the decision among those that fit, the Pareto sets and the reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from thriftune import wording as f
from thriftune.analysis.findings.answers.answer import few
from thriftune.analysis.findings.deciding import UNMEASURED, Deciding, deciding, metric_of, usable
from thriftune.analysis.findings.decision import (
    UNKNOWN,
    Decision,
    Place,
    Standing,
    choose_among,
    costs,
    decide,
    headline,
    tolerance_of,
)
from thriftune.analysis.findings.nearest import beyond, nothing
from thriftune.analysis.findings.needs import latency, no_latency, prefix_memory
from thriftune.analysis.findings.runs import Cell, shared_a_device
from thriftune.analysis.findings.training import at
from thriftune.analysis.statistics.metric_intervals import Metric
from thriftune.results.store import Results

if TYPE_CHECKING:
    from thriftune.results.prediction import Prediction


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a user has, and how many tasks the pretrained model is to serve."""

    memory_bytes: float | None = None
    seconds: float | None = None
    """Of training one run."""
    latency_seconds: float | None = None
    """Of predicting one text."""
    tasks: int = 1

    @property
    def given(self) -> bool:
        """Whether something may not fit."""
        return any(each is not None for each in (self.memory_bytes, self.seconds, self.latency_seconds))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A method that could be taken, or a baseline; all of its numbers are measured, or all are predicted."""

    name: str
    model: str
    measured: bool
    baseline: bool = False
    accuracy: float | None
    """The mean over seeds; None where it is predicted: accuracy is not."""
    metric: Metric = "accuracy"
    score: float | None = None
    """By the deciding metric; None where it is predicted."""
    interval: tuple[float, float] | None
    """Of the score, at 95%."""
    place: Place | None = None
    """Among all measured methods."""
    below: tuple[float, float] | None = None
    """How far its score lies below the best, from the least to the most; None for the best."""
    memory: float | None
    memory_reason: str | None = None
    """Why it is None."""
    prefix_memory: float | None = None
    """Of the one pass of its frozen layers before the training steps; None where there is none."""
    seconds: float | None
    """Of training, prefix included; the mean over seeds."""
    latency: float | None = None
    """Seconds of predicting one text, the median; the mean over seeds."""
    latency_reason: str | None = None
    """Why it is None."""
    stored_bytes: float | None
    shared_bytes: float | None
    """What an adapter needs beside it, once; 0 for a whole model."""
    still_improving: bool = False
    """Whether a run of it was still improving when its training ended: its accuracy is that of this budget."""

    def storage(self, tasks: int) -> float | None:
        """Bytes of so many trained models."""
        if self.stored_bytes is None or self.shared_bytes is None:
            return None
        return self.shared_bytes + tasks * self.stored_bytes

    @property
    def needed(self) -> float | None:
        """The most memory that it takes from the start of training to its end; None where that is not known."""
        return self.memory if self.memory is None else max(self.memory, self.prefix_memory or 0.0)

    @property
    def _memory_words(self) -> str:
        if self.needed == self.memory:
            return "memory"
        return "memory in its frozen layers' pass"

    def misfit(self, limits: Limits) -> str | None:
        """Why it does not fit, an unknown number included; None where it does."""
        found = []
        for limit, value, write, what, why in (
            (limits.memory_bytes, self.needed, f.size, self._memory_words, self.memory_reason),
            (limits.seconds, self.seconds, f.seconds, "training time", None),
            (limits.latency_seconds, self.latency, f.brief, "for one text", self.latency_reason),
        ):
            if limit is not None and value is None:
                found.append(f"{'latency' if write is f.brief else what} is not known" + (f": {why}" if why else ""))
            elif limit is not None and value is not None and value > limit:
                found.append(f"{write(value)} {what}, {beyond(value / limit)} the limit")
        return "; ".join(found) or None


@dataclass(frozen=True)
class Ranked:
    """A candidate with its place."""

    candidate: Candidate
    rank: int | None
    """From 1; None where it does not fit."""
    misfit: str | None
    on_memory_front: bool
    """No other measured candidate has as high a score with less memory, or a higher one with as little."""
    on_time_front: bool


@dataclass(frozen=True)
class Advice:
    """What to take under limits."""

    ranked: list[Ranked]
    """In order of choice."""
    limits: Limits
    decision: Decision | None
    """Among the measured methods that fit; None where there are none."""
    results: Results | None
    """Of the measured methods."""


def measured(results: Results) -> list[Candidate]:
    """The methods that learned, fine-tuned and baselines, with means over their seeds."""
    return [_measured(each, results) for each in decide(results).standings if each.place != "not learned"]


def _measured(standing: Standing, results: Results) -> Candidate:
    cell = standing.cell
    cost = cell.runs[0].cost
    shared = None if cell.runs[0].model is not None else 0
    if cost is not None and cost.adapter is not None and cost.pretrained_bytes is not None:
        shared = cost.pretrained_bytes if cost.adapter else 0
    return Candidate(
        name=cell.name,
        model=str(cell.runs[0].model or ""),
        measured=True,
        baseline=standing.baseline,
        accuracy=cell.accuracy,
        metric=metric_of(results),
        score=standing.score.value,
        interval=standing.interval,
        place=standing.place,
        below=standing.below,
        memory=cell.memory,
        memory_reason=_no_memory(standing),
        prefix_memory=prefix_memory(cell),
        seconds=cell.seconds,
        latency=latency(cell),
        latency_reason=no_latency(cell),
        stored_bytes=cell.stored,
        shared_bytes=shared,
        still_improving=standing.still_improving,
    )


def _no_memory(standing: Standing) -> str | None:
    """Why a baseline's memory is not known."""
    cost = standing.cell.runs[0].cost
    if standing.cell.memory is not None or not standing.baseline or cost is None:
        return None
    return cost.reasons.get("fit_memory_bytes", UNMEASURED)


def predicted(name: str, model: str, found: Prediction) -> Candidate:
    """A cell that was estimated and not run.

    An adapter is what stores less than the model; the pretrained weights beside it count in float32.
    """
    whole = found.stored_bytes >= found.total_parameters
    times = (found.train_seconds, found.prefix_seconds)
    return Candidate(
        name=name,
        model=model,
        measured=False,
        accuracy=None,
        interval=None,
        memory=found.peak_memory_bytes,
        seconds=None if times[0] is None or times[1] is None else times[0] + times[1],
        latency_reason="it is not predicted, only measured: run the study",
        stored_bytes=found.stored_bytes,
        shared_bytes=0 if whole else 4 * (found.total_parameters - found.trained_parameters),
    )


def unmeasured(results: Results) -> list[Candidate]:
    """The cells of a study of which no run is done, where they were estimated."""
    done = {run.cell for run in results.done}
    first = {run.cell: run for run in reversed(results.runs) if run.cell not in done}
    return [predicted(run.cell, str(run.model), run.predicted) for run in first.values() if run.predicted is not None]


def front(candidates: Sequence[Candidate], cost: Callable[[Candidate], float | None]) -> list[Candidate]:
    """The Pareto set of the score against a cost, cheapest first; without either number a candidate is not in it."""
    known = [(c, c.score, cost(c)) for c in candidates]
    rated = sorted(((c, a, x) for c, a, x in known if a is not None and x is not None), key=lambda each: each[2])
    return [
        candidate
        for candidate, score, amount in rated
        if not any(a >= score and x <= amount and (a > score or x < amount) for _, a, x in rated)
    ]


def advise(candidates: Sequence[Candidate], limits: Limits, results: Results | None = None) -> Advice:
    """Every candidate in order of choice; `results` are those of the measured ones.

    First the measured ones that fit and are close to the best that fits, the cheapest first (storage of all tasks where
    there are several, then training time): the first of them is the decision's. Then the others that fit, by their
    score; then those whose score is not known, by training time or memory; last those that do not fit.
    """
    fitting = {c.name: c for c in candidates if c.misfit(limits) is None}
    decision, ordered = None, []
    if results is not None and any(c.measured for c in fitting.values()):
        by = _storage_first(fitting, limits.tasks) if limits.tasks > 1 else costs
        decision = _decision(results, fitting, by, limits.given)
        close = [each for each in decision.standings if each.place in ("highest", "close")]
        rest = [each for each in decision.standings if each not in close]
        ordered = [fitting[each.name] for each in (*sorted(close, key=lambda each: by(each.cell)), *rest)]
    ordered += sorted((c for c in fitting.values() if not c.measured), key=_cheap)
    places = {c.name: place for place, c in enumerate(ordered, start=1)}
    ordered += [c for c in candidates if c.name not in fitting]
    tolerance = tolerance_of(results) if results is not None else 0.0
    fronts = [front(candidates, cost) for cost in (lambda c: c.memory, lambda c: c.seconds)]
    fronts = [[c for c in each if not _far_below_a_baseline(c, candidates, tolerance)] for each in fronts]
    ranked = [
        Ranked(c, places.get(c.name), c.misfit(limits), on_memory_front=c in fronts[0], on_time_front=c in fronts[1])
        for c in ordered
    ]
    return Advice(ranked, limits, decision, results)


def _decision(
    results: Results, fitting: dict[str, Candidate], by: Callable[[Cell], tuple[float, ...]], limited: bool
) -> Decision:
    """That of the whole study, where nothing is asked for; else that among those that fit."""
    able = [cell for cell in usable(results) if cell.name in fitting]
    if by is costs and not limited:
        return replace(decide(results), standings=[s for s in decide(results).standings if s.name in fitting])
    return choose_among(results, able, by=by, limited=limited)


def _storage_first(fitting: dict[str, Candidate], tasks: int) -> Callable[[Cell], tuple[float, ...]]:
    def by(cell: Cell) -> tuple[float, ...]:
        stored = fitting[cell.name].storage(tasks)
        return (UNKNOWN if stored is None else stored, *costs(cell))

    return by


def _far_below_a_baseline(candidate: Candidate, candidates: Sequence[Candidate], tolerance: float) -> bool:
    """Whether it is shown to be lower, and a baseline's score lies further above it than the tolerance."""
    if candidate.baseline or candidate.place != "lower" or candidate.score is None:
        return False
    least = candidate.score + tolerance
    return any(c.baseline and c.score is not None and c.score > least for c in candidates)


def _cheap(candidate: Candidate) -> tuple[float, float]:
    return tuple(UNKNOWN if x is None else x for x in (candidate.seconds, candidate.memory))  # type: ignore[return-value]


def reasons(advice: Advice) -> list[str]:
    """What to take and why, what is left out, and the Pareto sets."""
    ranked, limits, results = advice.ranked, advice.limits, advice.results
    fitting = [each for each in ranked if each.rank is not None]
    sentences = _choice(advice, fitting) if fitting else [nothing(ranked, limits)]
    about = None if results is None else deciding(results)
    lost = [f"{each.candidate.name} ({_score(each.candidate, about)}{each.misfit})" for each in ranked if not each.rank]
    if fitting and lost:
        sentences.append(f"{'Does' if len(lost) == 1 else 'Do'} not fit: {few(lost)}.")
    sentences += [shared] if results is not None and (shared := shared_a_device(results.runs)) else []
    still = any(each.candidate.still_improving for each in ranked)
    what = "accuracy" if about is None else about.name
    for cost, chosen in (
        ("memory", [each.candidate.name for each in ranked if each.on_memory_front]),
        ("time", [each.candidate.name for each in ranked if each.on_time_front]),
    ):
        if chosen:
            sentences.append(f"Not beaten in both {what} and {cost}{at(still)}: {few(chosen)}.")
    return sentences


def _choice(advice: Advice, fitting: Sequence[Ranked]) -> list[str]:
    if advice.decision is None or advice.decision.taken is None:
        first = fitting[0].candidate
        cheap = "trains fastest" if first.seconds is not None else "needs least memory"
        return [f"By prediction {first.name} fits and {cheap}; accuracy is known only after a run, so measure it."]
    taken = advice.decision.taken.name
    return [headline(advice.decision), *_costs(next(c.candidate for c in fitting if c.candidate.name == taken), advice)]


def _score(candidate: Candidate, about: Deciding | None) -> str:
    return "" if about is None or candidate.score is None else f"{about.said(candidate.score)}; "


def _costs(taken: Candidate, advice: Advice) -> list[str]:
    tasks = advice.limits.tasks
    stored = taken.storage(tasks)
    parts = [] if taken.seconds is None else [f"trained in {f.seconds(taken.seconds)}"]
    parts += [] if taken.memory is None else [f"needed {f.size(taken.memory)} of memory"]
    parts += [] if taken.latency is None else [f"labels one text in {f.brief(taken.latency)}"]
    parts += [] if stored is None or tasks == 1 else [f"stores {f.size(stored)} for {tasks:,} tasks"]
    return [f"{taken.name} {f.listing(parts)}."] if parts else []


def table_rows(ranked: Sequence[Ranked], tasks: int) -> list[dict[str, Any]]:
    """One row a candidate, plain values by name; unknown numbers are None."""
    return [
        {
            "rank": each.rank,
            "name": each.candidate.name,
            "accuracy": each.candidate.accuracy,
            "score": each.candidate.score,
            "below": None if each.candidate.below is None else f.points_range(*each.candidate.below),
            "memory": each.candidate.memory,
            "memory_reason": each.candidate.memory_reason,
            "seconds": each.candidate.seconds,
            "latency": each.candidate.latency,
            "storage": each.candidate.storage(tasks),
            "best_for": ", ".join(
                word for word, on in (("memory", each.on_memory_front), ("time", each.on_time_front)) if on
            ),
            "numbers": "measured" if each.candidate.measured else "predicted",
            "training": "still improving" if each.candidate.still_improving else "",
            "fits": each.misfit or "yes",
        }
        for each in ranked
    ]
