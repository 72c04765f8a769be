"""Whether methods err on other texts than each other, beside what seeds alone do: the comparison, and it in words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import outcomes
from thriftune.analysis.findings.runs import Cell, by_model, cells, comparable
from thriftune.analysis.statistics import agreement
from thriftune.analysis.statistics.agreement import Agreement, Excess
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

Kind = Literal["seeds", "methods", "models", "both"]


KINDS: dict[Kind, str] = {
    "seeds": "same method, another seed",
    "methods": "same model, another method",
    "models": "same method, another model",
    "both": "another model and method",
}


@dataclass(frozen=True)
class Overlap:
    """The errors of all runs that learned, compared pair by pair."""

    runs: list[RunRecord]
    groups: list[list[int]]
    """Rows of runs that differ by seed alone."""
    agreement: Agreement
    kinds: dict[tuple[int, int], Kind]
    """What the two runs of a pair differ in, first row before second."""
    methods: Excess | None
    """How much more methods of one model disagree than seeds of one method; None without repeats."""
    models: Excess | None
    """How much more models disagree than methods do, both beyond their seeds; None without repeats."""

    def pairs(self, kind: Kind) -> list[tuple[int, int]]:
        """All pairs of a kind."""
        return [pair for pair, found in self.kinds.items() if found == kind]

    def disagreement(self, kind: Kind) -> float | None:
        """The mean share of texts that exactly one of two runs got right; None without such pairs."""
        values = [float(self.agreement.disagreement[pair]) for pair in self.pairs(kind)]
        return float(np.mean(values)) if values else None

    def kappa(self, kind: Kind) -> float | None:
        """Mean kappa of the errors; None where it is not defined for any pair."""
        values = [k for pair in self.pairs(kind) if (k := self.agreement.kappa(*pair)) is not None]
        return float(np.mean(values)) if values else None


@once
def overlap(results: Results) -> Overlap | None:
    """Compares all fine-tuned runs that learned; None with fewer than two."""
    runs = comparable(results)
    if len(runs) < 2:
        return None
    found = outcomes(results)
    predicted = np.stack([found.predicted[run.run_id] for run in runs])
    rows = {run.run_id: i for i, run in enumerate(runs)}
    groups = [[rows[run.run_id] for run in cell.runs] for cell in _cells(runs)]
    same = _methods(runs)
    kinds = {(i, j): _kind(runs[i], runs[j], same[i] == same[j]) for i, j in combinations(range(len(runs)), 2)}
    across: dict[Kind, list[tuple[int, int]]] = {"methods": [], "models": []}
    for a, b in combinations(range(len(groups)), 2):
        kind = _kind(runs[groups[a][0]], runs[groups[b][0]], same[groups[a][0]] == same[groups[b][0]])
        if kind in across and len(groups[a]) > 1 and len(groups[b]) > 1:
            across[kind].append((a, b))
    methods = agreement.beyond_seeds(len(runs), groups, across["methods"])
    models = agreement.beyond_seeds(len(runs), groups, across["models"])
    contrast = models - methods if models is not None and methods is not None else None
    excess = [
        None if weights is None else agreement.excess(found.label, predicted, groups, weights)
        for weights in (methods, contrast)
    ]
    return Overlap(runs, groups, agreement.agreement(found.label, predicted), kinds, *excess)


def _cells(runs: list[RunRecord]) -> list[Cell]:
    return [cell for group in by_model(runs).values() for cell in cells(group)]


def _methods(runs: list[RunRecord]) -> list[str]:
    """What stands for each run's method across models: its name, or all settings where a model has it twice."""
    named: dict[tuple[str | None, str], set[str]] = {}
    for run in runs:
        named.setdefault((run.model, run.method["name"]), set()).add(run.cell)
    twice = {name for (_, name), found in named.items() if len(found) > 1}
    out = []
    for run in runs:
        settings = {key: value for key, value in run.method.items() if key != "learning_rate"}
        out.append(str(sorted(settings.items())) if run.method["name"] in twice else run.method["name"])
    return out


def _kind(first: RunRecord, second: RunRecord, same_method: bool) -> Kind:
    if first.model == second.model:
        return "seeds" if first.cell == second.cell else "methods"
    return "models" if same_method else "both"


def sentences(results: Results) -> list[str]:
    """Whether methods err differently more than seeds do, and models more than methods."""
    found = overlap(results)
    if found is None:
        return []
    margin = results.study.margin / 100
    return [text for text in (_seeds_alone(found), _against_seeds(found, margin), _models(found, margin)) if text]


def _unknown(seeds: float | None) -> str:
    """What cannot be said where no two methods of a model ran with two seeds each."""
    if seeds is None:
        return "how much two seeds of one method would is not known"
    return (
        f"two seeds of one method disagree on {f.percent(seeds)}, but only two methods with two seeds each would tell "
        "how much lies beyond that"
    )


def distinct(found: Overlap, margin: float) -> Literal["supported", "refuted", "undecided"]:
    """Whether methods disagree more than seeds, by more than the margin.

    Supported where the whole 95% interval lies above the margin, refuted where that of 90% lies below it.
    """
    if found.methods is None:
        return "undecided"
    if found.methods.interval(0.9)[1] < margin:
        return "refuted"
    return "supported" if found.methods.interval(0.95)[0] > margin else "undecided"


def _seeds_alone(found: Overlap) -> str:
    if found.pairs("methods"):
        return ""
    seeds = found.disagreement("seeds")
    if seeds is None:
        return ""
    return f"Two seeds of one method disagree on {f.percent(seeds)} of the texts{_kappa(found, 'seeds')}."


def _against_seeds(found: Overlap, margin: float) -> str:
    methods, seeds = found.disagreement("methods"), found.disagreement("seeds")
    if methods is None:
        return ""
    text = f"Two methods on one model disagree on {f.percent(methods)} of the texts{_kappa(found, 'methods')}"
    if seeds is None or found.methods is None:
        return f"{text}; {_unknown(seeds)}."
    text += f", two seeds of one method on {f.percent(seeds)}{_kappa(found, 'seeds')}."
    amount = f"{f.signed_points(found.methods.estimate)} points beyond what seeds do"
    amount += f" (95% interval {f.points_range(*found.methods.interval(0.95))}"
    limit = f.points(margin)
    said = {
        "supported": f"So methods err differently: on {amount}, all of it above the margin of {limit}).",
        "refuted": f"So methods err as seeds do, within the margin of {limit}: {amount}).",
        "undecided": f"Whether methods err differently by more than the margin of {limit} is undecided: {amount}).",
    }
    return f"{text} {said[distinct(found, margin)]}"


def _models(found: Overlap, margin: float) -> str:
    methods = found.disagreement("methods")
    kind: Kind = "models" if found.pairs("models") else "both"
    models = found.disagreement(kind)
    if methods is None or models is None:
        return ""
    pair = "one method on two models" if kind == "models" else "two methods on two models"
    text = f"Runs of {pair} disagree on {f.percent(models)} of the texts{_kappa(found, kind)}"
    if found.models is None:
        return f"{text}, two methods on one model on {f.percent(methods)}; {_unknown(found.disagreement('seeds'))}."
    low, high = found.models.interval(0.95)
    amount = (
        f"{f.signed_points(found.models.estimate)} points beyond the seeds, 95% interval {f.points_range(low, high)}"
    )
    if low > margin or high < -margin:
        said = f"models differ {'more' if low > margin else 'less'} than methods do"
        return f"{text}: {said}, by more than the margin of {f.points(margin)} ({amount})."
    if max(abs(end) for end in found.models.interval(0.9)) < margin:
        return f"{text}: models differ as methods do, within the margin of {f.points(margin)} ({amount})."
    return f"{text}; whether models differ more than methods do is undecided ({amount})."


def _kappa(found: Overlap, kind: Kind) -> str:
    kappa = found.kappa(kind)
    return "" if kappa is None else f" (kappa {kappa:.2f})"
