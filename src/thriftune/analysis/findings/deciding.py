"""The metric that a study decides by (`decide_by`): every method measured by it, and how its values are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.groups import groups_of, score_of
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import outcomes
from thriftune.analysis.findings.runs import Cell, cells, depends, is_baseline
from thriftune.analysis.statistics.inference import Measured
from thriftune.analysis.statistics.metric_intervals import (
    BY_CLASS,
    Metric,
    measure,
    of_confusion,
    weight_of_a_text,
    why_no_interval,
)
from thriftune.analysis.statistics.spreads import SeedSpread, seed_spreads
from thriftune.metrics import METRICS
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

FLOOR = "majority"
"""The method that is no choice: it stands in no leaderboard."""
UNMEASURED = "not measured by the version that made it"


@dataclass(frozen=True)
class Deciding:
    """The deciding metric on a study's test texts."""

    metric: Metric
    weight: float
    """What one text is worth; 0 where all texts weigh alike, so that nothing need be added to a difference."""
    no_interval: str | None
    """Why scores and differences have no interval: too few texts of a class; None where they have."""

    @property
    def name(self) -> str:
        """Within a sentence: "macro F1"."""
        label = METRICS[self.metric].label
        return label if label.isupper() else label[0].lower() + label[1:]

    def said(self, value: float) -> str:
        """A score as "84.1%"; MCC as "0.683"."""
        return f"{value:.3f}" if self.metric == "mcc" else f.percent(value)

    def apart(self, difference: float) -> str:
        """A difference as "0.4 points"; of MCC as "0.004"."""
        return f"{abs(difference):.3f}" if self.metric == "mcc" else f.points(difference)

    def named(self, value: float) -> str:
        """A score as "84.1%", with the metric's name unless it is accuracy: "61.0% macro F1"."""
        return self.said(value) if self.metric == "accuracy" else f"{self.said(value)} {self.name}"


def metric_of(results: Results) -> Metric:
    """The study's `decide_by`; accuracy in results of earlier versions."""
    return results.study.study.get("decide_by") or "accuracy"


def on_validation(results: Results, run: RunRecord) -> float:
    """A run's validation score by the deciding metric; minus infinity where it was not validated."""
    return float("-inf") if run.validation is None else of_confusion(metric_of(results), run.validation.confusion)


@once
def deciding(results: Results) -> Deciding:
    """What the study decides by."""
    metric, label, classes = metric_of(results), outcomes(results).label, len(results.labels)
    by_class = metric in BY_CLASS and len(label) > 0
    weight = weight_of_a_text(metric, label, classes) if by_class else 0.0
    return Deciding(metric, weight, why_no_interval(metric, label, results.labels) if len(label) else None)


@once
def usable(results: Results) -> list[Cell]:
    """The methods on their models, fine-tuned or not, each with those of its runs that learned."""
    return cells(run for run in contenders(results) if depends(run))


@once
def without_use(results: Results) -> list[Cell]:
    """The methods of which runs finished and none learned."""
    names = {run.cell for cell in usable(results) for run in cell.runs}
    return cells(run for run in contenders(results) if run.cell not in names)


def contenders(results: Results) -> list[RunRecord]:
    """The finished runs that could be taken: all but that of the most frequent label."""
    return [run for run in results.done if run.method.get("name") != FLOOR]


@once
def scored(results: Results) -> dict[str, Measured]:
    """Every method measured by the deciding metric, by its name: usable ones, and those that did not learn."""
    answers, classes, metric = outcomes(results), len(results.labels), metric_of(results)

    def measured(cell: Cell) -> Measured:
        predicted = np.stack([answers.predicted[run.run_id] for run in cell.runs])
        return measure(metric, answers.label, predicted, classes, is_baseline(cell.runs[0]))

    return {cell.name: measured(cell) for cell in (*usable(results), *without_use(results))}


def of_seeds(methods: Iterable[Cell], measured: Mapping[str, Measured]) -> dict[str, SeedSpread]:
    """How far the seeds of each method lie apart, by its name: decided once for each model of a study.

    Every verdict and the set that could be the best rest on it, so that they have the same intervals.
    """
    found = list(methods)
    spreads = seed_spreads([measured[cell.name] for cell in found], [cell.runs[0].model for cell in found])
    return {cell.name: spread for cell, spread in zip(found, spreads, strict=True)}


@once
def by_seeds(results: Results) -> dict[str, SeedSpread]:
    """That of every usable method by the deciding metric."""
    return of_seeds(usable(results), scored(results))


@once
def no_macro_f1_interval(results: Results) -> str | None:
    """Why no run's macro F1 has an interval: too few test texts of a class; None where it has."""
    label = outcomes(results).label
    return why_no_interval("macro_f1", label, results.labels) if len(label) else "no run has test scores"


def macro_f1_interval(results: Results, *runs: RunRecord) -> dict[str, str]:
    """A table's entry: the 95% interval of a method's macro F1 over other texts, and seeds, or why there is none."""
    known = outcomes(results).predicted
    predicted = [known[run.run_id] for run in runs if run.run_id in known]
    if not predicted:
        return {}
    if why := no_macro_f1_interval(results):
        return {"macro_f1_interval_reason": why}
    label, classes = outcomes(results).label, len(results.labels)
    weight = weight_of_a_text("macro_f1", label, classes)
    found = score_of("macro_f1", measure("macro_f1", label, np.stack(predicted), classes), weight, groups_of(results))
    return {"macro_f1_interval": f.percent_range(found.low, found.high)}
