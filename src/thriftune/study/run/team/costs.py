"""What a run cost that several processes trained together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from thriftune.results.cost import Cost
from thriftune.wording import plural

if TYPE_CHECKING:
    from thriftune.engine.parallel.team import Team


def shared_cost(cost: Cost, team: Team | None) -> Cost:
    """The first process's cost, with the memory that all of them took."""
    if team is None:
        return cost
    from thriftune.engine.parallel.commands import Memory

    team.tell(Memory())
    found = team.gather((cost.peak_memory_bytes or 0, cost.peak_process_bytes or 0))
    steps, processes = ([each[place] for each in found] for place in (0, 1))
    reasons = dict(cost.reasons)
    if cost.energy_joules is not None:
        reasons["energy_joules"] = f"measured on one of {team.size} GPUs alone"
    return replace(
        cost,
        energy_joules=None,
        reasons=reasons,
        processes=team.size,
        all_memory_bytes=sum(steps) if cost.peak_memory_bytes is not None else None,
        all_process_bytes=sum(processes) if cost.peak_process_bytes is not None else None,
    )


def shared_notes(cost: Cost) -> list[str]:
    """Says so in words."""
    if cost.processes is None:
        return []
    return [
        f"{cost.processes} processes trained together, each with {plural(cost.threads or 1, 'thread')}: "
        "training seconds are those of all at once, memory and a step's seconds those of the first one."
    ]
