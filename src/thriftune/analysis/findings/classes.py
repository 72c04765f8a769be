"""Which classes are shown where there are too many for all of them."""

from __future__ import annotations

import math

from thriftune.analysis.findings.runs import Cell, comparable
from thriftune.results.scores import Scores
from thriftune.results.store import Results

DRAWN = 40
"""Classes that a chart shows at most."""
LISTED = 100
"""Classes that a run's table shows at most."""
FEWEST = 10
MARKS = 4_000
"""Of one chart; with many runs it shows fewer classes."""
CELLS = 20_000
"""Of all confusion matrices together."""


def fitting(most: int, per_class: int, marks: int = MARKS) -> int:
    """How many classes of `per_class` marks each are shown: at most `most`, at least FEWEST."""
    return max(FEWEST, min(most, marks // max(1, per_class)))


def confusable(runs: int) -> int:
    """How many classes each of so many confusion matrices shows."""
    return max(FEWEST, min(DRAWN, math.isqrt(CELLS // max(1, runs))))


def most_wrong(results: Results, methods: list[Cell], count: int) -> list[str]:
    """At most `count` labels of the test texts, by the methods' mean error rate, the highest first.

    The mean is over the fine-tuned methods that learned, or over all where there are none. Classes without test texts
    are left out.
    """
    able = {run.run_id for run in comparable(results)}
    tuned = [cell for cell in methods if cell.runs[0].run_id in able] or methods
    found = [run.test for cell in tuned for run in cell.runs if run.test is not None]
    if not found:
        return []
    labels = [label for label in results.labels if found[0].per_class[label].support]
    rates = {label: sum(1 - test.per_class[label].recall for test in found) for label in labels}
    return sorted(labels, key=lambda label: -rates[label])[:count]


def lowest(found: list[Scores], count: int) -> list[str]:
    """All labels where they are no more than `count`; else those with the lowest mean F1, in label order.

    Classes without test texts, whose F1 says nothing, come last.
    """
    return _lowest(list(found[0].per_class), found, count)


def _lowest(labels: list[str], found: list[Scores], count: int) -> list[str]:
    if len(labels) <= count:
        return labels

    def place(i: int) -> tuple[bool, float, int]:
        scores = [test.per_class[labels[i]] for test in found]
        supports = [each.support for each in scores]
        return not any(supports), sum(each.f1 for each in scores), -max(supports, default=0)

    return [labels[i] for i in sorted(sorted(range(len(labels)), key=place)[:count])]


def most_confused(confusion: list[list[int]], count: int) -> list[int]:
    """All label ids where they are no more than `count`; else those of the most frequent confusions, in order."""
    if len(confusion) <= count:
        return list(range(len(confusion)))
    pairs = [(-n, i, j) for i, row in enumerate(confusion) if any(row) for j, n in enumerate(row) if n and i != j]
    chosen: set[int] = set()
    for _, i, j in sorted(pairs):
        if len(chosen | {i, j}) > count:
            break
        chosen |= {i, j}
    frequent = sorted(range(len(confusion)), key=lambda i: -confusion[i][i])
    for i in frequent:  # a run without so many errors
        if len(chosen) >= min(count, FEWEST):
            break
        chosen.add(i)
    return sorted(chosen)
