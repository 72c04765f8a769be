"""Test scores of every method, by class and as confusion matrices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, there
from thriftune.analysis.findings import classes
from thriftune.analysis.findings.deciding import macro_f1_interval, no_macro_f1_interval
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.groups import cell_interval, interval
from thriftune.analysis.findings.runs import (
    Cell,
    cells,
    comparable,
    difference_sentence,
    errors,
    is_baseline,
    learned,
)
from thriftune.analysis.findings.training import trained
from thriftune.analysis.findings.views.classes import confusion, error_rates, scores_table, tests
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Classification"
QUESTION = "How well does each method classify the test texts, and each class?"

COLUMNS = [
    Column("run", "Run"),
    Column("accuracy", "Accuracy", "percent", higher_is_better=True),
    Column("interval", "95% interval"),
    Column("macro_f1", "Macro F1", "percent", higher_is_better=True),
    Column("macro_f1_interval", "95% interval"),
    Column("loss", "Loss", "number", higher_is_better=False),
    Column("errors", "Errors", "int", higher_is_better=False),
    Column("validation", "Validation accuracy", "percent", higher_is_better=True),
    Column("remark", "Remark"),
]
SPREADS = {"accuracy": ("Over seeds", f.percent_range)}
DRAWN = 12
"""Methods with a table of classes and a confusion matrix each: those that scored highest."""


def build(results: Results) -> Panel | NotApplicable:
    """Error rates by class and method, scores with intervals, scores by class, and confusion matrices."""
    if not results.done:
        return NotApplicable("No run has test scores.")
    rows = [_row(results, run) | macro_f1_interval(results, run) for run in results.runs]
    of_runs = Table("results", "Scores on the test texts.", COLUMNS, rows)
    tables = [by_method(of_runs, results.runs, SPREADS, lambda cell: _interval(results, cell))]
    if len(tables[0].rows) < len(of_runs.rows):
        tables.append(replace(of_runs, name="runs", caption="Every run."))
    methods = [each.cell for each in decide(results).standings] or cells(results.done)
    shown = [cell for cell in methods if tests(cell)][:DRAWN]
    listed = classes.fitting(classes.LISTED, len(shown))
    tables += [scores_table(i, cell, listed) for i, cell in enumerate(shown)]
    drawn = classes.confusable(len(shown))
    learnt = [each.cell for each in decide(results).standings if each.place != "not learned"]
    charts = there([error_rates(results, learnt or methods)])
    charts += [confusion(i, cell, results.labels, drawn) for i, cell in enumerate(shown)]
    return Panel(_sentences(results), tables, charts, _notes(results, len(methods) - len(shown)), open_charts=1)


def _notes(results: Results, left: int) -> list[str]:
    few = no_macro_f1_interval(results)
    notes = [
        "Intervals are Wilson's (1927), for the accuracy on other texts of the same kind; of several seeds from the "
        "lowest to the highest end. They do not cover another seed's training. Macro F1's are normal on the logit, "
        "over texts and seeds.",
        "Loss is the mean cross-entropy in nats: 0 is certain and right. Macro F1 is the mean of the classes' F1, so "
        "that every class counts alike." + (f" It has no interval: {few}." if few else ""),
    ]
    if left > 0:
        notes.append(f"Tables and matrices of classes: the {DRAWN} methods that scored highest, of {DRAWN + left}.")
    if sentence := difference_sentence(comparable(results)):
        notes.insert(0, sentence)
    return notes


def _interval(results: Results, cell: Cell) -> dict[str, Any]:
    if not any(run.test for run in cell.runs):
        return {}
    return {"interval": f.percent_range(*cell_interval(results, cell))} | macro_f1_interval(results, *cell.runs)


def _row(results: Results, run: RunRecord) -> dict[str, Any]:
    out: dict[str, Any] = {"run": run.name, "remark": trained(results).remark(run), "unranked": not learned(run)}
    if run.test is None:
        return out
    out |= {"accuracy": run.test.accuracy, "macro_f1": run.test.macro_f1, "loss": run.test.loss}
    out |= {"loss_reason": "the method gives no probabilities", "errors": errors(run.test)}
    out["interval"] = f.percent_range(*interval(results, run))
    if run.validation is not None:
        out["validation"] = run.validation.accuracy
    return out


def _sentences(results: Results) -> list[str]:
    runs = [run for run in results.done if learned(run) and not is_baseline(run) and run.test]
    if not runs:
        return ["No fine-tuned run learned."]
    scores = [(run.test.accuracy, run.test.macro_f1) for run in runs if run.test]
    accuracy, macro_f1 = (f.percent_range(min(each), max(each)) for each in zip(*scores, strict=True))
    who = runs[0].name if len(runs) == 1 else f"The {len(runs)} fine-tuned runs that learned"
    verb = "has" if len(runs) == 1 else "have"
    return [f"{who} {verb} an accuracy of {accuracy} and a macro F1 of {macro_f1}.", *_best_and_worst(results, runs)]


def _best_and_worst(results: Results, runs: list[RunRecord]) -> list[str]:
    if len(results.labels) < 2:
        return []
    means = {
        label: sum(run.test.per_class[label].f1 for run in runs if run.test) / len(runs) for label in results.labels
    }
    ranked = sorted(results.labels, key=lambda label: means[label])
    low, high = ranked[0], ranked[-1]
    mean = "F1" if len(runs) == 1 else "mean F1"
    return [
        f"The easiest class is {high} ({mean} {f.percent(means[high])}), the hardest {low} ({f.percent(means[low])})."
    ]
