"""What a method takes beside what its cell says: for one text, and in its frozen layers' pass."""

from __future__ import annotations

from thriftune.analysis.findings.deciding import UNMEASURED
from thriftune.analysis.findings.runs import Cell


def latency(cell: Cell) -> float | None:
    """The mean over seeds; None where it was not measured."""
    known = [run.cost.latency_seconds for run in cell.runs if run.cost is not None]
    found = [each for each in known if each is not None]
    return sum(found) / len(found) if found else None


def no_latency(cell: Cell) -> str | None:
    """Why it was not measured; None where it was."""
    if latency(cell) is not None:
        return None
    costs = [run.cost for run in cell.runs if run.cost is not None]
    return next((each.reasons["latency_seconds"] for each in costs if "latency_seconds" in each.reasons), UNMEASURED)


def prefix_memory(cell: Cell) -> float | None:
    """Bytes of that pass; None where there is none."""
    known = [run.cost.prefix_peak_memory_bytes for run in cell.runs if run.cost is not None]
    return max((float(each) for each in known if each is not None), default=None)
