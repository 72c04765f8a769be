"""Which score should decide: macro F1 where classes are of very unequal size and there are test texts to tell."""

from __future__ import annotations

from collections.abc import Mapping

UNEQUAL = 10
"""The largest class has more than so many times the smallest one's rows: accuracy then says little of the rare ones."""
FEWEST_TEXTS = 10
"""Of every class, for an interval of macro F1 (`analysis.statistics.metric_intervals`)."""


def deciding_metric(rows: Mapping[str, int], test: Mapping[str, int]) -> tuple[str | None, str | None]:
    """The `decide_by` to write in the place of accuracy, and why, or why not; None for both where classes are alike.

    `rows` and `test` count rows by class, of train and of test; `test` is empty where it is not known.
    """
    largest, smallest = max(rows, key=lambda name: rows[name]), min(rows, key=lambda name: rows[name])
    if not rows[smallest] or rows[largest] <= UNEQUAL * rows[smallest]:
        return None, None
    unequal = f"{largest} has {rows[largest]:,} rows and {smallest} {rows[smallest]:,}"
    few = {name: count for name, count in test.items() if count < FEWEST_TEXTS}
    if not test:
        return None, f"{unequal}; accuracy decides, since the test texts of each class are not known yet."
    if few:
        rarest = min(few, key=lambda name: few[name])
        has = "class has" if len(few) == 1 else "classes have"
        return None, (
            f"{unequal}, and accuracy says little of rare classes. It decides all the same: {len(few)} {has} fewer "
            f"than {FEWEST_TEXTS} test texts ({rarest} {few[rarest]}), too few to tell methods apart by macro F1."
        )
    return "macro_f1", f"decide_by macro_f1: {unequal}, and accuracy says little of rare classes."
