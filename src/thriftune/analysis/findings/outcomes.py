"""True and predicted labels of all finished runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.memo import once
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.store import Results


@dataclass(frozen=True)
class Outcomes:
    """Label ids in test-set order."""

    label: Ints
    """Shape (texts,)."""
    predicted: dict[str, Ints]
    """By run id, each of shape (texts,)."""


@once
def outcomes(results: Results) -> Outcomes:
    """Reads the test predictions of every run that has them."""
    label = np.zeros(0, dtype=np.int64)
    predicted = {}
    for run in results.done:
        label, predicted[run.run_id] = predictions.label_ids(results.predictions(run), results.labels)
    return Outcomes(label, predicted)
