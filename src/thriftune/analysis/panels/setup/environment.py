"""Where and how the runs ran, and what happened to those that did not finish."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.runs import differing, is_baseline, protocol, unfinished
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Environment"
QUESTION = "On what did the study run, under which protocol, and what went wrong?"


def build(results: Results) -> Panel | NotApplicable:
    """Versions and devices, every run's status, the shared protocol and where it differs."""
    tables = [_runs(results.runs)]
    tuned = [run for run in results.runs if not is_baseline(run)]
    if tuned:
        tables.append(_shared(tuned))
    if differing(tuned):
        tables.append(_different(tuned))
    if results.study.environment:
        tables.append(_machine(results.study.environment))
    return Panel(_sentences(results), tables)


def _sentences(results: Results) -> list[str]:
    lost = unfinished(results)
    out = [f"{len(results.done)} of {f.plural(len(results.runs), 'run')} finished."]
    out += [f"{run.name}: {run.status.replace('_', ' ')}, {run.message or 'no message'}" for run in lost]
    differs = differing(results.runs)
    if differs:
        out.append(f"The runs differ in {f.listing(list(differs), 12)}.")
    return out


def _runs(runs: list[RunRecord]) -> Table:
    columns = [
        *of_kind("text", run="Run", status="Status", message="Message"),
        Column("seed", "Seed", "int"),
        *of_kind("text", learning_rate="Learning rate", model="Model", method="Method", notes="Notes"),
        Column("run_id", "Run id"),
    ]
    rows = [
        {
            "run": run.name,
            "status": run.status.replace("_", " "),
            "message": run.message or "",
            "seed": run.seed,
            "learning_rate": "" if run.learning_rate is None else f"{run.learning_rate:g}",
            "model": run.model or "none",
            "method": _settings(run.method),
            "notes": " ".join(run.notes),
            "run_id": run.run_id,
        }
        for run in runs
    ]
    return Table("runs", "Every run, finished or not.", columns, rows)


def _settings(method: dict[str, Any]) -> str:
    keys = [f"{key} {_text(value)}" for key, value in method.items() if key != "name" and value is not None]
    return ": ".join([str(method.get("name", "")), ", ".join(keys)]) if keys else str(method.get("name", ""))


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shared(runs: list[RunRecord]) -> Table:
    differs = differing(runs)
    rows = [{"setting": k, "value": v} for k, v in protocol(runs[0]).items() if k not in differs]
    columns = [Column("setting", "Setting"), Column("value", "Value")]
    return Table("protocol", "What all fine-tuned runs share.", columns, rows, small=True)


def _different(runs: list[RunRecord]) -> Table:
    names = list(differing(runs))
    columns = [Column("run", "Run"), *(Column(f"p{i}", name) for i, name in enumerate(names))]
    rows = []
    for run in runs:
        settings = protocol(run)
        rows.append({"run": run.name} | {f"p{i}": settings.get(name, "–") for i, name in enumerate(names)})
    return Table("protocol-differences", "Where the runs differ in more than the method.", columns, rows)


def _machine(environment: dict[str, Any]) -> Table:
    rows = [{"key": key.replace("_", " "), "value": value} for key, value in _lines(environment)]
    columns = [Column("key", "What"), Column("value", "Value")]
    return Table("environment", "Versions and device.", columns, rows, small=True)


def _lines(environment: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in environment.items():
        if isinstance(value, dict):
            out += _lines(value, f"{prefix}{key} ")
        else:
            out.append((f"{prefix}{key}", "unknown" if value is None else _text(value)))
    return out
