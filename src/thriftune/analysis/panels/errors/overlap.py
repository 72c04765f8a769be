"""Whether methods err on other texts than each other, beside what seeds alone do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display import chart
from thriftune.analysis.display.matrices import matrix
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind, there
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.errors.overlap import KINDS, Kind, Overlap, overlap, sentences
from thriftune.analysis.findings.runs import errors
from thriftune.results.store import Results

TITLE = "Overlap of errors"
QUESTION = "Do methods err on different texts, more than repeats of one method do?"

SHARES = ("both_right", "only_first", "only_second", "same_wrong", "other_wrong")
METHODS = 16
"""Of the matrix: those that scored highest."""
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
    charts = there([_chart(results, found)])
    return Panel(sentences(results), tables, charts, notes, _statistics(found), open_charts=1)


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


def _chart(results: Results, found: Overlap) -> Chart | None:
    """The mean disagreement of every two methods, and of one method's seeds on the diagonal."""
    places = {run.run_id: i for i, run in enumerate(found.runs)}
    ranked = [each.cell for each in decide(results).standings]
    methods = {cell.name: [places[run.run_id] for run in cell.runs if run.run_id in places] for cell in ranked}
    names = [name for name, runs in methods.items() if runs][:METHODS]
    shares = found.agreement.disagreement
    rows = []
    for name, other in product(names, names):
        pairs = [(a, b) for a in methods[name] for b in methods[other] if a != b]
        if not pairs:
            continue
        share = float(np.mean([shares[pair] for pair in pairs]))
        what = "two seeds of it" if name == other else "a run of each"
        rows.append(
            {"name": name, "column": other, "share": chart.short(share), "text": f.percent(share, 0), "pair": what}
        )
    if len(names) < 2:
        return None
    tooltip = chart.tips(name="method", column="and", share=("only one of the two is right", ".1%"), pair="of")
    spec = matrix(rows, down=names, across=names, tooltip=tooltip)
    description = (
        "Matrix: the share of test texts that exactly one of two methods got right, the best method first; on the "
        "diagonal two seeds of one method, where there are several. The stronger the colour, the more."
    )
    if left := sum(bool(runs) for runs in methods.values()) - len(names):
        description += f" {left} methods that scored lower are left out."
    return Chart("overlap", "Disagreement of methods", description, spec)


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
