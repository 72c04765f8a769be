"""Which differences between methods are more than luck."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.answers.verdicts import OUTCOMES, sentences, unsupported
from thriftune.analysis.findings.judgement import Judgement, Verdict, judge
from thriftune.analysis.findings.training import at
from thriftune.analysis.statistics.inference import Difference
from thriftune.analysis.statistics.planning import MOST_SEEDS, MOST_TEXTS, Needed
from thriftune.results.store import Results

TITLE = "Verdicts"
QUESTION = "Is one method better than another, are they equivalent, or can this study not tell?"

DRAWN = 40


def build(results: Results) -> Panel | NotApplicable:
    """Every pair of methods of each model with its outcome, and what supports none."""
    judgement = judge(results)
    if not judgement.verdicts:
        return NotApplicable(" ".join(["There are no two methods to compare.", *unsupported(results, judgement)]))
    several = len({verdict.model for verdict in judgement.verdicts}) > 1
    pairs = [verdict for verdict in judgement.verdicts if not verdict.baseline]
    notes = [
        "Accuracy decides. Equivalent: the 90% interval lies within the margin. Better or worse: the interval "
        "adjusted for the number of pairs (Holm) excludes 0. Else undecided.",
        "Needed: the test texts, or the seeds of each method, at which an outcome would be found with a chance of "
        "80% if the difference is as estimated.",
    ]
    if any(verdict.claim == "methods" for verdict in judgement.verdicts):
        notes.append(
            "With repeats the intervals cover other texts and other seeds, the latter with few degrees of freedom "
            "(Student's t); methods whose seeds spread alike share one estimate of that spread."
        )
    drawn = sorted(pairs, key=lambda verdict: -abs(verdict.accuracy.estimate))[:DRAWN]
    charts = [_chart([verdict for verdict in pairs if verdict in drawn], judgement, several)] if pairs else []
    return Panel(
        sentences(results),
        [_table(judgement.verdicts, several)],
        charts,
        notes,
        {
            "alpha": 0.05,
            "margin": judgement.margin,
            "pairs": [_statistics(verdict, judgement.margin) for verdict in judgement.verdicts],
            "unsupported": [{"names": each.names, "reason": each.reason} for each in judgement.unsupported],
        },
    )


def _table(verdicts: list[Verdict], several: bool) -> Table:
    columns = [
        *of_kind("text", first="Method", outcome="is", second="than, to or against"),
        *([Column("model", "Model")] if several else []),
        Column("difference", "Accuracy, points", "points"),
        Column("adjusted", "Adjusted interval"),
        Column("p", "Adjusted p", "p"),
        Column("macro_f1", "Macro F1, points", "points"),
        Column("macro_f1_interval", "95% interval"),
        Column("mcnemar", "McNemar's p", "p"),
        *of_kind("text", seeds="Seeds", needed="Needed"),
    ]
    caption = (
        "Every pair of methods, the more accurate first, then each against the baselines: the first minus the other."
    )
    return Table("verdicts", caption, columns, [_row(v) for v in verdicts])


def _row(verdict: Verdict) -> dict[str, Any]:
    need = verdict.needed
    return {
        "first": verdict.first.name,
        "outcome": f"{verdict.outcome}{at(verdict.at_this_budget)}",
        "second": verdict.second.name,
        "model": verdict.model,
        "difference": verdict.accuracy.estimate,
        "adjusted": f.points_range(*verdict.accuracy.interval(verdict.adjusted_level)),
        "p": verdict.adjusted_p,
        "macro_f1": verdict.macro_f1.estimate,
        "macro_f1_interval": f.points_range(*verdict.macro_f1.interval(0.95)),
        "mcnemar": verdict.discordant.p if verdict.discordant else None,
        "mcnemar_reason": "several seeds",
        "seeds": f"{len(verdict.first.runs)} and {len(verdict.second.runs)}",
        "needed": "–" if need is None else _sizes(need),
    }


def _sizes(need: Needed) -> str:
    sizes = [f"{f.rounded_up(need.texts)} texts"] if need.texts is not None else []
    sizes += [f"{need.seeds} seeds"] if need.seeds is not None else []
    return " or ".join(sizes) or f"more than {f.short_count(MOST_TEXTS)} texts or {MOST_SEEDS} seeds"


def _chart(verdicts: Iterable[Verdict], judgement: Judgement, several: bool) -> Chart:
    rows: list[dict[str, Any]] = []
    still = False
    for verdict in verdicts:
        still = still or verdict.at_this_budget
        high, low = verdict.higher
        sign = 1 if verdict.accuracy.estimate >= 0 else -1
        ends = sorted(sign * 100 * end for end in verdict.accuracy.interval(verdict.adjusted_level))
        outcome = "better" if verdict.outcome == "worse" else verdict.outcome
        rows.append(
            {
                "name": f"{high.name} − {low.name}" + (f" ({verdict.model})" if several else ""),
                "series": outcome,
                "said": f"{outcome}{at(verdict.at_this_budget)}",
                "value": chart.short(100 * abs(verdict.accuracy.estimate)),
                "low": chart.short(ends[0]),
                "high": chart.short(ends[1]),
            }
        )
    rows.sort(key=lambda row: -row["value"])
    tooltip = chart.tips(name="pair", said="outcome", value=("points", ".2f"), low=("from", ".2f"), high=("to", ".2f"))
    spec = categories.differences(
        rows,
        x_title="difference in accuracy, points",
        order=[row["name"] for row in rows],
        series=[outcome for outcome in OUTCOMES if any(row["series"] == outcome for row in rows)],
        limit=100 * judgement.margin,
        tooltip=tooltip,
    )
    description = (
        "Points: accuracy differences of pairs of methods; lines: adjusted intervals; dashed: 0 and the margin."
    )
    return Chart("verdicts", f"Differences between methods{at(still, ', some ')}", description, spec)


def _statistics(verdict: Verdict, margin: float) -> dict[str, Any]:
    out: dict[str, Any] = {
        "model": verdict.model,
        "first": verdict.first.name,
        "second": verdict.second.name,
        "first_runs": [run.run_id for run in verdict.first.runs],
        "second_runs": [run.run_id for run in verdict.second.runs],
        "claim": verdict.claim,
        "outcome": verdict.outcome,
        "at_this_budget": verdict.at_this_budget,
        "accuracy": _measure(verdict.accuracy)
        | {
            "adjusted_p": verdict.adjusted_p,
            "adjusted_level": verdict.adjusted_level,
            "adjusted_interval": list(verdict.accuracy.interval(verdict.adjusted_level)),
            "equivalence_p": verdict.accuracy.equivalence_p(margin),
        },
        "macro_f1": _measure(verdict.macro_f1),
        "mcnemar": None,
        "needed": None,
    }
    if verdict.discordant:
        found = verdict.discordant
        out["mcnemar"] = {"only_first_right": found.only_first, "only_second_right": found.only_second, "p": found.p}
    else:
        out["mcnemar_reason"] = "a method has several seeds"
    for name in ("accuracy", "macro_f1"):
        if verdict.bootstrap:
            out[name]["bootstrap_interval"] = list(getattr(verdict.bootstrap, name))
        else:
            out[name] |= {"bootstrap_interval": None, "bootstrap_interval_reason": "a method has several seeds"}
    if verdict.needed:
        out["needed"] = {"texts": verdict.needed.texts, "seeds": verdict.needed.seeds}
        for name in ("texts", "seeds"):
            if out["needed"][name] is None:
                out["needed"][f"{name}_reason"] = "more of these alone would not settle it, or it is not known"
    else:
        out["needed_reason"] = "decided"
    return out


def _measure(difference: Difference) -> dict[str, Any]:
    out: dict[str, Any] = {
        "difference": difference.estimate,
        "standard_error": difference.error,
        "text_variance": difference.text_part,
        "seed_variance": difference.seed_part,
        "degrees_of_freedom": difference.freedom if difference.repeated and difference.seed_part else None,
        "seed_spread_pooled": difference.pooled,
        "p": difference.p,
        "interval_90": list(difference.interval(0.9)),
        "interval_95": list(difference.interval(0.95)),
    }
    if out["degrees_of_freedom"] is None:
        out["degrees_of_freedom_reason"] = "no seed spread: the normal distribution"
    return out
