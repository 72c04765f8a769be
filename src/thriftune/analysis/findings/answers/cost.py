"""What the methods cost beside each other, in a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

from thriftune import wording as f
from thriftune.analysis.findings.answers.answer import Answer, fitted
from thriftune.analysis.findings.decision import WORTH, Decision, Standing, decide
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import Cell
from thriftune.analysis.findings.times import span, times_as_long
from thriftune.analysis.statistics.ratios import TimeRatio
from thriftune.results.store import Results

FEWER = 0.5
"""Trained parameters below this part of another's are fewer."""
LARGER = 2.0
"""Files below this ratio are much alike."""


@once
def cost(results: Results) -> Answer:
    """Whether fewer parameters were cheaper, what time and memory range from and to, and what is stored."""
    return Answer("Cost", fitted(_sentences(results, decide(results))), "compute", "cost")


def _sentences(results: Results, decision: Decision) -> Iterator[str]:
    tuned = [each for each in decision.tuned if each.place != "not learned"]
    if not tuned:
        yield "No fine-tuned method learned, so no costs are compared."
        return
    if len(tuned) == 1:
        yield from _one(tuned[0])
        return
    surprise = _surprise(results, tuned)
    if surprise:
        yield from surprise
    else:
        yield from _range("Training takes", tuned, lambda cell: cell.seconds, f.short_seconds)
        yield from _range("Peak memory is", tuned, lambda cell: cell.memory, f.short_size)
        yield from _stored(tuned)


def _one(only: Standing) -> Iterator[str]:
    cell = only.cell
    parts = [f"trained in {f.short_seconds(cell.seconds)}"] if cell.seconds is not None else []
    parts += [f"needed {f.short_size(cell.memory)}"] if cell.memory is not None else []
    parts += [f"stores {f.short_size(cell.stored)}"] if cell.stored is not None else []
    yield f"{only.name} {f.listing(parts)}." if parts else "Costs were not measured."


def _surprise(results: Results, tuned: list[Standing]) -> list[str]:
    """The pair of one model where far fewer parameters went with the most extra time or memory; empty without one."""
    worst: float = WORTH
    said: list[str] = []
    for few, many in permutations(tuned, 2):
        a, b = few.cell, many.cell
        if a.runs[0].model != b.runs[0].model or not a.parameters or not b.parameters:
            continue
        if a.parameters > FEWER * b.parameters:
            continue
        taken = times_as_long(results, a, b)
        longer = taken if taken is not None and taken.faster == "second" else None
        time, memory = longer.value if longer else 0.0, _ratio(a.memory, b.memory)
        if max(time, memory) > worst:
            worst = max(time, memory)
            share = f.share(a.parameters / b.parameters)
            said = [f"{few.name} trains {share} of {many.name}'s parameters, yet takes {_more(longer, memory)}."]
            if (smaller := _ratio(b.stored, a.stored)) >= LARGER:
                said.append(f"Its file is {f.ratio(smaller).removesuffix('x')} times smaller.")
    return said


def _more(time: TimeRatio | None, memory: float) -> str:
    """ "about 1.8 times the time (1.4 to 2.3) and 3 times the memory", or one ratio where both are much alike."""
    beside = ", measured beside other runs" if time and time.beside else ""
    found = [f"about {_times(time.value)} the time ({span(time, ' to ')}{beside})"] if time else []
    if time and time.low <= memory <= time.high and memory >= WORTH:
        return f"{found[0]} and memory"
    found += [f"{_times(memory)} the memory"] if memory >= WORTH else []
    return " and ".join(found)


def _ratio(a: float | None, b: float | None) -> float:
    return a / b if a and b else 0.0


def _times(ratio: float) -> str:
    return "twice" if 1.9 <= ratio <= 2.1 else f"{f.ratio(ratio).removesuffix('x')} times"


def _range(
    what: str, tuned: list[Standing], of: Callable[[Cell], float | None], write: Callable[[float], str]
) -> Iterator[str]:
    known = sorted(((value, each.name) for each in tuned if (value := of(each.cell)) is not None), key=lambda x: x[0])
    if len(known) < 2:
        return
    (least, least_name), *_, (most, most_name) = known
    if most < WORTH * least:
        yield f"{what} about the same for all ({write(most)})."
    else:
        yield f"{what} {write(least)} ({least_name}) to {write(most)} ({most_name})."


def _stored(tuned: list[Standing]) -> Iterator[str]:
    """How much less the smallest file is than the largest."""
    known = sorted(
        ((each.cell.stored, each.name) for each in tuned if each.cell.stored is not None), key=lambda x: x[0] or 0
    )
    if len(known) < 2:
        return
    (least, name), *_, (most, other) = known
    if least and most and most >= LARGER * least:
        yield f"{name}'s file is {f.ratio(most / least).removesuffix('x')} times smaller than {other}'s."
