"""Whether the labels of a checkpoint's head are the study's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

PLACEHOLDER = re.compile(r"(LABEL_)?\d+")
"""What transformers calls a label without a name, and a bare number: 0 and 1 mean something else in every task."""


def named(labels: Mapping[int, object]) -> bool:
    """Whether a checkpoint's labels have names of their own."""
    return bool(labels) and not all(PLACEHOLDER.fullmatch(str(name).strip()) for name in labels.values())


def match_labels(stored: Mapping[int, object], labels: Sequence[str]) -> tuple[int, ...] | None:
    """The row of each label in a stored head, in the order of `labels`; None where the names are not the same.

    `stored` has the names by row. Names match as they are, without blanks around them, or without regard to case,
    whichever is the first that tells all of them apart.
    """
    if not named(stored) or sorted(stored) != list(range(len(labels))):
        return None
    names = [str(stored[row]) for row in range(len(labels))]
    ways: tuple[Callable[[str], str], ...] = (str, str.strip, lambda name: name.strip().casefold())
    for way in ways:
        rows = {way(name): row for row, name in enumerate(names)}
        wanted = [way(label) for label in labels]
        if len(rows) == len(set(wanted)) == len(labels) and rows.keys() == set(wanted):
            return tuple(rows[label] for label in wanted)
    return None
