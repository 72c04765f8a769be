"""Which test texts which runs got wrong: the one matrix that the panels on errors share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import cells, comparable, depends, is_baseline
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Method:
    """Runs that differ by seed alone."""

    name: str
    rows: list[int]
    """Of the matrix."""


@dataclass(frozen=True)
class ErrorMatrix:
    """The predictions of some runs on the same texts."""

    runs: list[RunRecord]
    label: NDArray[np.int64]
    """True label ids, shape (texts,)."""
    predicted: NDArray[np.int64]
    """Predicted label ids, shape (runs, texts)."""

    @cached_property
    def wrong(self) -> Mask:
        """Shape (runs, texts)."""
        return np.not_equal(self.predicted, self.label)

    @cached_property
    def methods(self) -> list[Method]:
        """The runs by method and model, in their order."""
        rows = {run.run_id: i for i, run in enumerate(self.runs)}
        return [Method(cell.name, [rows[run.run_id] for run in cell.runs]) for cell in cells(self.runs)]

    @cached_property
    def shared(self) -> Mask:
        """Texts that more than half of the runs got wrong, shape (texts,): with one run, its errors."""
        return np.asarray(2 * self.wrong.sum(axis=0) > len(self.runs))

    def taken_for(self, label: int) -> Mask:
        """Texts that more than half of the runs gave this label, shape (texts,)."""
        return np.asarray(2 * (self.predicted == label).sum(axis=0) > len(self.runs))

    @property
    def base(self) -> str:
        """How many of all texts are errors, in words."""
        rate = f.percent(float(self.shared.mean()))
        if len(self.runs) == 1:
            return f"{rate} of all texts are errors"
        return f"{rate} of all texts were got wrong by {'both' if len(self.runs) == 2 else 'most'} runs"

    @property
    def whose(self) -> str:
        """What an error of `shared` is, in words."""
        if len(self.runs) == 1:
            return f"An error: a text that {self.runs[0].name} got wrong."
        if len(self.runs) == 2:
            return "An error: a text that both runs got wrong."
        return f"An error: a text that more than half of the {len(self.runs)} runs got wrong."


@once
def error_matrix(results: Results) -> ErrorMatrix | None:
    """The errors of the fine-tuned runs that learned, else of the baselines that did; None where none did."""
    runs = comparable(results) or [run for run in results.done if is_baseline(run) and depends(run)]
    if not runs:
        return None
    found = [predictions.read(results, run) for run in runs]
    return ErrorMatrix(runs, found[0].label, np.stack([each.predicted for each in found]))
