"""Test texts that belong together (`data.group`): their groups, and intervals that count groups instead of texts."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import outcomes
from thriftune.analysis.findings.runs import Cell
from thriftune.analysis.findings.runs import interval as wilson_of
from thriftune.analysis.statistics.basics import Floats, wilson
from thriftune.analysis.statistics.clustered import accuracy, clustered_score
from thriftune.analysis.statistics.inference import Ints, Measured
from thriftune.analysis.statistics.metric_intervals import Metric, Score, score
from thriftune.results.profile import group_ids
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

_WORD = re.compile(r"[a-z]+[a-z]")


@once
def groups_of(results: Results) -> Ints | None:
    """The group of each test text, ids from 0 without gaps; None where single texts count."""
    return None if results.study.profile.groups is None else _ids(results, results.test)


def set_groups(results: Results, name: str) -> Ints | None:
    """The group of each text of a robustness set; None where single texts count."""
    return _ids(results, results.robustness(name))


def _ids(results: Results, frame: pl.DataFrame) -> Ints | None:
    found = results.study.profile.groups
    if found is None or found.stored_as not in frame.columns:
        return None
    ids = group_ids(frame[found.stored_as])
    return None if not len(ids) or ids.max() + 1 in (1, len(ids)) else ids


def interval(results: Results, run: RunRecord) -> tuple[float, float]:
    """The 95% interval of a run's test accuracy: Wilson's, at the number of unrelated texts that groups are worth."""
    assert run.test is not None
    groups = groups_of(results)
    if groups is None:
        return wilson_of(run.test)
    found = outcomes(results)
    return share(found.predicted[run.run_id] == found.label, groups)


def cell_interval(results: Results, cell: Cell) -> tuple[float, float]:
    """From the lowest to the highest end of the intervals of a method's runs."""
    ends = [interval(results, run) for run in cell.runs if run.test is not None]
    return min(low for low, _ in ends), max(high for _, high in ends)


def share(counted: NDArray[np.bool_] | Floats, groups: Ints | None) -> tuple[float, float]:
    """The 95% interval of the share of texts that count, shape (texts,), from 0 to 1 each: Wilson's, for groups."""
    values = np.asarray(counted, dtype=np.float64)
    if groups is None or not len(values):
        return wilson(round(float(values.sum())), len(values))
    found = accuracy(values, np.unique(groups, return_inverse=True)[1])
    return found.low, found.high


def score_of(metric: Metric, method: Measured, weight: float, groups: Ints | None) -> Score:
    """A method's score with its interval, over other texts or over other groups of texts."""
    return score(metric, method, weight) if groups is None else clustered_score(metric, method, weight, groups)


def sentence(results: Results) -> str | None:
    """What intervals count: "Intervals count 1,000 premises, not 3,000 texts."; None where they count texts."""
    found = results.study.profile.groups
    if found is None or groups_of(results) is None:
        return None
    return f"Intervals count {counted(found.column, found.groups)}, not {f.count(found.texts)} texts."


def counted(column: str, number: int) -> str:
    """So many values of a column: "1,000 premises", "200 values of user_id"."""
    if not _WORD.fullmatch(column):
        return f'{f.plural(number, "value")} of "{f.one_line(column)}"'
    noun = column if column.endswith("ss") else column.removesuffix("s")
    if number == 1:
        return f"1 {noun}"
    if re.search(r"[^aeiou]y$", noun):
        noun = f"{noun[:-1]}ie"
    elif re.search(r"(s|x|ch|sh)$", noun):
        noun = f"{noun}e"
    return f"{f.count(number)} {noun}s"
