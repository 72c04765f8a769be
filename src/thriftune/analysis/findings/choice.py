"""Which method to take under limits: the ranking, the Pareto sets and the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thriftune import wording as f
from thriftune.analysis.findings.runs import Cell, above_majority, cells, comparable
from thriftune.analysis.findings.training import AT, at, trained
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

if TYPE_CHECKING:
    from thriftune.results.prediction import Prediction


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a user has, and how many tasks the pretrained model is to serve."""

    memory_bytes: float | None = None
    seconds: float | None = None
    """Of training one run."""
    tasks: int = 1


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A cell that could be taken; all of its numbers are measured, or all are predicted."""

    name: str
    model: str
    measured: bool
    accuracy: float | None
    """None where it is predicted: accuracy is not."""
    interval: tuple[float, float] | None
    memory: float | None
    seconds: float | None
    """Of training, prefix included; the mean over seeds."""
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

    def misfit(self, limits: Limits) -> str | None:
        """Why it does not fit, an unknown number included; None where it does."""
        found = []
        for limit, value, write, what in (
            (limits.memory_bytes, self.memory, f.size, "memory"),
            (limits.seconds, self.seconds, f.seconds, "training time"),
        ):
            if limit is not None and value is None:
                found.append(f"{what} is not known")
            elif limit is not None and value is not None and value > limit:
                found.append(f"{write(value)} {what}")
        return ", ".join(found) or None


@dataclass(frozen=True)
class Ranked:
    """A candidate with its place."""

    candidate: Candidate
    rank: int | None
    """From 1; None where it does not fit."""
    misfit: str | None
    on_memory_front: bool
    """No other measured candidate is as accurate with less memory, or more accurate with as little."""
    on_time_front: bool


def measured(results: Results) -> list[Candidate]:
    """The cells that learned, fine-tuned and baselines, with means over their seeds."""
    found, training = [], trained(results)
    chosen = {run.run_id for run in comparable(results)}
    for cell in cells(run for run in results.done if run.run_id in chosen or _baseline_choice(run)):
        cost = cell.runs[0].cost
        shared = None if cell.runs[0].model is not None else 0
        if cost is not None and cost.adapter is not None and cost.pretrained_bytes is not None:
            shared = cost.pretrained_bytes if cost.adapter else 0
        found.append(
            Candidate(
                name=cell.name,
                model=str(cell.runs[0].model or ""),
                measured=True,
                accuracy=cell.accuracy,
                interval=cell.interval,
                memory=_memory(cell),
                seconds=cell.seconds,
                stored_bytes=cell.stored,
                shared_bytes=shared,
                still_improving=training.still(cell),
            )
        )
    return found


def _memory(cell: Cell) -> float | None:
    """Bytes that a training step needs at most; a frozen encoder's single pass, where there are no steps."""
    cost = cell.runs[0].cost
    return cell.memory if cost is None or not cell.runs[0].baseline else cost.prefix_peak_memory_bytes


def _baseline_choice(run: RunRecord) -> bool:
    """Whether a run that fine-tuned nothing is better than the majority class: then it can be taken too."""
    return run.baseline and run.test is not None and above_majority(run.test)


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
        stored_bytes=found.stored_bytes,
        shared_bytes=0 if whole else 4 * (found.total_parameters - found.trained_parameters),
    )


def unmeasured(results: Results) -> list[Candidate]:
    """The cells of a study of which no run is done, where they were estimated."""
    done = {run.cell for run in results.done}
    first = {run.cell: run for run in reversed(results.runs) if run.cell not in done}
    return [predicted(run.cell, str(run.model), run.predicted) for run in first.values() if run.predicted is not None]


def front(candidates: Sequence[Candidate], cost: Callable[[Candidate], float | None]) -> list[Candidate]:
    """The Pareto set of accuracy against a cost, cheapest first; without either number a candidate is not in it."""
    known = [(c, c.accuracy, cost(c)) for c in candidates]
    rated = sorted(((c, a, x) for c, a, x in known if a is not None and x is not None), key=lambda each: each[2])
    return [
        candidate
        for candidate, accuracy, amount in rated
        if not any(a >= accuracy and x <= amount and (a > accuracy or x < amount) for _, a, x in rated)
    ]


def rank(candidates: Sequence[Candidate], limits: Limits) -> list[Ranked]:
    """Every candidate in order of choice.

    First those that fit and whose accuracy's 95% interval overlaps the best one's, cheapest first (storage of all
    tasks where there are several, then training time); then the others that fit, by accuracy; then those whose
    accuracy is not known, by training time or memory; last those that do not fit.
    """
    fitting = [c for c in candidates if c.misfit(limits) is None]
    close = near(fitting)
    rest = sorted((c for c in fitting if c not in close and c.accuracy is not None), key=lambda c: -(c.accuracy or 0))
    unknown = sorted((c for c in fitting if c.accuracy is None), key=_cheap)
    ordered = [*sorted(close, key=lambda c: _key(c, limits)), *rest, *unknown]
    ordered += [c for c in candidates if c not in fitting]
    fronts = [front(candidates, cost) for cost in (lambda c: c.memory, lambda c: c.seconds)]
    return [
        Ranked(
            candidate=c,
            rank=place if c in fitting else None,
            misfit=c.misfit(limits),
            on_memory_front=c in fronts[0],
            on_time_front=c in fronts[1],
        )
        for place, c in enumerate(ordered, start=1)
    ]


def near(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that the measurements do not tell apart from the most accurate one."""
    rated = [c for c in candidates if c.accuracy is not None and c.interval is not None]
    if not rated:
        return []
    best = max(rated, key=lambda c: c.accuracy or 0)
    return [c for c in rated if c.interval and best.interval and c.interval[1] >= best.interval[0]]


def _key(candidate: Candidate, limits: Limits) -> tuple[float, float]:
    storage = candidate.storage(limits.tasks) if limits.tasks > 1 else None
    unknown = float("inf")
    many = unknown if storage is None and limits.tasks > 1 else storage or 0.0
    return many, unknown if candidate.seconds is None else candidate.seconds


def _cheap(candidate: Candidate) -> tuple[float, float]:
    unknown = float("inf")
    return tuple(unknown if x is None else x for x in (candidate.seconds, candidate.memory))  # type: ignore[return-value]


def reasons(ranked: Sequence[Ranked], limits: Limits) -> list[str]:
    """What to take and why, what is left out, and the Pareto sets."""
    fitting = [each for each in ranked if each.rank is not None]
    still = any(each.candidate.still_improving for each in ranked)
    sentences = [_choice(fitting, limits) if fitting else _nothing(ranked, limits)]
    lost = [f"{each.candidate.name} ({each.misfit})" for each in ranked if each.rank is None]
    if fitting and lost:
        sentences.append(f"{'Does' if len(lost) == 1 else 'Do'} not fit: {f.listing(lost)}.")
    for what, chosen in (
        ("memory", [each.candidate.name for each in ranked if each.on_memory_front]),
        ("time", [each.candidate.name for each in ranked if each.on_time_front]),
    ):
        if chosen:
            sentences.append(f"Not beaten in both accuracy and {what}{at(still)}: {f.listing(chosen, 8)}.")
    return sentences


def _choice(fitting: Sequence[Ranked], limits: Limits) -> str:
    first = fitting[0].candidate
    if first.accuracy is None:
        cheap = "trains fastest" if first.seconds is not None else "needs least memory"
        return f"By prediction {first.name} fits and {cheap}; accuracy is known only after a run, so measure it."
    close = near([each.candidate for each in fitting])
    best = max(close, key=lambda c: c.accuracy or 0)
    text = f"{_opening(fitting)}ake {first.name}: {f.percent(first.accuracy)} accuracy{_costs(first)}"
    if best is first:
        others = len(close) > 1
        return (
            f"{text}. It is the most accurate that fits{', and the cheapest of those close to it' if others else ''}."
        )
    text += f". {best.name} reaches {f.percent(best.accuracy or 0)}{_costs(best)}"
    why = "stores least" if limits.tasks > 1 else "trains fastest"
    return f"{text}, but their 95% intervals overlap, and {first.name} {why} of those that do."


def _opening(fitting: Sequence[Ranked]) -> str:
    """How a choice begins, up to the first letter of "take": at this budget, where accuracies would still rise."""
    measured = [each.candidate for each in fitting if each.candidate.accuracy is not None]
    still = [candidate for candidate in measured if candidate.still_improving]
    if not still:
        return "T"
    if len(still) == len(measured) > 1:
        return f"Every fine-tuned method was still improving; {AT}, t"
    return f"{AT.capitalize()}, t"


def _costs(candidate: Candidate) -> str:
    parts = [] if candidate.seconds is None else [f"in {f.seconds(candidate.seconds)}"]
    parts += [] if candidate.memory is None else [f"with {f.size(candidate.memory)}"]
    return f" {' '.join(parts)}" if parts else ""


def _nothing(ranked: Sequence[Ranked], limits: Limits) -> str:
    if not ranked:
        return "No fine-tuned run learned and nothing is predicted, so nothing can be recommended."
    text = "Nothing fits"
    for limit, value, write, what in (
        (limits.memory_bytes, "memory", f.size, "memory"),
        (limits.seconds, "seconds", f.seconds, "training time"),
    ):
        known = [(getattr(each.candidate, value), each.candidate.name) for each in ranked]
        known = [(number, name) for number, name in known if number is not None]
        if limit is not None and known:
            least, name = min(known)
            text += f"; the least {what} is {write(least)} ({name})"
    return f"{text}."


def table_rows(ranked: Sequence[Ranked], tasks: int) -> list[dict[str, Any]]:
    """One row a candidate, plain values by name; unknown numbers are None."""
    return [
        {
            "rank": each.rank,
            "name": each.candidate.name,
            "accuracy": each.candidate.accuracy,
            "memory": each.candidate.memory,
            "seconds": each.candidate.seconds,
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
