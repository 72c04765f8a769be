"""What was published of costs: quantities as they are measured here, and what LoRA costs over its peers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

from thriftune.analysis.display.panel import Column, Table, of_kind
from thriftune.analysis.findings.runs import differing, errors, training_seconds
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

Published = dict[str, dict[str, Any]]
"""The study file's published numbers by entry."""
Matches = dict[str, list[RunRecord]]
"""The runs of this study by the name of the published entry."""


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


@dataclass(frozen=True)
class CostRatio:
    """What LoRA costs over full or partial fine-tuning of the same model, published and measured here."""

    first: str
    second: str
    memory_published: float | None
    memory_measured: float | None
    time_published: float | None
    time_measured: float | None
    differs: str
    """Settings in which the two differ besides the method; empty where there are none."""


def cost_ratios(results: Results, published: Published, matches: Matches) -> list[CostRatio]:
    """The published pairs of LoRA and full or partial fine-tuning on one model; whether a run learned is not asked."""
    about = {name: _about(results, name, runs) for name, runs in matches.items()}
    found = []
    for first, second in permutations(published, 2):
        (model, method), (other_model, other_method) = about[first], about[second]
        if model is None or model != other_model or method != "lora" or other_method not in ("full", "top_layers"):
            continue
        values = {}
        for name, key in (("memory", "peak_memory_bytes"), ("time", "train_seconds")):
            values[f"{name}_published"] = _quotient(published[first].get(key), published[second].get(key))
            here = [_mean_of(matches[entry], key) for entry in (first, second)]
            values[f"{name}_measured"] = _quotient(*here)
        if any(value is not None for value in values.values()):
            apart = differing([*matches[first], *matches[second]], machine=False)
            words = "; ".join(f"{name} {' and '.join(each)}" for name, each in apart.items())
            found.append(CostRatio(first, second, **values, differs=words))
    return found


def _mean_of(runs: list[RunRecord], key: str) -> float | None:
    """A cost's mean over the runs that were trained; training time with that of the frozen layers."""
    if key != "train_seconds":
        return measured(runs, key)
    known = [value for run in runs if (value := training_seconds(run)) is not None]
    return sum(known) / len(known) if known else None


def _about(results: Results, name: str, runs: list[RunRecord]) -> tuple[str | None, str | None]:
    """An entry's model and method: from its runs, or, where none was made, from the study file."""
    if runs:
        return runs[0].model, str(runs[0].method.get("name"))
    for entry in results.study.study.get("runs", []):
        if entry.get("name") == name:
            return entry.get("model"), next(iter(entry.get("method", {})), None)
    return None, None


def _quotient(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def ratio_table(ratios: list[CostRatio]) -> Table:
    """Each pair's ratios, published beside measured."""
    columns = [
        Column("pair", "Pair"),
        *of_kind("number", memory_published="Memory, published (x)", memory_measured="measured (x)"),
        *of_kind("number", time_published="Time, published (x)", time_measured="measured (x)"),
        Column("differs", "Differs besides the method"),
    ]
    rows = [vars(ratio) | {"pair": f"{ratio.first} over {ratio.second}"} for ratio in ratios]
    caption = "What LoRA costs over full or partial fine-tuning of the same model."
    return Table("published-ratios", caption, columns, rows)


def ratio_sentences(ratios: list[CostRatio]) -> list[str]:
    """The same in one sentence; none where no cost was published for a pair."""
    parts = []
    for ratio in ratios:
        costs = []
        for what in ("memory", "time"):
            was, here = getattr(ratio, f"{what}_published"), getattr(ratio, f"{what}_measured")
            if was is not None:
                costs.append(f"{was:.2f}x the {what} ({'not measured' if here is None else f'measured {here:.2f}x'})")
        if costs:
            other = f" (which differ in {ratio.differs})" if ratio.differs else ""
            parts.append(f"{ratio.first} over {ratio.second}{other} {' and '.join(costs)}")
    return [f"Published cost: {'; '.join(parts)}."] if parts else []
