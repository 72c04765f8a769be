"""Whether what a run stored predicts what the run predicted, loaded in the way that its README documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.results.files import read_rows
from thriftune.results.run_folder import RunFolder
from thriftune.study.run.job import EVALUATED, Job, RunError

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens

CHECKED_TEXTS = 64
TOLERANCE = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 5e-2}
"""Of a probability, by precision: in the shorter formats another kernel or batch changes more digits."""


def check_promise(job: Job, folder: RunFolder) -> None:
    """Compares token ids, token types and probabilities on 64 evenly spaced test texts.

    Raises `RunError` with the status failed, naming what differs. An adapter's base is taken from the folder that
    the run itself took it from.
    """
    from thriftune.data.tokens import Tokens
    from thriftune.models.trained.reload import load_saved

    split = next(name for name in reversed(EVALUATED) if name in job.splits)
    tokens = Tokens.load(job.tokens[split], mmap=True)
    rows = evenly_spaced(len(tokens))
    frame = read_rows(job.splits[split], rows, ("example", *job.text_columns))
    texts = [frame[name].to_list() for name in job.text_columns]
    saved = load_saved(folder.model_path, job.model, job.device)
    examples = frame["example"].to_numpy()
    _check_tokens(saved.inputs(texts), tokens, rows, examples)
    columns = [f"p_{label}" for label in job.labels]
    before = read_rows(folder.predictions_path(split), rows, columns).to_numpy()
    tolerance = TOLERANCE[job.planned.protocol.precision]
    _check_probabilities(saved.probabilities(texts), before, examples, tolerance, saved.usage.base)


def evenly_spaced(count: int) -> np.ndarray:
    """Rows of at most 64 of `count` texts, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, CHECKED_TEXTS)).round().astype(np.int64))


def _check_tokens(inputs: dict[str, Any], tokens: Tokens, rows: np.ndarray, examples: np.ndarray) -> None:
    for name, trained in (("input_ids", tokens.ids), ("token_type_ids", tokens.types)):
        if trained is None and name not in inputs:
            continue
        if trained is None:
            raise _broken(f"its tokenizer gives {name}, which training did not have")
        if name not in inputs:
            if trained.any():  # types that are all 0 are what models take where they are given none
                raise _broken(f"its tokenizer gives no {name}, which training had")
            continue
        own = (trained[tokens.offsets[row] : tokens.offsets[row + 1]] for row in rows)
        differing = [i for i, (a, b) in enumerate(zip(own, inputs[name], strict=True)) if not np.array_equal(a, b)]
        if differing:
            raise _broken(
                f"its tokenizer gives other {name} for {len(differing)} of {len(rows)} test texts "
                f"(the first is row {examples[differing[0]]} of its source)"
            )


def _check_probabilities(
    now: np.ndarray, before: np.ndarray, examples: np.ndarray, tolerance: float, base: str | None
) -> None:
    distance = np.abs(now - before).max(axis=1)
    differing = np.flatnonzero(~(distance <= tolerance))
    if len(differing):
        flipped = int((now.argmax(axis=1) != before.argmax(axis=1)).sum())
        raise _broken(
            f"it gives other probabilities for {len(differing)} of {len(now)} test texts, {flipped} of them with "
            f"another label (by up to {distance.max():.2g}, allowed is {tolerance:g}; the first is row "
            f"{examples[differing[0]]} of its source)"
            + (f'. If transformers alone does not load the base "{base}" whole, save it anew' if base else "")
        )


def _broken(what: str) -> RunError:
    return RunError(
        "failed", f"The stored model, loaded as its README says, does not predict what the run predicted: {what}."
    )
