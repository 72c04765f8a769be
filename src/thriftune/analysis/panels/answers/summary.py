"""Every run of the study in one table, and what to know before comparing them."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, Panel, Table, metric
from thriftune.analysis.findings.deciding import macro_f1_interval, no_macro_f1_interval
from thriftune.analysis.findings.groups import interval
from thriftune.analysis.findings.groups import sentence as counting
from thriftune.analysis.findings.runs import (
    by_model,
    cells,
    comparable,
    difference_sentence,
    held_up,
    is_baseline,
    learned,
    shared_a_device,
    training_seconds,
)
from thriftune.analysis.findings.threats import statistics as of_threats
from thriftune.analysis.findings.threats import threats
from thriftune.analysis.findings.training import losses, others, trained
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "All runs"
QUESTION = "What did each run score and cost?"

COSTS = ("peak_memory_bytes", "seconds", "samples_per_second", "trained_parameters", "stored_bytes")
COLUMNS = [
    Column("run", "Run"),
    metric("accuracy"),
    Column("interval", "95% interval"),
    metric("macro_f1"),
    Column("macro_f1_interval", "95% interval"),
    *map(metric, COSTS),
    Column("remark", "Remark"),
]


def build(results: Results) -> Panel:
    """What threatens the study, how training ended, and all runs."""
    sentences = [*(threat.words for threat in threats(results)), *others(results), *losses(results)]
    caption = "All runs. Best values are marked: scores among all that learned, costs among the fine-tuned."
    rows = [_row(results, run) | macro_f1_interval(results, run) for run in results.runs]
    found = {"threats": of_threats(results)}
    return Panel(sentences, [Table("summary", caption, COLUMNS, rows)], notes=_notes(results), statistics=found)


def _row(results: Results, run: RunRecord) -> dict[str, Any]:
    """One run's line in the compact table; unknown numbers carry their reason."""
    training = trained(results)
    found = training.of(run)
    out: dict[str, Any] = {"run": run.name, "remark": training.remark(run), "unranked": not learned(run)}
    out["still_improving"] = found is not None and found.improving
    if is_baseline(run):
        out["unranked"] = ["peak_memory_bytes", "seconds", "samples_per_second", "stored_bytes"]
    if run.test is not None:
        out |= {"accuracy": run.test.accuracy, "macro_f1": run.test.macro_f1}
        out["interval"] = f.percent_range(*interval(results, run))
    if run.cost is not None:
        out |= {name: getattr(run.cost, name) for name in COSTS if name != "seconds"}
        out |= {f"{name}_reason": reason for name, reason in run.cost.reasons.items()}
        out["seconds"] = training_seconds(run)
    return out


def _notes(results: Results) -> list[str]:
    """What the comparison does not say."""
    found = [dropped] if (dropped := results.study.profile.unusable()) else []
    found += [counted] if (counted := counting(results)) else []
    per_cell = [len(cell.runs) for cell in cells(results.done) if not is_baseline(cell.runs[0])]
    if per_cell and max(per_cell) == 1:
        found.append(
            "Every method ran with one seed: this speaks of these trained models only. "
            "Repeats with other seeds can differ by more than the methods do."
        )
    found += [sentence for say in (held_up, shared_a_device) if (sentence := say(results.runs))]
    groups = by_model(comparable(results))
    if len(groups) > 1 and (sentence := difference_sentence(comparable(results))):
        found.append(f"Across models: {sentence}")
    found.append(
        f"Intervals: Wilson's, at 95%, for one model's accuracy on other texts of the same kind.{_f1_note(results)} "
        "Training time includes running frozen layers once, where their output is kept. Did not learn: predictions "
        "that do not depend on the labels of the test texts (chi-square and agreement, or Fisher's exact test, at 5%)."
    )
    return found


def _f1_note(results: Results) -> str:
    why = no_macro_f1_interval(results)
    return f" Macro F1 has none: {why}." if why else " Macro F1's are of the same kind."
