"""What a training that is over produced, as part of a state."""

from __future__ import annotations

from typing import Any

from thriftune.engine.resume.loop_state import scores_from, scores_state
from thriftune.engine.resume.state import State
from thriftune.engine.train import Fit
from thriftune.results.history import EpochPoint, StepPoint


def fit_state(fit: Fit) -> State:
    """Everything but the weights."""
    steps, epochs = ([vars(point) for point in points] for points in (fit.steps, fit.epochs))
    return {**vars(fit), "steps": steps, "epochs": epochs, "validation": scores_state(fit.validation)}


def fit_from(state: dict[str, Any]) -> Fit:
    """What `fit_state` made a state of."""
    return Fit(
        **{
            **state,
            "steps": [StepPoint(**point) for point in state["steps"]],
            "epochs": [EpochPoint(**point) for point in state["epochs"]],
            "validation": scores_from(state["validation"]),
        }
    )
