"""Seeds of a method that gave no usable result, and what so few seeds tell of how often it fails."""

from __future__ import annotations

from dataclasses import dataclass

from thriftune import wording as f
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import Cell, is_baseline, learned
from thriftune.analysis.statistics.collapse import rate_at_least, rate_at_most
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

LEAST = 0.995
"""Above it a rate is not rounded to 100%."""


@dataclass(frozen=True)
class Collapse:
    """How many seeds of one method were trained, and how many of them diverged or learned nothing."""

    name: str
    """Of the method, without its seed."""
    seeds: int
    failures: int

    @property
    def at_most(self) -> float:
        """The highest failure rate that these seeds do not rule out, at 95%."""
        return rate_at_most(self.failures, self.seeds)

    @property
    def at_least(self) -> float:
        """The lowest such rate; 0 without a failure."""
        return rate_at_least(self.failures, self.seeds)


def lost_seeds(results: Results, cell: Cell) -> list[RunRecord]:
    """Runs of the same method that support no verdict."""
    used = {run.run_id for run in cell.runs if learned(run)}
    return [run for run in results.runs if run.cell == cell.runs[0].cell and run.run_id not in used]


@once
def collapses(results: Results) -> list[Collapse]:
    """Every fine-tuned method with the seeds whose training ended: those out of memory or interrupted tell nothing."""
    found: dict[str, list[bool]] = {}
    for run in results.runs:
        if is_baseline(run) or run.status not in ("done", "diverged"):
            continue
        found.setdefault(run.cell, []).append(run.status == "diverged" or not learned(run))
    return [Collapse(name, len(failed), sum(failed)) for name, failed in found.items()]


def collapse_sentences(results: Results) -> list[str]:
    """What the seeds rule out, methods with as many seeds and failures together."""
    groups: dict[tuple[int, int], list[str]] = {}
    for each in collapses(results):
        groups.setdefault((each.failures, each.seeds), []).append(each.name)
    out = []
    every = len(groups) == 1
    for (failures, seeds), names in sorted(groups.items(), key=lambda item: -item[0][0]):
        one = Collapse(names[0], seeds, failures)
        who = "every method" if every and len(names) > 1 else f.listing(names)
        if failures:
            text = f"{failures} of {f.plural(seeds, 'seed')} failed (diverged, or learned nothing)"
            text = f"{who[0].upper() if every else who[0]}{who[1:]}: {text}"
            if failures < seeds:
                text += f"; failure rates from {f.share(one.at_least)} to {_rate(one.at_most)} are not ruled out"
            out.append(f"{text}.")
        else:
            out.append(
                f"No failure in {f.plural(seeds, 'seed')} rules out only failure rates above {_rate(one.at_most)} "
                f"({who})."
            )
    return out


def _rate(rate: float) -> str:
    return f.percent(rate, 0) if rate < LEAST else f.percent(rate)
