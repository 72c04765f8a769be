"""Several studies side by side: whether their scores can be compared, and how their methods differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.analysis.findings.deciding import metric_of, usable
from thriftune.analysis.findings.decision import Decision, choose_among, decide
from thriftune.analysis.findings.runs import Cell
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import Embeddings
from thriftune.results.store import Results

if TYPE_CHECKING:
    import polars as pl

MACHINE = ("processor", "gpu", "device", "threads")
"""Of an environment, what times and memory depend on most."""


@dataclass(frozen=True)
class Difference:
    """One method in two studies, on the same test texts: the second minus the first."""

    method: str
    value: float
    low: float | None
    """Of the 95% interval; None where the metric has none on these texts."""
    high: float | None


@dataclass(frozen=True)
class Beside:
    """Studies side by side."""

    studies: list[Results]
    titles: list[str]
    """What tells them apart, for people."""
    decisions: list[Decision]
    methods: list[str]
    """The names of all methods, in the order of the first study that has them."""
    same_test: bool
    """Whether all have the same test texts with the same labels: then scores can be compared, text by text."""
    why_not: str
    """What keeps scores from being compared; empty where nothing does."""
    machines: list[str]
    differences: dict[str, list[Difference | None]]
    """By method: every study after the first against the first; None where one of the two lacks it."""

    @property
    def same_machine(self) -> bool:
        """Whether times and memory were measured on machines of one kind."""
        return len(set(self.machines)) == 1


def beside(studies: Sequence[Results], titles: Sequence[str]) -> Beside:
    """Two or more studies: their own decisions, and each method that several have compared where that is sound."""
    decisions = [decide(each) for each in studies]
    methods = list(dict.fromkeys(standing.name for decision in decisions for standing in decision.standings))
    why_not = _why_not(studies)
    differences: dict[str, list[Difference | None]] = {}
    if not why_not:
        together = Together(studies)
        differences = {
            name: [_difference(together, name, index) for index in range(1, len(studies))] for name in methods
        }
    return Beside(
        studies=list(studies),
        titles=list(titles),
        decisions=decisions,
        methods=methods,
        same_test=not why_not,
        why_not=why_not,
        machines=[_machine(each.study.environment) for each in studies],
        differences=differences,
    )


def _why_not(studies: Sequence[Results]) -> str:
    first = studies[0]
    for other in studies[1:]:
        if sorted(first.labels) != sorted(other.labels):
            return "their labels differ"
        if _matching(first, other) is None:
            return f"their test texts or labels differ ({first.test.height:,} and {other.test.height:,} texts)"
        if metric_of(first) != metric_of(other):
            return f"one decides by {metric_of(first)}, another by {metric_of(other)}"
    return ""


def _matching(first: Results, other: Results) -> np.ndarray | None:
    """For each test text of the first its row in the other; None where the two do not hold the same."""
    one, two = (_keys(each) for each in (first, other))
    names = [name for name in one.columns if name != "row"]
    if one.columns != two.columns or not one[names].equals(two[names]):
        return None
    rows = np.empty(one.height, dtype=np.int64)
    rows[one["row"].to_numpy()] = two["row"].to_numpy()
    return rows


def _keys(results: Results) -> pl.DataFrame:
    """Texts (whatever their columns are called) and labels, sorted, with their rows."""
    import polars as pl

    texts = results.study.profile.text_columns
    columns = [pl.col(name).alias(f"text {i}") for i, name in enumerate(texts)]
    frame = results.test.select(*columns, pl.col("label")).with_row_index("row")
    return frame.sort([*(f"text {i}" for i in range(len(texts))), "label"], maintain_order=True)


def _machine(environment: dict[str, Any]) -> str:
    return ", ".join(
        f"{environment[key]} threads" if key == "threads" else str(environment[key])
        for key in MACHINE
        if environment.get(key) is not None
    )


class Together(Results):
    """Studies on the same test texts as one, every run under a name of its own."""

    def __init__(self, studies: Sequence[Results]) -> None:
        self._from = {f"{i} {run.run_id}": (each, run) for i, each in enumerate(studies) for run in each.runs}
        self._rows = [_matching(studies[0], each) for each in studies]
        self._places = {id(each): i for i, each in enumerate(studies)}
        runs = [
            replace(run, run_id=key, name=f"{key.split()[0]} {run.name}", cell=f"{key.split()[0]} {run.cell}")
            for key, (_, run) in self._from.items()
        ]
        super().__init__(studies[0].store, replace(studies[0].study, runs=runs))

    def predictions(self, run: RunRecord, name: str = "test") -> pl.DataFrame:
        """As the study has them, in the first study's order of texts."""
        results, own = self._from[run.run_id]
        frame = results.predictions(own, name)
        rows = self._rows[self._places[id(results)]]
        return frame[rows] if name == "test" and rows is not None else frame

    def has_predictions(self, run: RunRecord, name: str) -> bool:
        """As the study says."""
        results, own = self._from[run.run_id]
        return results.has_predictions(own, name)

    def dynamics(self, run: RunRecord) -> pl.DataFrame | None:
        """As the study has them."""
        results, own = self._from[run.run_id]
        return results.dynamics(own)

    def embeddings(self, run: RunRecord) -> Embeddings | None:
        """As the study has them."""
        results, own = self._from[run.run_id]
        return results.embeddings(own)

    def history(self, run: RunRecord) -> tuple[list[StepPoint], list[EpochPoint]]:
        """As the study has it."""
        results, own = self._from[run.run_id]
        return results.history(own)


def _difference(together: Together, method: str, index: int) -> Difference | None:
    """The paired difference of a method in the study of that index from the first study."""
    first, second = (_cell(together, f"{i} {method}") for i in (0, index))
    if first is None or second is None:
        return None
    decision = choose_among(together, [first, second])
    one, two = (decision.of(cell.name) for cell in (first, second))
    if one is None or two is None:
        return None
    value = two.score.value - one.score.value
    below = two.below if one.below is None else one.below
    if below is None:
        return Difference(method, value, None, None)
    low, high = (-below[1], -below[0]) if one.below is None else below
    return Difference(method, value, low, high)


def _cell(together: Together, name: str) -> Cell | None:
    return next((cell for cell in usable(together) if cell.runs[0].cell == name or cell.name == name), None)
