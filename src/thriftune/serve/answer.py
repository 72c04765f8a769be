"""Probabilities as a request's answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from thriftune.serve.refusal import RefusalError
from thriftune.serve.request import Question


def answer(asked: Question, probabilities: np.ndarray, labels: tuple[str, ...]) -> bytes:
    """The body of the answer as JSON; raises `RefusalError` where the model gave a text no numbers."""
    wrong = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(wrong):
        raise RefusalError(
            422, f"texts: the model gives no numbers for item {wrong[0]}: it has no token that it knows."
        )
    predictions = []
    for row, best in zip(probabilities.tolist(), probabilities.argmax(axis=1).tolist(), strict=True):
        sure = asked.abstain is None or row[best] >= asked.abstain
        found: dict[str, Any] = {"label": labels[best] if sure else None, "confidence": row[best]}
        if asked.probabilities:
            found["probabilities"] = dict(zip(labels, row, strict=True))
        predictions.append(found)
    return json.dumps({"model": asked.model, "predictions": predictions}).encode()
