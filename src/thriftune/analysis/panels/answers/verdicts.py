"""Which differences between methods are more than luck."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.answers import best_set
from thriftune.analysis.findings.answers.verdicts import sentences, unsupported
from thriftune.analysis.findings.decision import Decision, decide
from thriftune.analysis.findings.judgement import ALPHA, Judgement, judge, told_apart
from thriftune.analysis.findings.lost import collapses
from thriftune.analysis.findings.training import at
from thriftune.analysis.findings.tried import tried
from thriftune.analysis.findings.verdict import Verdict
from thriftune.analysis.statistics.detectable import POWER
from thriftune.analysis.statistics.inference import Difference
from thriftune.metrics import METRICS
from thriftune.results.store import Results

TITLE = "Verdicts"
QUESTION = "Which method could be the best, and is one better than another, equivalent, or not told apart?"

DRAWN = 40
SAID = (
    "better",
    "equivalent",
    "scored higher in this run",
    "scored alike in this run",
    "undecided",
)
"""What a pair of methods can be, seen from that with the higher score."""
SEVERAL_SEEDS = "a method has several seeds"


def build(results: Results) -> Panel | NotApplicable:
    """Which could be the best, every pair of methods of each model with its outcome, and what supports none."""
    judgement = judge(results)
    if not judgement.verdicts:
        return NotApplicable(" ".join(["There are no two methods to compare.", *unsupported(results, judgement)]))
    several = len({verdict.model for verdict in judgement.verdicts}) > 1
    pairs = [verdict for verdict in judgement.verdicts if not verdict.baseline]
    decision = decide(results)
    drawn = sorted(pairs, key=lambda verdict: -abs(verdict.score.estimate))[:DRAWN]
    charts = [_chart([verdict for verdict in pairs if verdict in drawn], judgement, several)] if pairs else []
    return Panel(
        sentences(results),
        [_table(judgement, several), *_best_set(decision)],
        charts,
        _notes(results, judgement),
        {
            "alpha": ALPHA,
            "margin": judgement.margin,
            "decided_by": judgement.deciding.metric,
            "best_set": [_standing(decision, i) for i in range(len(decision.standings))],
            "told_apart": [
                {
                    "model": each.model,
                    "against": "baselines" if each.baselines else "methods",
                    "difference": each.size,
                    "level": each.level,
                    "power": POWER,
                    "pairs": each.pairs,
                }
                for each in told_apart(results)
            ],
            "pairs": [_statistics(verdict, judgement) for verdict in judgement.verdicts],
            "unsupported": [{"names": each.names, "reason": each.reason} for each in judgement.unsupported],
        },
    )


def _notes(results: Results, judgement: Judgement) -> list[str]:
    name = judgement.deciding.name
    notes = [
        f"{name[0].upper()}{name[1:]} decides. Equivalent: the 90% interval lies within the margin. Better or worse: "
        "the interval adjusted for the number of pairs (Holm) excludes 0. Else undecided: the two differ by at most "
        "the further end of that interval.",
        "Could be the best: no other is shown to be better, with 95% for all of them at once (multiple comparisons "
        "with the best), baselines and every model included.",
    ]
    if apart := told_apart(results):
        sizes = sorted({f.points(each.size) for each in apart})
        notes.append(
            f"A true difference from about {f.listing(sizes)} on is found with a chance of {f.percent(POWER, 0)} "
            f"({'by model; ' if len(sizes) > 1 else ''}at the adjusted level, for a pair with the median error)."
        )
    if any(not verdict.score.repeated for verdict in judgement.verdicts):
        notes.append(
            "With one seed no method is called better: two equal methods whose seeds spread by half a point would "
            "seem different in 8% of studies of 1,000 texts and in 40% of 10,000."
        )
    if any(verdict.claim == "methods" for verdict in judgement.verdicts):
        notes.append(
            "With repeats the intervals cover other texts and other seeds, the latter with few degrees of freedom "
            "(Student's t); methods whose seeds spread alike share one estimate of that spread."
        )
    seeds = [each.seeds for each in collapses(results) if not each.failures]
    if seeds:
        most = max(each.at_most for each in collapses(results) if each.seeds == min(seeds) and not each.failures)
        notes.append(
            f"No failure in {f.plural(min(seeds), 'seed')} rules out only failure rates above {f.percent(most, 0)}."
        )
    if any(verdict.unequal for verdict in judgement.verdicts):
        notes.append(
            "Tried: learning rates, or settings of the study's search. What was tried more often is flattered."
        )
    if judgement.no_f1_interval:
        notes.append(f"Macro F1 has no interval: {judgement.no_f1_interval}.")
    return notes


def _best_set(decision: Decision) -> list[Table]:
    """One row for each model and method."""
    if not decision.standings:
        return []
    name = decision.deciding.name
    columns = [
        *of_kind("text", model="Model", method="Method"),
        Column("score", f"{name[0].upper()}{name[1:]}", "percent"),
        Column("could", "Could be the best"),
        Column("below", "Below it at most, points", "points"),
    ]
    caption = "Which model and method could be the best, and how far each lies below it at most: 95% for all at once."
    return [Table("best-set", caption, columns, best_set.rows(decision))]


def _standing(decision: Decision, index: int) -> dict[str, Any]:
    each = decision.standings[index]
    out: dict[str, Any] = {
        "name": each.name,
        "model": each.cell.runs[0].model,
        "runs": [run.run_id for run in each.cell.runs],
        "score": each.score.value,
        "could_be_best": each.could_be_best,
        "below_best_at_most": each.at_most if each.below or each.place == "highest" else None,
        "seeds_lost": each.lost,
    }
    if out["model"] is None:
        out["model_reason"] = "it has no pretrained model"
    if out["below_best_at_most"] is None:
        few = decision.deciding.no_interval
        out["below_best_at_most_reason"] = "it did not learn" if each.place == "not learned" else few or "not compared"
    return out


def _table(judgement: Judgement, several: bool) -> Table:
    verdicts = judgement.verdicts
    name = judgement.deciding.name
    other = "accuracy" if judgement.deciding.metric == "macro_f1" else "macro_f1"
    label = METRICS[other].label
    columns = [
        *of_kind("text", first="Method", outcome="is", second="than, to or against"),
        *([Column("model", "Model")] if several else []),
        Column("difference", f"{name[0].upper()}{name[1:]}, points", "points"),
        Column("adjusted", "Adjusted interval"),
        Column("p", "Adjusted p", "p"),
        Column("at_most", "Differ by at most", "points"),
        Column("other", f"{label}, points", "points"),
        Column("other_interval", "95% interval"),
        Column("mcnemar", "McNemar's p", "p"),
        Column("seeds", "Seeds"),
        *([Column("tried", "Tried")] if any(verdict.unequal for verdict in verdicts) else []),
    ]
    caption = (
        "Every pair of methods, the better scored first, then each against the baselines: the first minus the other."
    )
    return Table("verdicts", caption, columns, [_row(v, judgement) for v in verdicts])


def _row(verdict: Verdict, judgement: Judgement) -> dict[str, Any]:
    by_f1 = judgement.deciding.metric == "macro_f1"
    other = verdict.accuracy if by_f1 else verdict.macro_f1
    known = by_f1 or judgement.no_f1_interval is None
    decided = judgement.deciding.no_interval is None
    return {
        "first": verdict.first.name,
        "outcome": f"{said(verdict)}{at(verdict.at_this_budget)}",
        "second": verdict.second.name,
        "model": verdict.model,
        "difference": verdict.score.estimate,
        "adjusted": f.points_range(*verdict.score.interval(verdict.adjusted_level)) if decided else "–",
        "p": verdict.adjusted_p if decided else None,
        "p_reason": judgement.deciding.no_interval,
        "at_most": verdict.at_most if decided else None,
        "at_most_reason": judgement.deciding.no_interval,
        "other": other.estimate,
        "other_interval": f.points_range(*other.interval(0.95)) if known else "–",
        "mcnemar": verdict.discordant.p if verdict.discordant else None,
        "mcnemar_reason": "several seeds",
        "seeds": f"{len(verdict.first.runs)} and {len(verdict.second.runs)}",
        "tried": verdict.unequal.split(": ")[1] if verdict.unequal else "–",
    }


def said(verdict: Verdict) -> str:
    """What the first is against the second; a method that lost a seed is not called better without that."""
    lost = {"better": verdict.lost[0], "worse": verdict.lost[1]}.get(verdict.outcome, 0)
    if not lost:
        return verdict.said
    cell = verdict.first if verdict.outcome == "better" else verdict.second
    return f"{verdict.said} ({lost} of {f.plural(lost + len(cell.runs), 'seed')} of {cell.runs[0].cell} lost)"


def _chart(verdicts: Iterable[Verdict], judgement: Judgement, several: bool) -> Chart:
    rows: list[dict[str, Any]] = []
    still = False
    for verdict in verdicts:
        still = still or verdict.at_this_budget
        high, low = verdict.higher
        sign = 1 if verdict.score.estimate >= 0 else -1
        ends = sorted(sign * 100 * end for end in verdict.score.interval(verdict.adjusted_level))
        outcome = verdict.said_of(high.name)
        rows.append(
            {
                "name": f"{high.name} − {low.name}" + (f" ({verdict.model})" if several else ""),
                "series": outcome,
                "said": f"{outcome}{at(verdict.at_this_budget)}",
                "value": chart.short(100 * abs(verdict.score.estimate)),
                "low": chart.short(ends[0]),
                "high": chart.short(ends[1]),
            }
        )
    rows.sort(key=lambda row: -row["value"])
    tooltip = chart.tips(name="pair", said="outcome", value=("points", ".2f"), low=("from", ".2f"), high=("to", ".2f"))
    spec = categories.differences(
        rows,
        x_title=f"difference in {judgement.deciding.name}, points",
        order=[row["name"] for row in rows],
        series=[outcome for outcome in SAID if any(row["series"] == outcome for row in rows)],
        limit=100 * judgement.margin,
        tooltip=tooltip,
    )
    description = "Points: differences between pairs of methods; lines: adjusted intervals; dashed: 0 and the margin."
    return Chart("verdicts", f"Differences between methods{at(still, ', some ')}", description, spec)


def _statistics(verdict: Verdict, judgement: Judgement) -> dict[str, Any]:
    decided = {
        "adjusted_p": verdict.adjusted_p,
        "adjusted_level": verdict.adjusted_level,
        "adjusted_interval": list(verdict.score.interval(verdict.adjusted_level)),
        "equivalence_p": verdict.score.equivalence_p(judgement.margin),
    }
    if judgement.deciding.no_interval:
        decided = dict.fromkeys(decided) | {f"{name}_reason": judgement.deciding.no_interval for name in decided}
    out: dict[str, Any] = {
        "model": verdict.model,
        "first": verdict.first.name,
        "second": verdict.second.name,
        "first_runs": [run.run_id for run in verdict.first.runs],
        "second_runs": [run.run_id for run in verdict.second.runs],
        "claim": verdict.claim,
        "outcome": verdict.outcome,
        "said": verdict.said,
        "at_this_budget": verdict.at_this_budget,
        "seeds_lost": list(verdict.lost),
        "tried": [tried(verdict.first), tried(verdict.second)],
        "differ_by_at_most": verdict.at_most if judgement.deciding.no_interval is None else None,
        "accuracy": _measure(verdict.accuracy),
        "macro_f1": _measure(verdict.macro_f1, judgement.no_f1_interval),
    }
    if judgement.deciding.metric not in out:
        out[judgement.deciding.metric] = _measure(verdict.score, judgement.deciding.no_interval)
    out[judgement.deciding.metric] |= decided
    if judgement.deciding.no_interval:
        out["differ_by_at_most_reason"] = judgement.deciding.no_interval
    if verdict.discordant:
        found = verdict.discordant
        out["mcnemar"] = {"only_first_right": found.only_first, "only_second_right": found.only_second, "p": found.p}
    else:
        out |= {"mcnemar": None, "mcnemar_reason": SEVERAL_SEEDS}
    for name, why in (("accuracy", None), ("macro_f1", judgement.no_f1_interval)):
        reason = why or (None if verdict.bootstrap else SEVERAL_SEEDS)
        if reason or not verdict.bootstrap:
            out[name] |= {"bootstrap_interval": None, "bootstrap_interval_reason": reason}
        else:
            out[name]["bootstrap_interval"] = list(getattr(verdict.bootstrap, name))
    return out


def _measure(difference: Difference, no_interval: str | None = None) -> dict[str, Any]:
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
    if no_interval:
        for name in ("p", "interval_90", "interval_95"):
            out |= {name: None, f"{name}_reason": no_interval}
    return out
