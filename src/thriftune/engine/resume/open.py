"""A run's checkpoints, opened where it starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from thriftune.engine import ENGINE_VERSION
from thriftune.engine.protocol import Protocol, deciding
from thriftune.engine.resume.saver import Checkpoints


def open_checkpoints(
    path: Path,
    run_id: str,
    protocol: Protocol,
    settings: Mapping[str, Any],
    device: str,
    say: Callable[[str], None],
) -> Checkpoints | None:
    """The checkpoints in a run's `checkpoint/` folder; None where the protocol wants none.

    A checkpoint is used where run, engine, torch, protocol, the further `settings` and kind of device are those that
    wrote it. `say` is told, in sentences, why one is not.
    """
    every = protocol.checkpoint_seconds
    if every is None:
        return None
    values = json.dumps([deciding(protocol), settings], sort_keys=True, default=str)
    identity = {
        "run_id": run_id,
        "engine_version": ENGINE_VERSION,
        "torch_version": torch.__version__,
        "settings": hashlib.sha256(values.encode()).hexdigest()[:16],
        "device": device,
    }
    return Checkpoints(path, identity, every, say)
