"""The states of the random generators that a training draws from."""

from __future__ import annotations

import random

import numpy as np
import torch

from thriftune.engine.resume.state import State


def random_state(device: torch.device) -> State:
    """Of torch (dropout's seeds come from it, and its kernels have no state of their own), numpy and Python."""
    name, keys, place, has_gauss, gauss = np.random.get_state()  # a model's code may draw from it
    version, numbers, kept = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": [name, np.asarray(keys).astype(np.int64), int(place), int(has_gauss), float(gauss)],
        "python": [version, list(numbers), kept],
    }


def restore_random(state: State, device: torch.device) -> None:
    """Puts the generators where they were."""
    torch.set_rng_state(state["torch"].load())
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"].load(), device)
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.astype(np.uint32), *rest))
    version, numbers, kept = state["python"]
    random.setstate((version, tuple(numbers), kept))
