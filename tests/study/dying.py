"""Runs whose process dies at once; a light module, because the spawned process imports it."""

from __future__ import annotations

import os
import signal
from typing import Any


def exits(job: Any, sender: Any, variables: Any) -> None:
    """As a crash in native code does."""
    os._exit(3)


def is_killed(job: Any, sender: Any, variables: Any) -> None:
    """As the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def is_killed_if_told(job: Any, sender: Any, variables: dict[str, str]) -> None:
    """As the kernel does, but only where the variables of the process that asks for the run say so."""
    if variables.get("THRIFTUNE_TEST_KILL"):
        is_killed(job, sender, variables)
