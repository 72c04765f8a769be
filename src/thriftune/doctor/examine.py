"""All checks, each by itself: one that breaks is a finding and keeps no other from being made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from thriftune.doctor import kernels, machine, models, software, storage
from thriftune.doctor.finding import Finding

Check = Callable[[], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "Python": software.python,
    "Packages": software.packages,
    "Extras": software.extras,
    "Processors": machine.processors,
    "Memory": machine.memory,
    "Processes": machine.processes,
    "GPU": machine.gpu,
    "Compiled kernels": kernels.kernels,
    "Caches": storage.caches,
    "Folders": storage.folders,
    "Demo model": models.demo,
}
"""By subject, in the order in which they are shown."""
ONLINE: dict[str, Check] = {"Hugging Face hub": models.hub}
"""Those that use the network."""


def examine(online: bool = False) -> list[Finding]:
    """What the checks found, in their order; nothing is compiled, downloaded or written to stay."""
    found: list[Finding] = []
    for subject, check in (CHECKS | ONLINE if online else CHECKS).items():
        try:
            found += check()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown, and the others are checked
            found.append(_broken(subject, error))
    return found


def _broken(subject: str, error: Exception) -> Finding:
    lines = str(error).strip().splitlines() or ["no message"]
    return Finding(
        subject,
        f"the check itself failed: {type(error).__name__}: {lines[0][:300]}",
        "fails",
        "a study that needs it fails too: mend what the message names, or make a new environment",
    )
