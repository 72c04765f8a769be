"""Which classes are shown where there are too many for all of them."""

from __future__ import annotations

import math

from thriftune.analysis.findings.runs import comparable
from thriftune.results.record import RunRecord
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


def hardest(results: Results, count: int) -> list[str]:
    """All labels where they are no more than `count`; else those with the lowest mean F1, in label order.

    The mean is over the fine-tuned runs that learned (over all with scores where none did). Classes without test
    texts, whose F1 says nothing, come last.
    """
    labels = results.labels
    if len(labels) <= count:
        return labels
    found = [run.test for run in comparable(results) or results.done if run.test is not None]
    ranked = sorted(
        range(len(labels)),
        key=lambda i: (
            not any(test.per_class[labels[i]].support for test in found),
            sum(test.per_class[labels[i]].f1 for test in found),
            -max((test.per_class[labels[i]].support for test in found), default=0),
        ),
    )
    return [labels[i] for i in sorted(ranked[:count])]


def run_hardest(test: Scores, count: int) -> list[str]:
    """The same of one run, by its own F1."""
    labels = list(test.per_class)
    if len(labels) <= count:
        return labels
    scores = list(test.per_class.values())
    ranked = sorted(range(len(labels)), key=lambda i: (not scores[i].support, scores[i].f1, -scores[i].support))
    return [labels[i] for i in sorted(ranked[:count])]


def most_confused(run: RunRecord, count: int) -> list[int]:
    """All label ids where they are no more than `count`; else those of the run's most frequent confusions, in order."""
    confusion = run.test.confusion if run.test else []
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
