"""What accuracy cost: the fastest method against the best, whether fewer parameters were cheaper, storage."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.findings.decision import choose_among
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import Cell, by_model, cells, comparable, difference_sentence
from thriftune.analysis.findings.training import Found, at, trained
from thriftune.results.store import Results


@once
def cost(results: Results) -> str:
    """For each model the fastest against the best classified; whether fewer parameters were cheaper; storage."""
    runs = comparable(results)
    groups = [cells(group) for group in by_model(runs).values()]
    if not groups:
        return "No fine-tuned run learned, so no costs are compared."
    parts = [_cost_of_model(results, group, trained(results)) for group in groups]
    surprises = [found for group in groups if (found := parameter_surprise(group))]
    parts += [max(surprises)[1]] if surprises else []
    parts += _stored([cell for group in groups for cell in group])
    mixed = [sentence for group in by_model(runs).values() if (sentence := difference_sentence(group))]
    return " ".join([*parts, *dict.fromkeys(mixed)])


def _cost_of_model(results: Results, group: list[Cell], training: Found) -> str:
    group = [cell for cell in group if cell.seconds is not None]
    if not group:
        return "Training time was not measured."
    if len(group) == 1:
        return f"{group[0].name} trained in {f.seconds(group[0].seconds or 0)}{_peak(group[0])}."
    decision = choose_among(results, group)
    other = decision.standings[0].cell
    near = [each.cell for each in decision.standings if each.place in ("highest", "close")]
    fast = min(near if len(near) > 1 else group, key=lambda cell: cell.seconds or 0)
    tied = sum(each.score.value == decision.standings[0].score.value for each in decision.standings) > 1
    budget = at(training.still(*group))
    role = f"{'one of those' if tied else 'that'} with the highest score of the fine-tuned{budget}"
    if other is fast:
        other, role = max(group, key=lambda cell: cell.seconds or 0), "the slowest"
    if other is fast:
        return f"All {len(group)} methods trained in {f.seconds(fast.seconds or 0)}."
    times = f"{f.seconds(fast.seconds or 0)} against {f.seconds(other.seconds or 0)}"
    close = len(near) > 1 and len(near) < len(group) and role != "the slowest"
    who = f"Among those close to the best{at(training.still(*group))} {fast.name}" if close else fast.name
    text = f"{who} trained {_faster(fast, other)} {other.name}, {role} ({times})"
    if fast.memory and other.memory:
        text += f", and its memory peaked at {f.size(fast.memory)} against {f.size(other.memory)}"
    return " ".join([f"{text}.", *lightest(group, fast)])


def _stored(group: list[Cell]) -> list[str]:
    known = sorted((cell for cell in group if cell.stored is not None), key=lambda cell: cell.stored or 0)
    if len(known) < 2:
        return []
    least, most = (f.size(cell.stored or 0) for cell in (known[0], known[-1]))
    if least == most:
        return [f"Stored weights: {least} for every method."]
    ends = [f"{f.size(cell.stored or 0)} ({cell.name})" for cell in (known[0], known[-1])]
    return [f"Stored weights range from {ends[0]} to {ends[1]}."]


def _faster(fast: Cell, slow: Cell) -> str:
    if not fast.seconds:
        return "faster than"
    return f"{f.ratio((slow.seconds or 0) / fast.seconds)} as fast as"


def lightest(group: list[Cell], fast: Cell) -> list[str]:
    """Names the cell with the least peak memory where it is not the fastest one."""
    known = [cell for cell in group if cell.memory is not None]
    if not known:
        return ["Peak memory was not measured."]
    light = min(known, key=lambda cell: cell.memory or 0)
    if light is fast:
        return []
    return [f"{light.name} needed the least memory ({f.size(light.memory or 0)})."]


def parameter_surprise(group: list[Cell]) -> tuple[float, str] | None:
    """The pair where fewer trained parameters (by 10% or more) went with the most extra time or memory.

    Returns the larger of the two ratios and a sentence; None where no pair needs 10% more of either.
    """
    worst: tuple[float, str] | None = None
    for a in group:
        for b in group:
            if not (a.parameters and b.parameters and a.parameters < 0.9 * b.parameters):
                continue
            time = (a.seconds or 0) / b.seconds if b.seconds else 0.0
            memory = a.memory / b.memory if a.memory and b.memory else 0.0
            if max(time, memory) > (worst[0] if worst else 1.1):
                costs = [f"{f.ratio(time)} the training time"] if time else []
                costs += [f"{f.ratio(memory)} the memory"] if memory else []
                text = (
                    f"Fewer trained parameters did not mean cheaper: {a.name} trains "
                    f"{f.share(a.parameters / b.parameters)} of the parameters of {b.name}, "
                    f"with {' and '.join(costs)}."
                )
                worst = (max(time, memory), text)
    return worst


def _peak(cell: Cell) -> str:
    return f" with a peak memory of {f.size(cell.memory)}" if cell.memory is not None else ""
