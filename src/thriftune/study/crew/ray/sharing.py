"""Which runs were on one node at the same time: their seconds say less than those of a run that was alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from thriftune.study.crew.ray.mailbox import Began

OPEN = float("inf")


@dataclass
class Sharing:
    """Keeps account of who was where when, by the nodes' own clocks: what is told arrives late."""

    _nodes: dict[str, dict[int, tuple[float, float]]] = field(default_factory=dict)
    """From when until when tasks were there, by node and task."""
    _places: dict[int, str] = field(default_factory=dict)

    def began(self, task: int, place: Began) -> None:
        """A task runs; where it was before it runs no longer."""
        self.ended(task, place.at)
        self._nodes.setdefault(place.node, {})[task] = (place.at, OPEN)
        self._places[task] = place.node

    def ended(self, task: int, at: float) -> int:
        """A task has ended; the most others that were on its node at once meanwhile."""
        node = self._places.pop(task, None)
        if node is None:
            return 0
        spans = self._nodes[node]
        start = spans[task][0]
        spans[task] = (start, at)
        others = [span for other, span in spans.items() if other != task and span[0] < at and span[1] > start]
        moments = [max(start, begun) for begun, _ in others]
        return max((sum(begun <= moment < until for begun, until in others) for moment in moments), default=0)
