"""Which differences between methods are more than luck."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.findings.judgement import Judgement, Outcome, Verdict, judge, lost_seeds
from thriftune.analysis.findings.runs import lacks
from thriftune.analysis.findings.training import AT, at, pointer, trained
from thriftune.analysis.statistics.inference import Difference
from thriftune.analysis.statistics.planning import MOST_SEEDS, MOST_TEXTS, Needed
from thriftune.results.store import Results

TITLE = "Verdicts"
QUESTION = "Is one method better than another, are they equivalent, or can this study not tell?"

NAMED = 6
"""Pairs that a sentence names; the table holds all."""
DRAWN = 40
OUTCOMES: tuple[Outcome, ...] = ("better", "worse", "equivalent", "undecided")


def build(results: Results) -> Panel | NotApplicable:
    """Every pair of methods of each model with its outcome, and what supports none."""
    judgement = judge(results)
    if not judgement.verdicts:
        return NotApplicable(" ".join(["There are no two methods to compare.", *_unsupported(results, judgement)]))
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


def sentences(results: Results) -> list[str]:
    """The verdicts in words: for each model what is better, equivalent and undecided; then what supports none."""
    judgement = judge(results)
    models = dict.fromkeys(verdict.model for verdict in judgement.verdicts)
    out = _scope(judgement.verdicts) + _improving(results, judgement.verdicts)
    for model in models:
        own = [verdict for verdict in judgement.verdicts if verdict.model == model]
        where = f"On {model}: " if len(models) > 1 else ""
        pairs = [verdict for verdict in own if not verdict.baseline]
        parts = [*_differences(pairs), *_equivalent(pairs, judgement.margin), *_undecided(pairs)]
        parts += _baselines([verdict for verdict in own if verdict.baseline])
        out += [where + part for part in parts]
    return [*out, *_unsupported(results, judgement)]


def _improving(results: Results, verdicts: list[Verdict]) -> list[str]:
    """Which methods of these verdicts were still improving, and where the command stands that would tell."""
    groups = {cell.name: cell for v in verdicts for cell in (v.first, v.second)}
    names = trained(results).names(groups.values())
    if not names:
        return []
    text = f"Still improving in the last epoch: {f.listing(names, NAMED)}; verdicts that rest on "
    return [f"{text}{'it' if len(names) == 1 else 'them'} hold {AT}.{pointer(results)}"]


def _scope(verdicts: list[Verdict]) -> list[str]:
    pairs = [verdict for verdict in verdicts if not verdict.baseline] or verdicts
    if not pairs:
        return []
    single = [verdict for verdict in pairs if verdict.claim == "trained models"]
    if not single:
        return ["These verdicts are about the methods: other test texts and other seeds are allowed for."]
    if len(single) == len(pairs):
        return [
            "These verdicts are about the models trained here, one seed each, not about the methods: how another "
            "seed would turn out is not known."
        ]
    names = list(dict.fromkeys(c.name for v in single for c in (v.first, v.second) if len(c.runs) == 1))
    return [
        f"These verdicts are about the methods, but for pairs with {f.listing(names)}: one seed, so that they are "
        "about that trained model only."
    ]


def _differences(pairs: list[Verdict]) -> list[str]:
    winners: dict[str, list[Verdict]] = {}
    for verdict in pairs:
        if verdict.outcome in ("better", "worse"):
            winners.setdefault(verdict.higher[0].name, []).append(verdict)
    out = []
    for name, won in list(winners.items())[:NAMED]:
        ranked = sorted(won, key=lambda verdict: -abs(verdict.accuracy.estimate))
        each = [
            f"{v.higher[1].name}{at(v.at_this_budget)} (by {f.points(v.accuracy.estimate)}, "
            f"{_range(v, v.adjusted_level)})"
            for v in ranked
        ]
        out.append(f"{name} is better than {f.listing(each, NAMED)}.")
    if (left := len(winners) - NAMED) > 0:
        verb = "is" if left == 1 else "are"
        out.append(f"{f.plural(left, 'more method')} {verb} better than others: the report's table has every pair.")
    return out


def _equivalent(pairs: list[Verdict], margin: float) -> list[str]:
    found = [verdict for verdict in pairs if verdict.outcome == "equivalent"]
    if not found:
        return []
    each = [
        f"{v.first.name} and {v.second.name}{at(v.at_this_budget)} ({f.apart(v.accuracy.estimate)}, "
        f"90% {_range(v, 0.9)})"
        for v in found
    ]
    return [f"Equivalent within {f.points(margin)}: {f.listing(each, NAMED)}."]


def _undecided(pairs: list[Verdict]) -> list[str]:
    found = [verdict for verdict in pairs if verdict.outcome == "undecided"]
    if not found:
        return []
    each = []
    for v in found:
        high, low = v.higher
        text = f"{high.name} and {low.name}{at(v.at_this_budget)} ({f.apart(v.accuracy.estimate)}, "
        each.append(f"{text}{_range(v, v.adjusted_level)}; {needed_text(v)})")
    return [f"Undecided: {f.listing(each, NAMED)}."]


def needed_text(verdict: Verdict) -> str:
    """What would settle an undecided pair."""
    need = verdict.needed or Needed(None, None)
    ways = []
    if need.texts is not None:
        ways.append(f"about {f.rounded_up(need.texts)} test texts")
    if need.seeds is not None:
        ways.append(f"about {need.seeds} seeds of each")
    if ways:
        return f"{' or '.join(ways)} would settle it"
    if verdict.claim == "methods":
        return "it would take more test texts and more seeds together"
    return f"{f.count(MOST_TEXTS)} test texts would not settle it"


def _range(verdict: Verdict, level: float) -> str:
    low, high = verdict.accuracy.interval(level)
    return f"interval {f.points_range(low, high) if verdict.accuracy.estimate >= 0 else f.points_range(-high, -low)}"


def _baselines(pairs: list[Verdict]) -> list[str]:
    out = []
    for name in dict.fromkeys(verdict.second.name for verdict in pairs):
        own = [verdict for verdict in pairs if verdict.second.name == name]
        by_outcome: dict[Outcome, list[str]] = {}
        for verdict in own:
            text = f"{verdict.first.name}{at(verdict.at_this_budget)} ({f.beside(verdict.accuracy.estimate)})"
            by_outcome.setdefault(verdict.outcome, []).append(text)
        parts = [f"{outcome}: {f.listing(by_outcome[outcome])}" for outcome in OUTCOMES if outcome in by_outcome]
        out.append(f"Against {name}, without {lacks(own[0].second.runs[0])}: {'; '.join(parts)}.")
    return out


def _unsupported(results: Results, judgement: Judgement) -> list[str]:
    out = []
    if judgement.unsupported:
        parts = [f"{f.listing(each.names)} ({each.reason})" for each in judgement.unsupported]
        out.append(f"No verdict rests on {'; '.join(parts)}.")
    lost = [
        f"{spread.cell.runs[0].cell} ({len(gone)} of {len(gone) + spread.accuracy.seeds})"
        for spread in judgement.spreads
        if (gone := lost_seeds(results, spread.cell))
    ]
    if lost:
        out.append(f"Seeds without a usable result are left out, which flatters their method: {f.listing(lost)}.")
    return out


def _table(verdicts: list[Verdict], several: bool) -> Table:
    columns = [
        Column("first", "Method"),
        Column("outcome", "is"),
        Column("second", "than, to or against"),
        *([Column("model", "Model")] if several else []),
        Column("difference", "Accuracy, points", "points"),
        Column("adjusted", "Adjusted interval"),
        Column("p", "Adjusted p", "p"),
        Column("macro_f1", "Macro F1, points", "points"),
        Column("macro_f1_interval", "95% interval"),
        Column("mcnemar", "McNemar's p", "p"),
        Column("seeds", "Seeds"),
        Column("needed", "Needed"),
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
    tooltip = [
        chart.tip("name", "pair"),
        chart.tip("said", "outcome"),
        chart.tip("value", "points", ".2f"),
        chart.tip("low", "from", ".2f"),
        chart.tip("high", "to", ".2f"),
    ]
    spec = chart.intervals(
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
