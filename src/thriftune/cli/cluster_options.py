"""The options of commands whose runs a Ray cluster makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thriftune.errors import InputError

if TYPE_CHECKING:
    from thriftune.study.crew.ray.settings import RaySettings

RETRIES = 3
WAIT = "30s"

Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Make the runs on a Ray cluster: local (this machine), auto, or HOST:PORT; --out must be a folder that "
        "all nodes see.",
    ),
]
RayThreads = Annotated[
    int | None,
    typer.Option(metavar="N", help="Processors of each run on the cluster; by default the smallest node's, at most 4."),
]
RayRetries = Annotated[
    int, typer.Option(metavar="N", help="How often a run is started again whose worker or node is lost.")
]
RayWait = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="How long a run waits for a node that can hold it, as where nodes are started on demand."
    ),
]


def cluster_of(ray: str | None, threads: int | None, retries: int, wait: str, workers: str) -> RaySettings | None:
    """The cluster that is asked for; raises `InputError` where the rest is said without --ray."""
    from thriftune.amounts import parse_seconds
    from thriftune.study.crew.ray.settings import RaySettings

    if ray is not None:
        if workers != "1":
            raise InputError("--workers shares out this machine, --ray a cluster: give one of them.")
        return RaySettings(ray, threads, retries, parse_seconds(wait))
    if threads is not None or retries != RETRIES or wait != WAIT:
        raise InputError("--ray-threads, --ray-retries and --ray-wait are for runs on a cluster: give --ray as well.")
    return None
