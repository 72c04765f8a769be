"""This machine's speeds: timed once for each width of model, then kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from thriftune.cost.measured.busy import NOTICED
from thriftune.cost.measured.environment import environment
from thriftune.cost.predicted.machine import Machine
from thriftune.folders import cache_folder
from thriftune.models.pretrained.load import load_config
from thriftune.processors import ProcessorTime


def known_machine(device: str, folder: Path, quick: bool = False) -> Machine | None:
    """This machine's speeds from an earlier probe, with `quick` from a quick one too; None where there was none."""
    known = Machine.load(machine_path(device, _hidden(folder)))
    return Machine.load(machine_path(device, _hidden(folder), quick)) if known is None and quick else known


def probed_machine(device: str, folder: Path, report: Callable[[], None], quick: bool = False) -> Machine:
    """This machine's speeds for a model: known from before, or probed now and kept.

    A quick probe is kept apart: only who asks for a quick one takes it for this machine's speeds. One that had to wait
    for processors is not kept, and its prices count what it waited as no work.
    """
    from thriftune.cost.predicted.probe import probe_machine

    known = known_machine(device, folder, quick)
    if known is not None:
        return known
    report()
    before = ProcessorTime.now()
    machine = probe_machine(device, _hidden(folder), quick)
    had = ProcessorTime.now().since(before)
    if had.waited is not None and had.waited > NOTICED * (had.used + had.waited):
        return machine.scaled(had.used / (had.used + had.waited))
    with suppress(OSError):  # a cache that cannot be written to: the machine is timed again next time
        machine.save(machine_path(device, _hidden(folder), quick))
    return machine


def machine_path(device: str, hidden: int, quick: bool = False) -> Path:
    """Where the speeds of this machine for models of some hidden size are kept."""
    about = environment(device)
    parts = [about.get(key) for key in ("torch", "processor", "threads", "gpu")] + [hidden]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    return cache_folder() / "machines" / f"{key}{'-quick' if quick else ''}.json"


def _hidden(folder: Path) -> int:
    """The hidden size to probe with: the model's, as far as it is quick to run."""
    return min(1024, -(-int(getattr(load_config(folder), "hidden_size", 768)) // 64) * 64)
