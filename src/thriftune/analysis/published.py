"""Published numbers beside those measured here."""

from __future__ import annotations

from typing import Any

from thriftune.analysis import format as f
from thriftune.analysis.panel import Column, Kind, NotApplicable, Panel, Table
from thriftune.analysis.runs import errors
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

ORDER = 70
GROUP = "performance"
TITLE = "Published and measured"
QUESTION = "Do the measurements agree with the published ones?"

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
    """One table for each published quantity: published, measured, difference."""
    published = results.study.published
    if not published:
        return NotApplicable("The study file holds no published numbers.")
    matches = {name: [run for run in results.runs if name in (run.name, run.cell)] for name in published}
    tables = []
    for key, (label, kind) in QUANTITIES.items():
        rows = [
            _row(name, published[name][key], measured(runs, key), kind)
            for name, runs in matches.items()
            if published[name].get(key) is not None
        ]
        if rows:
            tables.append(Table(f"published-{key.replace('_', '-')}", label, _columns(kind), rows, small=True))
    notes = ["A ratio is measured over published. Costs measured on another machine are not expected to agree."]
    if lost := [name for name, runs in matches.items() if not runs]:
        notes.append(f"Published, but no run of this study has the name: {f.listing(lost)}.")
    unread = {key for numbers in published.values() for key in numbers} - set(QUANTITIES)
    if unread:
        notes.append(f"Published, but not shown here: {f.listing(sorted(unread))}.")
    return Panel(_sentences(published, matches), tables, notes=notes)


def measured(runs: list[RunRecord], key: str) -> float | None:
    """The quantity's mean over the runs that have it."""
    values = [value for run in runs if (value := _value(run, key)) is not None]
    return sum(values) / len(values) if values else None


def _value(run: RunRecord, key: str) -> float | None:
    if key == "errors":
        return errors(run.test) if run.test else None
    source = run.test if key in ("accuracy", "macro_f1", "loss") else run.cost
    value = getattr(source, key, None)
    return None if value is None else float(value)


def _columns(kind: Kind) -> list[Column]:
    last = Column("difference", "Points" if kind == "percent" else "Difference", _difference_kind(kind))
    if kind in ("bytes", "seconds"):
        last = Column("ratio", "Ratio", "ratio")
    return [
        Column("run", "Run"),
        Column("published", "Published", kind),
        Column("measured", "Measured", kind),
        last,
    ]


def _difference_kind(kind: Kind) -> Kind:
    return "number" if kind == "percent" else kind


def _row(name: str, published: float, measured: float | None, kind: Kind) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "published": published, "measured": measured}
    if measured is not None:
        row["difference"] = (measured - published) * (100 if kind == "percent" else 1)
        row["ratio"] = measured / published if published else None
    return row


def _sentences(published: dict[str, dict[str, Any]], matches: dict[str, list[RunRecord]]) -> list[str]:
    gaps = {
        name: value - published[name]["accuracy"]
        for name, runs in matches.items()
        if published[name].get("accuracy") is not None and (value := measured(runs, "accuracy")) is not None
    }
    if not gaps:
        return ["No measured accuracy stands beside a published one."]
    name = max(gaps, key=lambda each: abs(gaps[each]))
    side = "above" if gaps[name] > 0 else "below"
    if len(gaps) == 1:
        return [f"Measured accuracy of {name} is {f.points(gaps[name])} {side} the published one."]
    return [
        f"Measured accuracy is within {f.points(gaps[name])} of the published one for all {len(gaps)} "
        f"entries; the largest difference is {name}'s, {side} it."
    ]
