"""Each metric is declared once: what shows it can write it, and takes its direction from there."""

from __future__ import annotations

from dataclasses import fields

import pytest

from thriftune.analysis.display.panel import metric
from thriftune.metrics import METRICS, sign
from thriftune.report.printed.table import SHORT_WRITERS, WRITERS
from thriftune.results.cost import Cost
from thriftune.results.scores import Scores

DERIVED = {"errors", "seconds", "processors", "balanced_accuracy", "mcc"}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_a_field_of_a_record_and_can_be_written(name: str) -> None:
    assert name in DERIVED or name in {field.name for record in (Scores, Cost) for field in fields(record)}
    assert WRITERS[METRICS[name].kind](1.0)
    assert SHORT_WRITERS[METRICS[name].kind](1.0)
    column = metric(name)
    assert (column.label, column.kind) == (METRICS[name].label, METRICS[name].kind)
    assert column.higher_is_better is METRICS[name].higher_is_better
    assert metric(name, ranked=False).higher_is_better is None


def test_direction() -> None:
    assert [sign(name) for name in ("accuracy", "macro_f1", "loss", "peak_memory_bytes")] == [1, 1, -1, -1]
