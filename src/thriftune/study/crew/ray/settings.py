"""What a user says of the Ray cluster that makes a study's runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from thriftune.errors import InputError, unknown_name

LOCAL = "local"
RETRIES = 3
"""How often a run is started again whose worker or node was lost."""
WAIT_SECONDS = 30.0
"""How long a run waits that no node can hold: one may be on its way, or come back."""
MOST_THREADS = 4
"""Of a run by default, so that a large node makes several runs at once."""


@dataclass(frozen=True)
class RaySettings:
    """Which cluster, and how its nodes are used."""

    address: str
    """`local`: one that is started on this machine and ends with the study; `auto` or HOST:PORT."""
    threads: int | None = None
    """Processors of each run; None: OMP_NUM_THREADS, else those of the smallest node, at most `MOST_THREADS`."""
    retries: int = RETRIES
    wait_seconds: float = WAIT_SECONDS

    def __post_init__(self) -> None:
        """Raises `InputError` for what cannot be."""
        numbers = {"retries": self.retries, "wait_seconds": self.wait_seconds}
        numbers |= {} if self.threads is None else {"threads": self.threads}
        for name, value in numbers.items():
            kinds = (int, float) if name == "wait_seconds" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise InputError(f"{name} of ray is {value!r}: give a number.")
        if not isinstance(self.address, str) or not self.address.strip():
            raise InputError("--ray names no cluster: give local, auto, or the address of a cluster as HOST:PORT.")
        if self.address.startswith("ray://"):
            raise InputError(
                f"{self.address} is for programs outside of a cluster; a study is led from one of its nodes, as its "
                "results lie in a folder that they all see. Call the command there, with --ray auto."
            )
        if self.threads is not None and self.threads < 1:
            raise InputError(f"{self.threads} threads for each run: give 1 or more.")
        if self.retries < 0:
            raise InputError(f"{self.retries} retries: give 0 or more.")
        if not 0 <= self.wait_seconds < float("inf"):
            raise InputError(f"A wait of {self.wait_seconds:g} seconds: give 0 or more.")

    @property
    def patience(self) -> float:
        """Seconds that a run waits for a node that can hold it; a cluster of one machine gets no other."""
        return 0.0 if self.address == LOCAL else self.wait_seconds


def settings_of(given: str | Mapping[str, Any] | RaySettings) -> RaySettings:
    """The settings that an address, or a mapping of names to values, stands for; raises `InputError` for others."""
    if isinstance(given, RaySettings):
        return given
    if isinstance(given, str):
        return RaySettings(given)
    known = [each.name for each in fields(RaySettings)]
    for name in given:
        if name not in known:
            raise unknown_name("Setting of ray", str(name), known)
    if "address" not in given:
        raise InputError("ray names no address: give local, auto, or the address of a cluster as HOST:PORT.")
    return RaySettings(**given)
