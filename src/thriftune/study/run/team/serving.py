"""What the processes that torchrun started do but the first: they serve its studies."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from thriftune.study.run.process import as_child, in_process
from thriftune.study.run.team.companion import attend
from thriftune.study.run.team.torchrun import Launch


@dataclass(frozen=True)
class Call:
    """What a process is started for by a rank that serves."""

    launch: Launch
    number: int


@dataclass(frozen=True)
class Served:
    """A process's last message."""


def serve_studies(launch: Launch) -> None:
    """Joins every team that the first process calls for, each in a process of its own, until its study is over."""
    try:
        store = launch.store()
        number = 1
        while _told(store, f"thriftune/call/{number}") == b"run":
            in_process(_child, Call(launch, number), True, lambda message: None, (Served,))
            number += 1
    except RuntimeError:
        return  # the first process is gone, and with it the study


def _told(store: Any, key: str) -> bytes:
    import torch.distributed as dist

    while True:
        with suppress(dist.DistStoreError):
            store.wait([key], timedelta(minutes=5))
            return bytes(store.get(key))


def _child(call: Call, sender: Connection, variables: dict[str, str]) -> None:
    tell = as_child(sender, variables)
    store = call.launch.store()
    following = f"thriftune/call/{call.number + 1}"
    launch = call.launch
    attend(store, call.number, launch.rank, launch.size, launch.local_rank, lambda: bool(store.check([following])))
    tell(Served())
