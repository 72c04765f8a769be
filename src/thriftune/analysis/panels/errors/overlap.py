"""Whether methods err on other texts than each other, beside what seeds alone do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.errors.overlap import KINDS, Kind, Overlap, overlap, sentences
from thriftune.analysis.findings.runs import errors
from thriftune.results.store import Results

TITLE = "Overlap of errors"
QUESTION = "Do methods err on different texts, more than repeats of one method do?"

SHARES = ("both_right", "only_first", "only_second", "same_wrong", "other_wrong")
LISTED = 200
"""Pairs of runs that the table lists; results.json holds all."""


def build(results: Results) -> Panel | NotApplicable:
    """Shares of texts for every pair of runs, averages by what the pair differs in, and what follows."""
    found = overlap(results)
    if found is None:
        return NotApplicable("Fewer than two fine-tuned runs learned.")
    if all(run.test is None or not errors(run.test) for run in found.runs):
        return NotApplicable("No run that learned made an error.")
    kinds = [kind for kind in KINDS if found.pairs(kind)]
    tables = [_summary(found, kinds), _table(found)]
    notes = [
        "Kappa (Cohen, 1960): agreement of two runs on which texts are wrong, beyond chance; 1 is the same texts, "
        "0 no more than two unrelated runs of these accuracies would share. Disagree: exactly one of the two is right.",
        "Two methods of different accuracy must err on different texts to some degree; that is part of the difference.",
    ]
    if len(found.kinds) > LISTED:
        notes.append(f"The first {LISTED} of {len(found.kinds):,} pairs of runs are listed; results.json holds all.")
    return Panel(sentences(results), tables, [_chart(found, kinds)], notes, _statistics(found))


def _summary(found: Overlap, kinds: Sequence[Kind]) -> Table:
    columns = [
        Column("kind", "Two runs of"),
        Column("pairs", "Pairs", "int"),
        *of_kind("number", kappa="Mean kappa", lowest="Lowest", highest="Highest"),
        *of_kind("percent", disagree="Disagree", both_right="Both right", same_wrong="Both wrong, same label"),
        Column("other_wrong", "Both wrong, other labels", "percent"),
    ]
    rows = []
    for kind in kinds:
        pairs = [_row(found, pair) for pair in found.pairs(kind)]
        kappas = [pair["kappa"] for pair in pairs if pair["kappa"] is not None]
        row: dict[str, Any] = {"kind": KINDS[kind], "pairs": len(pairs), "kappa": found.kappa(kind)}
        row |= {"lowest": min(kappas, default=None), "highest": max(kappas, default=None)}
        shares = ("disagree", "both_right", "same_wrong", "other_wrong")
        rows.append(row | {name: float(np.mean([pair[name] for pair in pairs])) for name in shares})
    return Table("overlap", "Averages over pairs of runs, by what the two differ in.", columns, rows)


def _row(found: Overlap, pair: tuple[int, int]) -> dict[str, Any]:
    counts = {name: int(getattr(found.agreement, name)[pair]) for name in SHARES}
    texts = max(1, sum(counts.values()))
    return {
        "first": found.runs[pair[0]].name,
        "second": found.runs[pair[1]].name,
        "kind": KINDS[found.kinds[pair]],
        "kappa": found.agreement.kappa(*pair),
        "kappa_reason": "a run has no error",
        "disagree": (counts["only_first"] + counts["only_second"]) / texts,
    } | {name: n / texts for name, n in counts.items()}


def _table(found: Overlap) -> Table:
    columns = [
        *of_kind("text", first="First run", second="Second run", kind="Differ in"),
        Column("kappa", "Kappa", "number"),
        *of_kind("percent", both_right="Both right", only_first="Only first right", only_second="Only second right"),
        *of_kind("percent", same_wrong="Both wrong, same label", other_wrong="Both wrong, other labels"),
    ]
    rows = [_row(found, pair) for pair in list(found.kinds)[:LISTED]]
    return Table("overlap-pairs", "Every pair of runs, as shares of the test texts.", columns, rows)


def _chart(found: Overlap, kinds: Sequence[Kind]) -> Chart:
    rows = []
    for kind in kinds:
        for pair in found.pairs(kind)[:LISTED]:
            row = _row(found, pair)
            if row["kappa"] is not None:
                rows.append(
                    {"name": row["kind"], "series": row["kind"], "value": chart.short(row["kappa"])}
                    | {"first": row["first"], "second": row["second"]}
                )
    tooltip = chart.tips(first="first run", second="second run", value=("kappa", ".3f"))
    order = [KINDS[kind] for kind in kinds]
    spec = categories.dots(rows, x_title="kappa of the errors", order=order, series=order, tooltip=tooltip)
    spec["encoding"]["color"]["legend"] = None  # the axis names them
    spec["encoding"]["shape"]["legend"] = None
    description = "Points: agreement of two runs on which texts are wrong, by what the two differ in."
    return Chart("overlap", "Agreement on errors", description, spec)


def _statistics(found: Overlap) -> dict[str, Any]:
    pairs = []
    for pair, kind in found.kinds.items():
        counts = {name: int(getattr(found.agreement, name)[pair]) for name in SHARES}
        kappa = found.agreement.kappa(*pair)
        one: dict[str, Any] = {"first": found.runs[pair[0]].run_id, "second": found.runs[pair[1]].run_id}
        one |= {"differ_in": kind} | counts | {"kappa": kappa}
        pairs.append(one | ({"kappa_reason": "undefined: one of them made no error"} if kappa is None else {}))
    kinds = {
        kind: {"pairs": len(found.pairs(kind)), "disagreement": found.disagreement(kind), "kappa": found.kappa(kind)}
        for kind in KINDS
        if found.pairs(kind)
    }
    out: dict[str, Any] = {"pairs": pairs, "kinds": kinds}
    for name, excess in (("methods_beyond_seeds", found.methods), ("models_beyond_methods", found.models)):
        if excess is None:
            out |= {name: None, f"{name}_reason": "it takes two methods (and models) with two seeds each"}
        else:
            out[name] = {
                "excess_disagreement": excess.estimate,
                "standard_error": excess.error,
                "interval_90": list(excess.interval(0.9)),
                "interval_95": list(excess.interval(0.95)),
            }
    return out
