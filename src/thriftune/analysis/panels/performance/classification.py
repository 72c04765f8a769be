"""Test scores of every run, by class and as confusion matrices."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings import classes
from thriftune.analysis.findings.deciding import macro_f1_interval, no_macro_f1_interval
from thriftune.analysis.findings.runs import (
    comparable,
    correct,
    difference_sentence,
    errors,
    interval,
    is_baseline,
    learned,
)
from thriftune.analysis.findings.training import Found, trained
from thriftune.results.record import RunRecord
from thriftune.results.scores import Scores
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
CLASS_COLUMNS = [
    Column("label", "Class"),
    *of_kind("percent", precision="Precision", recall="Recall", f1="F1"),
    Column("support", "Texts", "int"),
]


def build(results: Results) -> Panel | NotApplicable:
    """Scores with intervals, scores by class, and confusion matrices."""
    if not results.done:
        return NotApplicable("No run has test scores.")
    training = trained(results)
    rows = [_row(run, training) | macro_f1_interval(results, run) for run in results.runs]
    tables = [Table("results", "Scores on the test texts.", COLUMNS, rows)]
    scored = [(i, run, run.test) for i, run in enumerate(results.done) if run.test is not None]
    listed = classes.fitting(classes.LISTED, len(scored))
    tables += [_classes(i, run, test, listed) for i, run, test in scored]
    charts = [_f1(results)]
    drawn = classes.confusable(len(scored))
    charts += [_confusion(i, run, test, results.labels, classes.most_confused(run, drawn)) for i, run, test in scored]
    few = no_macro_f1_interval(results)
    notes = [
        "Intervals are Wilson's (1927), for the accuracy on other texts of the same kind, and normal on the logit for "
        "macro F1. They do not cover another seed's training.",
        "Loss is the mean cross-entropy in nats: 0 is certain and right. Macro F1 is the mean of the classes' F1, so "
        "that every class counts alike." + (f" It has no interval: {few}." if few else ""),
    ]
    if sentence := difference_sentence(comparable(results)):
        notes.insert(0, sentence)
    return Panel(_sentences(results), tables, charts, notes)


def _row(run: RunRecord, training: Found) -> dict[str, Any]:
    out: dict[str, Any] = {"run": run.name, "remark": training.remark(run), "unranked": not learned(run)}
    if run.test is None:
        return out
    out |= {"accuracy": run.test.accuracy, "macro_f1": run.test.macro_f1, "loss": run.test.loss}
    out |= {"loss_reason": "the method gives no probabilities", "errors": errors(run.test)}
    out["interval"] = f.percent_range(*interval(run.test))
    if run.validation is not None:
        out["validation"] = run.validation.accuracy
    return out


def _classes(index: int, run: RunRecord, test: Scores, most: int) -> Table:
    labels = classes.run_hardest(test, most)
    rows = [{"label": label} | vars(test.per_class[label]) for label in labels]
    left = len(test.per_class) - len(labels)
    caption = f"{run.name}, by class"
    if left:
        caption += f": the {len(labels)} with the lowest F1; {f.count(left)} others are in results.json"
    return Table(f"classes-{f.slug(index, run.name)}", caption, CLASS_COLUMNS, rows, small=True)


def _f1(results: Results) -> Chart:
    runs = [run.name for run in results.done]
    labels = classes.hardest(results, classes.fitting(classes.DRAWN, len(runs)))
    rows = [
        {"name": label, "series": run.name, "value": chart.short(scores.f1), "support": scores.support}
        for run in results.done
        if run.test is not None
        for label, scores in ((label, run.test.per_class[label]) for label in labels)
    ]
    tooltip = chart.tips(series="run", name="class", value=("F1", ".1%"), support=("texts", ","))
    spec = categories.dots(rows, x_title="F1", order=labels, series=runs, tooltip=tooltip, axis=chart.PERCENT_AXIS)
    description = "Points: the F1 of each run on each class."
    if left := len(results.labels) - len(labels):
        description = (
            f"Points: the F1 of each run on the {len(labels)} classes with the lowest mean F1; "
            f"{f.count(left)} others are left out."
        )
    return Chart("f1-by-class", "F1 by class", description, spec)


def _confusion(index: int, run: RunRecord, test: Scores, labels: list[str], shown: list[int]) -> Chart:
    rows = []
    for i in shown:
        counts = test.confusion[i]
        total = max(1, sum(counts))
        rows += [
            {"true": labels[i], "predicted": labels[j], "count": counts[j], "share": chart.short(counts[j] / total)}
            for j in shown
        ]
    tooltip = chart.tips(true="true", predicted="predicted", count=("texts", ","), share=("of the true label", ".1%"))
    description = (
        f"Confusion matrix of {run.name}: {f.count(correct(test))} of {f.count(test.texts)} on the diagonal. "
        "Colour: the share of the true label."
    )
    if len(shown) < len(labels):
        inside = sum(test.confusion[i][j] for i in shown for j in shown if i != j)
        description += (
            f" Of {f.count(len(labels))} classes, the {len(shown)} in the most frequent confusions are shown, with "
            f"{f.count(inside)} of the {f.plural(errors(test), 'error')}."
        )
    spec = categories.heatmap(rows, labels=[labels[i] for i in shown], tooltip=tooltip)
    return Chart(f"confusion-{f.slug(index, run.name)}", run.name, description, spec, small=True)


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
