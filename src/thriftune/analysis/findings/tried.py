"""How many settings were tried for a method before the one that was tested: more of them flatter it."""

from __future__ import annotations

from thriftune.analysis.findings.runs import Cell, is_baseline
from thriftune.results.record import RunRecord

DIVERGED = "Learning rate "


def tried(cell: Cell) -> int | None:
    """Settings that were tried for each run of a method, the most of any run; None where nothing could be."""
    found = [_tried(run) for run in cell.runs]
    return max((number for number in found if number is not None), default=None)


def _tried(run: RunRecord) -> int | None:
    if is_baseline(run) or run.learning_rate is None:
        return None
    if run.searched is not None:
        return run.searched.trials
    asked = run.method.get("learning_rate")
    if isinstance(asked, list | tuple):
        return len(asked)
    diverged = sum(note.startswith(DIVERGED) and " diverged" in note for note in run.notes)
    return max(1, len(run.search) + diverged)


def unequal(first: Cell, second: Cell) -> str | None:
    """ "rates tried: 5 and 1" where one method was searched more than the other; None where both were alike."""
    one, other = tried(first), tried(second)
    if one is None or other is None or one == other:
        return None
    what = "settings" if any(run.searched for cell in (first, second) for run in cell.runs) else "rates"
    return f"{what} tried: {one} and {other}"
