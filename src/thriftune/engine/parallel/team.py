"""The processes that train one run together: the first one decides and tells, all compute."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

TIMEOUT = timedelta(minutes=20)
"""How long one waits for another in a step, or in a pass over texts."""
PATIENCE = timedelta(seconds=10)
"""Between two looks whether the first process is still there."""
KEPT_COMMANDS = 16
"""What was told before that has been heard: the first process waits for the others in between."""
REASON_SECONDS = 10.0
"""How long is waited for the word of a process that broke off."""


def store_at(host: str, port: int, holds: bool, timeout: timedelta = TIMEOUT) -> Any:
    """The store through which processes find each other; the one that `holds` it may ask for port 0, any that is free.

    Raises `RuntimeError` where nobody holds one there.
    """
    module: Any = dist
    return module.TCPStore(host, port, is_master=holds, timeout=timeout, wait_for_workers=False)


def part_of_store(store: Any, number: int) -> Any:
    """The part of a store that belongs to one team."""
    module: Any = dist
    return module.PrefixStore(f"thriftune/team/{number}", store)


@dataclass(frozen=True)
class Lost:
    """Why a process of a team is gone."""

    rank: int
    status: str
    """failed, refused (the user can do something about it) or out_of_memory."""
    message: str
    details: str = ""
    """Its traceback, where it left one."""


class Team:
    """This process among those of its run; each has a rank, the first one 0."""

    def __init__(self, store: Any, rank: int, size: int, device: str) -> None:
        self.rank, self.size, self.device = rank, size, device
        self.splits: dict[str, np.ndarray] = {}
        """The offsets of the splits' tokens that all processes hold, by the split's name."""
        self.loaded = False
        """Whether all processes hold the model."""
        self.unequal = True
        """Whether the first process may have other trained weights than the rest."""
        self.over: Callable[[], bool] = bool
        """Whether the first process is known to tell nothing more."""
        self.gone: Callable[[], list[Lost]] = list
        """Which of the other processes have ended, where that can be seen."""
        self.before: Callable[[], None] | None = None
        """What the first process has to end before it tells something else."""
        self._store = store
        self._told = 0

    def begin(self) -> None:
        """The first process's `join`: says on which device the team works, and waits for the others.

        Raises `RuntimeError` where one does not come.
        """
        self._store.set("device", self.device)
        until = time.monotonic() + TIMEOUT.total_seconds()
        awaited = set(range(1, self.size))
        while awaited:
            awaited -= {rank for rank in awaited if self._store.check([f"here/{rank}"])}
            if awaited and (self.gone() or time.monotonic() > until):
                raise RuntimeError(f"{len(awaited)} of the {self.size} processes that train together did not come")
            time.sleep(0.02)
        self._connect()

    def join(self) -> None:
        """Connects this process with the others."""
        self._store.set(f"here/{self.rank}", b"")
        self._connect()

    def _connect(self) -> None:
        backend = "cpu:gloo,cuda:nccl" if self.device == "cuda" else "gloo"
        dist.init_process_group(backend, store=self._store, rank=self.rank, world_size=self.size, timeout=TIMEOUT)

    def tell(self, command: object) -> None:
        """The first process's next command to all others."""
        if self.before is not None:
            end, self.before = self.before, None
            end()
        self._store.set(f"told/{self._told}", pickle.dumps(command))
        self._told += 1
        with suppress(RuntimeError):  # a store without deletion
            self._store.delete_key(f"told/{self._told - KEPT_COMMANDS}")

    def told(self) -> Any:
        """What the first process tells next, however long that takes; raises `RuntimeError` where it is gone."""
        key = f"told/{self._told}"
        self._told += 1
        while not self.over():
            with suppress(dist.DistStoreError):
                self._store.wait([key], PATIENCE)
                return pickle.loads(self._store.get(key))  # noqa: S301 - from the process that started this one
        raise RuntimeError("the first process ended without a word")

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Adds the tensors of all processes up, in place."""
        dist.all_reduce(tensor)
        return tensor

    def sum_array(self, array: np.ndarray) -> None:
        """The same for an array in memory: each number comes from one process alone, the others have zeros."""
        if array.size:
            dist.all_reduce(torch.from_numpy(array))

    def spread(self, tensors: list[torch.Tensor]) -> None:
        """Gives every process the first one's numbers, in place."""
        for tensor in tensors:
            dist.broadcast(tensor, 0)

    def send(self, tensor: torch.Tensor, to: int) -> None:
        """To another process, which receives it."""
        dist.send(tensor, to)

    def receive(self, tensor: torch.Tensor, source: int) -> None:
        """What another process sends, in place."""
        dist.recv(tensor, source)

    def gather(self, found: Any) -> list[Any]:
        """What every process has found, on all of them, in the order of the ranks."""
        out: list[Any] = [None] * self.size
        dist.all_gather_object(out, found)
        return out

    def give_up(self, status: str, message: str, details: str) -> None:
        """Leaves word why this process ends."""
        with suppress(RuntimeError):
            self._store.set(f"lost/{self.rank}", json.dumps([status, message, details]).encode())

    def lost(self) -> Lost | None:
        """Which of the others broke off and why, once one of them has failed to answer; None where all are there."""
        until = time.monotonic() + REASON_SECONDS
        found: list[Lost] = []
        while time.monotonic() < until:
            for rank in range(1, self.size):
                with suppress(RuntimeError):
                    if self._store.check([f"lost/{rank}"]):
                        return Lost(rank, *json.loads(self._store.get(f"lost/{rank}")))
            if found:
                return found[0]
            found = self.gone()  # its word may still be on the way
            time.sleep(0.3)
        return None

    def split_of(self, offsets: np.ndarray) -> str | None:
        """The name of a split that all processes hold, by the offsets of its tokens; None for any other texts."""
        return next((name for name, held in self.splits.items() if held is offsets), None) if self.loaded else None

    def leave(self) -> None:
        """Lets the connections go."""
        with suppress(RuntimeError, AssertionError, ValueError):
            dist.destroy_process_group()


_present: list[Team] = []


def present() -> Team | None:
    """The team that this process is in; None where it works alone."""
    return _present[-1] if _present else None


@contextmanager
def working(team: Team) -> Iterator[Team]:
    """Inside, trainings, passes and predictions are those of a team."""
    _present.append(team)
    try:
        yield team
    finally:
        _present.pop()
        team.leave()
