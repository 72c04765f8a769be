"""Scores against a cost, laid out: points with their intervals, the front, ticks, and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from thriftune import wording as f
from thriftune.analysis.findings.decision import Decision, Standing
from thriftune.report.leaderboard import colour_class
from thriftune.results.store import Results

WIDTHS = {"wide": 560, "narrow": 360}
"""Pixels, where there is room for answers beside it and on a phone."""
HEIGHT = 270
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 34
LETTER, LINE = 6.3, 14.0
"""Pixels of a label's letter and line."""
BOLD = 1.1
"""So many times as wide is the name of the method to take."""
LONGEST = 22
"""Letters of a label."""
LABELLED = 14
"""Points that are labelled at most: the front and the best first."""
LOG = 8.0
"""Costs that span more than this ratio have a logarithmic axis."""
SECONDS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)
NEXT_SECONDS = (0.003, 0.03, 0.3, 3, 30, 180, 1800, 10_800)
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18_000, 36_000, 86_400)
TICKS = 4


@dataclass(frozen=True)
class Point:
    """One method; pixels from the top left."""

    x: float
    y: float
    low: float | None
    """The lower end of the score's interval, which has the larger number of pixels; None where there is no interval."""
    high: float | None
    name: str
    text: str
    """All of it in words."""
    taken: bool
    baseline: bool
    candidate: bool
    colour: str
    label: str | None
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True)
class Plane:
    """One scatter plot, laid out for one width."""

    name: str
    title: str
    size: str
    """A key of `WIDTHS`."""
    width: int
    points: list[Point]
    front: str
    """The `points` of a polyline: at every cost the highest score for no more."""
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    axis: str
    """What the horizontal axis shows."""
    description: str
    log: bool


def planes(results: Results, decision: Decision, what: str) -> list[Plane]:
    """The score against time and against memory; one is missing where fewer than two methods have that cost."""
    found = [
        _plane(results, decision, name, f"{what} against {axis}", axis, of, size)
        for name, axis, of in (
            ("time", "training time", lambda each: each.cell.seconds),
            ("memory", "peak memory", lambda each: each.cell.memory),
        )
        for size in WIDTHS
    ]
    return [each for each in found if each is not None]


def _plane(
    results: Results,
    decision: Decision,
    name: str,
    title: str,
    axis: str,
    of: Callable[[Standing], float | None],
    size: str,
) -> Plane | None:
    width = WIDTHS[size]
    known = [
        (each, value)
        for each in decision.standings
        if each.place != "not learned" and (value := of(each)) is not None and value > 0
    ]
    if len(known) < 2:
        return None
    write = f.short_seconds if name == "time" else f.short_size
    costs = [value for _, value in known]
    log = max(costs) > LOG * min(costs)
    x = _axis(min(costs), max(costs), LEFT + 12, width - RIGHT - 12, log)
    ends = [end for each, _ in known for end in (each.score.value, *(each.interval or ()))]
    lowest, highest = min(ends), max(ends)
    room = max(0.01, highest - lowest) * 0.04
    y = _axis(lowest - room, highest + room, HEIGHT - BOTTOM, TOP, False)
    bare = [_point(results, decision, each, x(cost), y, write(cost)) for each, cost in known]
    front = _front(known)
    order = sorted(range(len(known)), key=lambda i: (not bare[i].taken, i not in front, i))
    corners = _line([(bare[i].x, bare[i].y) for i in front], width)
    return Plane(
        name=name,
        title=title,
        size=size,
        width=width,
        points=_labelled(bare, order, corners, width),
        front=" ".join(f"{x:g},{y:g}" for x, y in corners),
        x_ticks=[(x(value), _tick(name, value)) for value in _ticks(name, min(costs), max(costs), log)],
        y_ticks=[
            (y(value), decision.deciding.said(value).replace(".0%", "%"))
            for value in _nice(lowest - room, highest + room)
        ],
        axis=f"{axis}{' (log)' if log else ''}",
        description=f"{title}. {'; '.join(point.text for point in bare)}. Not beaten in both: "
        f"{f.listing([known[i][0].name for i in front], 12)}.",
        log=log,
    )


def _axis(low: float, high: float, start: float, end: float, log: bool) -> Callable[[float], float]:
    if log:
        low, high = math.log(low), math.log(high)
    span = high - low or 1.0
    return lambda value: round(start + (end - start) * ((math.log(value) if log else value) - low) / span, 1)


def _point(
    results: Results, decision: Decision, each: Standing, x: float, y: Callable[[float], float], cost: str
) -> Point:
    low, high = each.interval or (None, None)
    said = decision.deciding.said
    between = "" if low is None or high is None else f" ({said(low)} to {said(high)})"
    return Point(
        x=x,
        y=y(each.score.value),
        low=None if low is None else y(low),
        high=None if high is None else y(high),
        name=each.name,
        text=f"{each.name}: {said(each.score.value)}{between}, {cost}",
        taken=each is decision.taken,
        baseline=each.baseline,
        candidate=each.could_be_best,
        colour=colour_class(results, each.name),
        label=None,
    )


def _front(known: Sequence[tuple[Standing, float]]) -> list[int]:
    """Those that no other beats in both score and cost, by cost."""
    front: list[int] = []
    for i in sorted(range(len(known)), key=lambda i: (known[i][1], -known[i][0].score.value)):
        if not front or known[i][0].score.value > known[front[-1]][0].score.value:
            front.append(i)
    return front


def _line(corners: Sequence[tuple[float, float]], width: int) -> list[tuple[float, float]]:
    """A staircase through the corners, on to the right edge."""
    out: list[tuple[float, float]] = []
    for i, (x, y) in enumerate(corners):
        if i:
            out.append((x, corners[i - 1][1]))
        out.append((x, y))
    return [*out, (width - RIGHT, corners[-1][1])]


Box = tuple[float, float, float, float]


def _labelled(
    points: Sequence[Point], order: Sequence[int], front: Sequence[tuple[float, float]], width: int
) -> list[Point]:
    """The points with labels beside those for which there is room, in this order of importance."""
    taken: list[Box] = [(p.x - 5, p.y - 5, p.x + 5, p.y + 5) for p in points]
    taken += [(p.x - 2, p.high, p.x + 2, p.low) for p in points if p.high is not None and p.low is not None]
    taken += [(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in pairwise(front)]
    out = list(points)
    for i in order[:LABELLED]:
        point = points[i]
        text = f.middle_cut(point.name, LONGEST)
        wide = len(text) * LETTER * (BOLD if point.taken else 1)
        for x, y, anchor in _places(point, wide, width):
            left = x if anchor == "start" else x - wide if anchor == "end" else x - wide / 2
            box = (left, y - LINE + 4, left + wide, y + 2)
            inside = box[0] >= LEFT and box[2] <= width and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                values = {**vars(point), "label": text, "label_x": round(x, 1), "label_y": round(y, 1)}
                out[i] = Point(**{**values, "anchor": anchor})
                break
    return out


def _places(point: Point, wide: float, width: int) -> Iterator[tuple[float, float, str]]:
    yield point.x + 9, point.y + 4, "start"
    yield point.x - 9, point.y + 4, "end"
    middle = min(max(point.x, LEFT + wide / 2), width - RIGHT - wide / 2)
    low, high = point.low or point.y, point.high or point.y
    for y in (high - 5, low + 13):
        yield middle, y, "middle"
    for shift in (-10, 16, -22, 28):
        yield point.x + 7, point.y + shift, "start"
        yield point.x - 7, point.y + shift, "end"


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ticks(name: str, low: float, high: float, log: bool) -> list[float]:
    if not log and name == "time":
        step = next((step for step in STEPS if (high - low) / step <= TICKS), STEPS[-1])
        return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    if not log:
        return _nice(low, high)
    whole = SECONDS if name == "time" else [10.0**power for power in range(3, 15)]
    between = NEXT_SECONDS if name == "time" else [3 * value for value in whole]
    found = [value for value in whole if low <= value <= high]
    return found if len(found) > 1 else sorted(value for value in (*whole, *between) if low <= value <= high)


def _nice(low: float, high: float) -> list[float]:
    """Round numbers within a range, about `TICKS` of them."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(power * k for k in (1, 2, 5, 10) if span / (power * k) <= TICKS)
    first = math.ceil(low / step - 1e-9)
    return [round(step * i, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(name: str, value: float) -> str:
    if name == "memory":
        amount, unit = f.size(value).split(" ")
        return f"{float(amount):g} {unit}"
    unit, seconds = next(((u, n) for u, n in (("h", 3600), ("min", 60)) if value >= n and value % n == 0), ("s", 1))
    return f"{value / seconds:g} {unit}"
