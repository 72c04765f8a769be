"""Processes that torchrun (or a cluster's own starter) has begun: the first one runs the study, the others serve it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from thriftune.errors import InputError

NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
JOINING = timedelta(minutes=15)
"""How long is waited for the first process's store."""


@dataclass(frozen=True)
class Launch:
    """What the starter says of this process and of the others."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    """Processes on this machine."""
    host: str
    port: int
    hosted: bool
    """Whether the starter itself holds the store through which processes find each other."""

    def store(self, host: bool = False) -> Any:
        """The store; `host`: this process holds it."""
        from thriftune.engine.parallel.team import store_at

        return store_at(self.host, self.port, host, JOINING)


def launched(variables: Mapping[str, str] | None = None) -> Launch | None:
    """What a starter's variables say; None where there are none, or they name one process alone.

    Raises `InputError` where they are no numbers, or some are missing.
    """
    given = os.environ if variables is None else variables
    if given.get("WORLD_SIZE", "1") == "1" or "RANK" not in given:
        return None
    if missing := [name for name in NAMES if name not in given]:
        raise InputError(
            f"RANK and WORLD_SIZE are set, as torchrun does it, but not {' and '.join(missing)}. Start with "
            "torchrun, or unset them."
        )

    def number(name: str, default: str) -> int:
        try:
            return int(given.get(name, default))
        except ValueError:
            raise InputError(
                f"{name} is {given[name]!r:.60}, which is no number. Start with torchrun, or unset it."
            ) from None

    rank, size = number("RANK", "0"), number("WORLD_SIZE", "1")
    if not 0 <= rank < size:
        raise InputError(f"RANK is {rank} and WORLD_SIZE {size}: a rank is from 0 to {size - 1}.")
    return Launch(
        rank=rank,
        size=size,
        local_rank=number("LOCAL_RANK", "0"),
        local_size=number("LOCAL_WORLD_SIZE", str(size)),
        host=given["MASTER_ADDR"],
        port=number("MASTER_PORT", "0"),
        hosted=given.get("TORCHELASTIC_USE_AGENT_STORE", "").lower() == "true",
    )


@contextmanager
def leading(launch: Launch | None) -> Iterator[None]:
    """Inside, the first process's study finds the others; afterwards they end. Does nothing without a starter."""
    if launch is None or launch.rank:
        yield
        return
    store = launch.store(host=not launch.hosted)
    try:
        yield
    finally:
        with suppress(RuntimeError):
            store.set(f"thriftune/call/{store.add('thriftune/calls', 1)}", b"over")
            if not launch.hosted:
                time.sleep(1.0)  # the others read it while the store is there


def call(store: Any) -> int:
    """Has every other process begin one that joins the next run's team; returns the team's number."""
    number = int(store.add("thriftune/calls", 1))
    store.set(f"thriftune/call/{number}", b"run")
    return number
