"""Published numbers beside those measured here."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.groups import cell_interval
from thriftune.analysis.findings.published_costs import (
    Matches,
    Published,
    cost_ratios,
    measured,
    ratio_sentences,
    ratio_table,
)
from thriftune.analysis.findings.runs import Cell
from thriftune.analysis.statistics.basics import above_share
from thriftune.analysis.statistics.dependence import LEVEL
from thriftune.metrics import Kind
from thriftune.results.store import Results

TITLE = "Published and measured"
QUESTION = "Do the measurements agree with the published ones?"

WORDS = ("device", "note")
QUANTITIES: dict[str, tuple[str, Kind]] = {
    "accuracy": ("Accuracy", "percent"),
    "macro_f1": ("Macro F1", "percent"),
    "loss": ("Test loss", "number"),
    "errors": ("Errors", "int"),
    "peak_memory_bytes": ("Peak memory", "bytes"),
    "train_seconds": ("Training time", "seconds"),
    "samples_per_second": ("Samples per second", "number"),
    "trained_parameters": ("Trained parameters", "int"),
    "stored_bytes": ("Stored weights", "bytes"),
}


def build(results: Results) -> Panel | NotApplicable:
    """One table for each published quantity, one of F1 by class, and one of what LoRA costs over its peers."""
    published = results.study.published
    if not published:
        return NotApplicable("The study file holds no published numbers.")
    matches = {name: [run for run in results.runs if name in (run.name, run.cell)] for name in published}
    ratios = cost_ratios(results, published, matches)
    tables = []
    for key, (label, kind) in QUANTITIES.items():
        rows = [
            _row(name, published[name][key], measured(runs, key), kind)
            for name, runs in matches.items()
            if published[name].get(key) is not None
        ]
        if rows:
            tables.append(Table(f"published-{key.replace('_', '-')}", label, _columns(kind), rows, small=True))
    if rows := _class_rows(published, matches):
        columns = [*of_kind("text", run="Run", label="Class"), *_columns("percent")[1:]]
        tables.append(Table("published-f1", "F1 by class", columns, rows))
    if ratios:
        tables.insert(0, ratio_table(ratios))
    sentences = [*_accuracy_sentences(results, published, matches), *_chance_sentences(results, published)]
    sentences += ratio_sentences(ratios)
    statistics = {
        "ratios": [_explained(vars(ratio)) for ratio in ratios],
        "entries": _entries(results, published, matches),
    }
    return Panel(sentences, tables, notes=_notes(published, matches), statistics=statistics)


def _explained(ratio: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a ratio, with the reason beside each that is not known."""
    missing = {f"{key}_reason": "not published or not measured" for key, value in ratio.items() if value is None}
    return ratio | missing


def _notes(published: Published, matches: Matches) -> list[str]:
    notes = [
        "A ratio is measured over published. Costs measured on another machine are not expected to agree; what one "
        "method costs over another travels better, and needs no learning."
    ]
    if devices := dict.fromkeys(str(numbers["device"]) for numbers in published.values() if numbers.get("device")):
        notes.append(f"Published costs were measured on {f.listing(list(devices))}.")
    if lost := [name for name, runs in matches.items() if not runs]:
        notes.append(f"Published, but no run of this study has the name: {f.listing(lost)}.")
    unread = {key for numbers in published.values() for key in numbers} - {*QUANTITIES, "per_class", *WORDS}
    if unread:
        notes.append(f"Published, but not shown here: {f.listing(sorted(unread))}.")
    notes += [f"{name}: {numbers['note']}." for name, numbers in published.items() if numbers.get("note")]
    return notes


def _columns(kind: Kind) -> list[Column]:
    last = Column("difference", "Points" if kind == "percent" else "Difference", _difference_kind(kind))
    if kind in ("bytes", "seconds"):
        last = Column("ratio", "Ratio", "ratio")
    return [Column("run", "Run"), Column("published", "Published", kind), Column("measured", "Measured", kind), last]


def _difference_kind(kind: Kind) -> Kind:
    return "number" if kind == "percent" else kind


def _row(name: str, published: float, measured: float | None, kind: Kind) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "published": published, "measured": measured}
    if measured is not None:
        row["difference"] = (measured - published) * (100 if kind == "percent" else 1)
        row["ratio"] = measured / published if published else None
    return row


def _class_rows(published: Published, matches: Matches) -> list[dict[str, Any]]:
    rows = []
    for name, numbers in published.items():
        for label, scores in (numbers.get("per_class") or {}).items():
            if scores.get("f1") is not None:
                values = [
                    run.test.per_class[label].f1 for run in matches[name] if run.test and label in run.test.per_class
                ]
                mean = sum(values) / len(values) if values else None
                rows.append(_row(name, scores["f1"], mean, "percent") | {"label": label})
    return rows


def _entries(results: Results, published: Published, matches: Matches) -> list[dict[str, Any]]:
    """Each published accuracy with the measured 95% interval and whether it lies inside; None where none is."""
    rows = []
    for name, numbers in published.items():
        if numbers.get("accuracy") is None:
            continue
        tested = [run for run in matches[name] if run.test is not None]
        entry: dict[str, Any] = {"run": name, "published": numbers["accuracy"], "interval_95": None, "inside": None}
        if tested:
            low, high = cell_interval(results, Cell(name, tested))
            entry |= {"interval_95": [low, high], "inside": low <= numbers["accuracy"] <= high}
        else:
            entry |= dict.fromkeys(("interval_95_reason", "inside_reason"), "no run of this study has the name")
        rows.append(entry)
    return rows


def _accuracy_sentences(results: Results, published: Published, matches: Matches) -> list[str]:
    known = [entry for entry in _entries(results, published, matches) if entry["inside"] is not None]
    if not known:
        return ["No measured accuracy stands beside a published one."]
    inside = [entry["run"] for entry in known if entry["inside"]]
    outside = [
        f"{entry['run']} (published {f.percent(entry['published'])}, measured {f.percent_range(*entry['interval_95'])})"
        for entry in known
        if not entry["inside"]
    ]
    parts = []
    if inside:
        whose = "lies" if len(inside) == 1 else "lie"
        parts.append(f"Inside the measured 95% interval {whose} the published accuracy of {f.listing(inside)}.")
    if outside:
        parts.append(
            f"Outside it: {f.listing(outside)}."
            if inside
            else f"Outside the measured 95% interval: {f.listing(outside)}."
        )
    return [" ".join(parts)]


def _chance_sentences(results: Results, published: Published) -> list[str]:
    """Names the published accuracies that are not above the majority class (exact binomial test)."""
    share = _majority(results)
    lost = []
    for name, numbers in published.items():
        accuracy = numbers.get("accuracy")
        if accuracy is None or share is None:
            continue
        texts = _published_texts(numbers) or results.study.profile.rows.get("test", 0)
        if above_share(round(accuracy * texts), texts, share) >= LEVEL:
            lost.append(f"{name} ({f.percent(accuracy)})")
    if not lost:
        return []
    verb, they = ("is", "it supports") if len(lost) == 1 else ("are", "they support")
    return [
        f"{f.listing(lost)} {verb} published at chance (majority class {f.percent(share or 0.0)}): {they} no "
        "conclusion about accuracy."
    ]


def _majority(results: Results) -> float | None:
    counts = results.study.profile.label_counts.get("test", {})
    return max(counts.values()) / sum(counts.values()) if counts and sum(counts.values()) else None


def _published_texts(numbers: dict[str, Any]) -> int | None:
    """How many texts a published run was tested on, from its errors and its accuracy."""
    errors_made, accuracy = numbers.get("errors"), numbers.get("accuracy")
    return round(errors_made / (1 - accuracy)) if errors_made and accuracy is not None and accuracy < 1 else None
