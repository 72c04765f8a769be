"""How far repeats of one method lie apart, beside how far the methods do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy.stats import chi2

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.judgement import judge
from thriftune.analysis.findings.lost import collapse_sentences, collapses, lost_seeds
from thriftune.analysis.findings.verdict import Spread
from thriftune.results.store import Results

TITLE = "Seeds"
QUESTION = "How much do repeats of one method with other seeds differ?"

COLUMNS = [
    Column("cell", "Method"),
    Column("seeds", "Seeds", "int"),
    Column("accuracy", "Mean accuracy", "percent", higher_is_better=True),
    Column("accuracy_sd", "± SD, points", "points"),
    Column("macro_f1", "Mean macro F1", "percent", higher_is_better=True),
    Column("macro_f1_sd", "± SD, points", "points"),
    *of_kind("percent", lowest="Lowest accuracy", highest="Highest accuracy"),
    Column("lost", "Seeds left out", "int"),
]


@dataclass(frozen=True)
class Pooled:
    """The standard deviation of one run's accuracy over seeds, over all methods of a model, with its 95% interval."""

    model: str
    deviation: float
    low: float
    high: float
    freedom: int


def build(results: Results) -> Panel | NotApplicable:
    """Mean and spread of every method over its seeds, and the spread pooled over the methods of a model."""
    judgement = judge(results)
    if not judgement.spreads:
        return NotApplicable("No fine-tuned run learned, so there is nothing to repeat.")
    pooled = pool(judgement.spreads)
    rows = [_row(results, spread) for spread in judgement.spreads]
    charts = [_chart(judgement.spreads)] if pooled else []
    notes = []
    if pooled:
        notes.append("SD: sample standard deviation over the seeds that learned.")
        notes.append(
            "The pooled spread takes all methods of a model to vary alike; its 95% interval is that of a variance "
            "(chi-squared). It holds the chance of single texts too, so that a small test set widens it."
        )
    statistics = {
        "methods": [_statistics(spread, row) for spread, row in zip(judgement.spreads, rows, strict=True)],
        "pooled": [
            {
                "model": each.model,
                "deviation": each.deviation,
                "interval_95": [each.low, each.high],
                "degrees_of_freedom": each.freedom,
            }
            for each in pooled
        ],
        "failures": [
            {
                "method": each.name,
                "seeds": each.seeds,
                "failed": each.failures,
                "rate_at_least": each.at_least,
                "rate_at_most": each.at_most,
            }
            for each in collapses(results)
        ],
    }
    tables = [Table("seeds", "Every method over its seeds.", COLUMNS, rows)] if pooled else []
    sentences = [*_sentences(judgement.spreads, pooled), *collapse_sentences(results)]
    return Panel(sentences, tables, charts, notes, statistics)


def pool(spreads: list[Spread]) -> list[Pooled]:
    """The pooled spread of each model that has a method with two seeds or more."""
    out = []
    for model in dict.fromkeys(spread.model for spread in spreads):
        known = [s.accuracy for s in spreads if s.model == model and s.accuracy.seeds > 1]
        freedom = sum(each.seeds - 1 for each in known)
        if freedom:
            total = sum((each.seeds - 1) * each.spread for each in known)
            low, high = (math.sqrt(total / float(chi2.ppf(q, freedom))) for q in (0.975, 0.025))
            out.append(Pooled(model, math.sqrt(total / freedom), low, high, freedom))
    return out


def _row(results: Results, spread: Spread) -> dict[str, Any]:
    row: dict[str, Any] = {"cell": spread.cell.name, "seeds": spread.accuracy.seeds}
    for name, measure in (("accuracy", spread.accuracy), ("macro_f1", spread.macro_f1)):
        row[name] = float(measure.scores.mean())
        row[f"{name}_sd"] = math.sqrt(measure.spread) if measure.seeds > 1 else None
        row[f"{name}_sd_reason"] = "one seed"
    row |= {"lowest": float(spread.accuracy.scores.min()), "highest": float(spread.accuracy.scores.max())}
    return row | {"lost": len(lost_seeds(results, spread.cell))}


def _sentences(spreads: list[Spread], pooled: list[Pooled]) -> list[str]:
    out = []
    several = len({spread.model for spread in spreads}) > 1
    for each in pooled:
        where = f"On {each.model} one" if several else "One"
        text = f"{where} method's accuracy varies with the seed by {f.points(each.deviation)} (standard deviation"
        out.append(f"{text}, 95% interval {f.points_range(each.low, each.high)}{_apart(spreads, each.model)}")
    single = [spread.cell.name for spread in spreads if spread.accuracy.seeds == 1]
    if single:
        who = "Every method ran with one seed" if len(single) == len(spreads) else f"One seed: {f.listing(single)}"
        out.append(
            f"{who}, so how far another seed's model would lie from this one is not known, nor whether a difference "
            "between two such runs is the methods' or the seeds'. Three seeds or more tell."
        )
    return out


def _apart(spreads: list[Spread], model: str) -> str:
    means = [float(s.accuracy.scores.mean()) for s in spreads if s.model == model]
    if len(means) < 2:
        return ")."
    return f"); its methods' means lie up to {f.points(max(means) - min(means))} apart."


def _chart(spreads: list[Spread]) -> Chart:
    rows = [
        {"name": spread.cell.name, "series": "one seed", "value": chart.short(100 * float(score))}
        for spread in spreads
        for score in spread.accuracy.scores
    ]
    rows += [
        {"name": s.cell.name, "series": "mean", "value": chart.short(100 * float(s.accuracy.scores.mean()))}
        for s in spreads
    ]
    tooltip = chart.tips(name="method", series="of", value=("accuracy, %", ".2f"))
    order = [spread.cell.name for spread in spreads]
    spec = categories.dots(rows, x_title="accuracy, %", order=order, series=["one seed", "mean"], tooltip=tooltip)
    return Chart(
        "seeds", "Accuracy by seed", "Points: the accuracy of every seed of each method, and their mean.", spec
    )


def _statistics(spread: Spread, row: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "model": spread.model,
        "method": spread.cell.name,
        "runs": [run.run_id for run in spread.cell.runs],
        "left_out": row["lost"],
    }
    for name, measure in (("accuracy", spread.accuracy), ("macro_f1", spread.macro_f1)):
        repeated = measure.seeds > 1
        out[name] = {
            "mean": float(measure.scores.mean()),
            "deviation": math.sqrt(measure.spread) if repeated else None,
            **({} if repeated else {"deviation_reason": "one seed"}),
            "scores": [float(score) for score in measure.scores],
        }
    return out
