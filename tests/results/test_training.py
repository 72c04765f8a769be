"""What is said of a training's end."""

from __future__ import annotations

import pytest

from thriftune.results.training import state_of


@pytest.mark.parametrize(
    ("ended", "gain", "noise", "state"),
    [
        ("plateau", 0.3, 0.1, "plateau"),
        ("solved", None, None, "plateau"),
        ("epochs", 0.03, 0.02, "improving"),
        ("epochs", 0.004, 0.0, "plateau"),
        ("epochs", 0.01, 0.02, "plateau"),
        ("epochs", 0.07, 0.14, "unknown"),
        ("epochs", 0.2, 0.14, "improving"),
        ("epochs", None, None, "unknown"),
        ("seconds", 0.03, 0.02, "improving"),
        ("seconds", 0.01, 0.02, "limit"),
        ("max_epochs", None, None, "unknown"),
    ],
)
def test_states(ended: str, gain: float | None, noise: float | None, state: str) -> None:
    """A gain counts beyond noise and the margin of 0.5 points; little validation shows no plateau."""
    assert state_of(ended, gain, noise, 0.5) == state
