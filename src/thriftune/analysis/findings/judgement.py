"""The verdicts of a study: for every pair of methods on one model better, worse, equivalent or undecided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import Outcomes, outcomes
from thriftune.analysis.findings.runs import CHANCE, Cell, by_model, cells, comparable, differing, is_baseline, learned
from thriftune.analysis.findings.training import AT, trained
from thriftune.analysis.statistics import inference
from thriftune.analysis.statistics.inference import Difference, Measured
from thriftune.analysis.statistics.planning import Needed, needed
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

ALPHA = 0.05
Outcome = Literal["better", "worse", "equivalent", "undecided"]
Claim = Literal["methods", "trained models"]


@dataclass(frozen=True)
class Interval:
    """The 95% interval over test texts by the paired bootstrap, for each measure."""

    accuracy: tuple[float, float]
    macro_f1: tuple[float, float]


@dataclass(frozen=True)
class Discordant:
    """Exact McNemar: texts that only one of two models got right."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Verdict:
    """What can be said of two methods on one model, the first against the second."""

    model: str
    first: Cell
    second: Cell
    claim: Claim
    """Methods: other texts and other seeds. Trained models: other texts, these models."""
    outcome: Outcome
    accuracy: Difference
    macro_f1: Difference
    adjusted_p: float
    """Holm's, over the pairs of the model."""
    adjusted_level: float
    """The confidence level of the interval that decides better or worse."""
    needed: Needed | None
    """What would settle it; None unless undecided."""
    discordant: Discordant | None
    """None where a method has several seeds."""
    bootstrap: Interval | None
    """None where a method has several seeds."""
    at_this_budget: bool = False
    """Whether a run of either method was still improving when its training ended."""

    @property
    def baseline(self) -> bool:
        """Whether the second is a baseline."""
        return is_baseline(self.second.runs[0])

    @property
    def higher(self) -> tuple[Cell, Cell]:
        """Both methods, that with the higher accuracy first."""
        return (self.first, self.second) if self.accuracy.estimate >= 0 else (self.second, self.first)

    def against(self, name: str) -> Outcome:
        """The outcome as seen from the method of that name."""
        mirrored: dict[Outcome, Outcome] = {"better": "worse", "worse": "better"}
        return self.outcome if name == self.first.name else mirrored.get(self.outcome, self.outcome)


@dataclass(frozen=True)
class Unsupported:
    """Runs or pairs of methods that no verdict can rest on."""

    names: list[str]
    reason: str


@dataclass(frozen=True)
class Spread:
    """How far the scores of one method lie apart with its seeds."""

    model: str
    cell: Cell
    accuracy: Measured
    macro_f1: Measured


@dataclass(frozen=True)
class Judgement:
    """All verdicts of a study, each model's most accurate method first, and what supports none."""

    verdicts: list[Verdict]
    unsupported: list[Unsupported]
    spreads: list[Spread]
    margin: float
    """As a fraction: 0.005 is half a point."""

    def between(self, first: Cell, second: Cell) -> Verdict | None:
        """The verdict on two methods, whichever stands first; None where there is none."""
        names = {first.name, second.name}
        return next((v for v in self.verdicts if {v.first.name, v.second.name} == names), None)


@once
def judge(results: Results) -> Judgement:
    """Compares all methods of each model with one another, and with the baselines: its own and those without one."""
    found, training = outcomes(results), trained(results)
    margin = results.study.margin / 100
    verdicts: list[Verdict] = []
    unsupported = _runs_without_support(results)
    spreads: list[Spread] = []
    found_baselines = [run for run in results.done if is_baseline(run) and run.method.get("name") != "majority"]
    for model, runs in by_model(comparable(results)).items():
        group = cells(runs)
        baselines = cells(run for run in found_baselines if run.model in (None, model))
        known = {cell.name: _spread(model, cell, found, len(results.labels)) for cell in (*group, *baselines)}
        spreads += [known[cell.name] for cell in group]
        ranked = sorted(group, key=lambda cell: -cell.accuracy)
        pairs, lost = _pairs(ranked)
        unsupported += lost
        families = [pairs, [(cell, baseline) for baseline in baselines for cell in ranked]]
        for family in families:
            for verdict in _family(model, family, known, found, margin, len(results.labels)):
                verdicts.append(replace(verdict, at_this_budget=training.still(verdict.first, verdict.second)))
    return Judgement(verdicts, unsupported, spreads, margin)


def _runs_without_support(results: Results) -> list[Unsupported]:
    reasons: dict[str, list[str]] = {}
    for run in results.runs:
        if run.status != "done" or run.test is None:
            reasons.setdefault(run.status.replace("_", " "), []).append(run.name)
        elif not learned(run):
            found = trained(results).of(run)
            still = f" {AT}" if found is not None and found.improving else ""
            reasons.setdefault(f"did not learn{still}: {CHANCE}", []).append(run.name)
    return [Unsupported(names, reason) for reason, names in reasons.items()]


def _pairs(group: list[Cell]) -> tuple[list[tuple[Cell, Cell]], list[Unsupported]]:
    pairs: list[tuple[Cell, Cell]] = []
    lost: dict[str, list[str]] = {}
    for first, second in combinations(group, 2):
        settings = differing([*first.runs, *second.runs], machine=False)
        if settings:
            parts = [f"{name} {' and '.join(sorted(found, key=_size))}" for name, found in settings.items()]
            reason = f"under different protocols: {f.listing(parts)}"
            lost.setdefault(reason, []).append(f"{first.name} against {second.name}")
        else:
            pairs.append((first, second))
    return pairs, [Unsupported(names, reason) for reason, names in lost.items()]


def _size(value: str) -> tuple[int, str]:
    """An order of settings that has 8 before 32, whichever run comes first."""
    return len(value), value


def _spread(model: str, cell: Cell, found: Outcomes, classes: int) -> Spread:
    deterministic = is_baseline(cell.runs[0])
    predicted = [found.predicted[run.run_id] for run in cell.runs]
    right = np.stack([each == found.label for each in predicted]).astype(np.float64)
    f1 = np.stack([inference.f1_contributions(found.label, each, classes) for each in predicted])
    return Spread(model, cell, inference.measured(right, deterministic), inference.measured(f1, deterministic))


def _family(
    model: str, pairs: list[tuple[Cell, Cell]], known: dict[str, Spread], found: Outcomes, margin: float, classes: int
) -> Iterator[Verdict]:
    differences = [_difference(pair, known, "accuracy") for pair in pairs]
    adjusted, levels = inference.holm([each.p for each in differences], ALPHA)
    for pair, accuracy, p, level in zip(pairs, differences, adjusted, levels, strict=True):
        first, second = pair
        outcome = decide(accuracy, level, margin)
        seeds = min(len(cell.runs) for cell in pair if not is_baseline(cell.runs[0]))
        single = _single(first, second, found, classes)
        yield Verdict(
            model=model,
            first=first,
            second=second,
            claim="methods" if accuracy.repeated else "trained models",
            outcome=outcome,
            accuracy=accuracy,
            macro_f1=_difference(pair, known, "macro_f1"),
            adjusted_p=p,
            adjusted_level=level,
            needed=needed(accuracy, margin, level, seeds) if outcome == "undecided" else None,
            discordant=single[0] if single else None,
            bootstrap=single[1] if single else None,
        )


def decide(difference: Difference, level: float, margin: float) -> Outcome:
    """Equivalent where the 90% interval lies within the margin, better or worse where the other excludes 0.

    The first is the pair of one-sided tests of Schuirmann (1987); it comes first, so that a difference too small
    to matter is not called one.
    """
    low, high = difference.interval(0.9)
    if -margin < low and high < margin:
        return "equivalent"
    low, high = difference.interval(level)
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def _difference(pair: tuple[Cell, Cell], known: dict[str, Spread], measure: str) -> Difference:
    names = [cell.name for cell in pair]
    first, second = (getattr(known[name], measure) for name in names)
    others = [getattr(spread, measure) for name, spread in known.items() if name not in names]
    return inference.difference(first, second, others)


def _single(first: Cell, second: Cell, found: Outcomes, classes: int) -> tuple[Discordant, Interval] | None:
    if len(first.runs) > 1 or len(second.runs) > 1:
        return None
    a, b = (found.predicted[cell.runs[0].run_id] for cell in (first, second))
    only_first = int(((a == found.label) & (b != found.label)).sum())
    only_second = int(((b == found.label) & (a != found.label)).sum())
    drawn = inference.bootstrap(found.label, a, b, classes)
    accuracy, f1 = ((float(low), float(high)) for low, high in (np.quantile(each, [0.025, 0.975]) for each in drawn))
    return Discordant(only_first, only_second, inference.mcnemar(only_first, only_second)), Interval(accuracy, f1)


def lost_seeds(results: Results, cell: Cell) -> list[RunRecord]:
    """Runs of the same method that support no verdict."""
    used = {run.run_id for run in cell.runs}
    return [run for run in results.runs if run.cell == cell.runs[0].cell and run.run_id not in used]
