"""Amounts from a command line."""

from __future__ import annotations

import pytest

from thriftune.amounts import parse_latency, parse_seconds
from thriftune.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10min", 600), ("2 h", 7200), ("1d", 86400), (" 1.5 H ", 5400), ("30 sec", 30)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["10", "min", "-5min", "0h", "8 potatoes", "1e3s", ""])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError, match="is no amount of time"):
        parse_seconds(text)


def test_latencies() -> None:
    assert [parse_latency(text) for text in ("20ms", "0.5 s", "800us")] == pytest.approx([0.02, 0.5, 0.0008])
    with pytest.raises(InputError, match="is no amount of time for one text"):
        parse_latency("20min")
