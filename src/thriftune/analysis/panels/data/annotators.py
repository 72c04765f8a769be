"""Errors by how far several annotators agreed on a text's label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, numbered
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.groups import groups_of, share
from thriftune.analysis.findings.runs import comparable
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Annotators' agreement"
QUESTION = "Are the errors on texts whose label the annotators disagreed about?"

SMALL = 20
"""Groups of fewer texts are counted but not spoken of."""


@dataclass(frozen=True)
class Votes:
    """The labels that single annotators gave."""

    columns: list[str]
    ids: NDArray[np.int64]
    """Label ids, (texts, annotators); -1 where an annotator gave none of the labels."""

    def agreement(self, label: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many annotators gave the text's label, (texts,)."""
        return np.asarray((self.ids == label[:, None]).sum(axis=1))

    @property
    def given(self) -> NDArray[np.int64]:
        """How many annotators gave a label at all, (texts,)."""
        return np.asarray((self.ids >= 0).sum(axis=1))


def build(results: Results) -> Panel | NotApplicable:
    """Error rates by agreement, and how often an error is a label that some annotator gave."""
    runs = comparable(results) or results.done
    if not runs:
        return NotApplicable("No run has test predictions.")
    votes = read_votes(results.test, results.labels, results.study.profile.text_columns)
    if votes is None:
        return NotApplicable("The test texts carry no labels of single annotators; data.keep can name such columns.")
    read = {run.name: predictions.read(results, run) for run in runs}
    label = next(iter(read.values())).label
    known = votes.given >= 2
    if not known.any():
        return NotApplicable(f"No test text has two labels in {f.listing(votes.columns)}.")
    groups = _groups(votes, label, known)
    wrong = np.stack([each.wrong for each in read.values()])
    predicted = np.stack([each.predicted for each in read.values()])
    supported = (votes.ids[None] == predicted[:, :, None]).any(axis=2)
    together = groups_of(results)
    table = _table(runs, groups, wrong, together)
    kept = ", ".join(votes.columns)
    notes = [
        f"Annotators' labels: {kept}. Agreement counts those who gave the text's label, out of those who gave any; "
        f"{f.count(int((~known).sum()))} texts with fewer than two are left out.",
        "Error rates are means over the runs that learned; intervals are Wilson's for one run's mean rate.",
    ]
    errors = int((wrong & known).sum())
    statistics: dict[str, Any] = {
        "columns": votes.columns,
        "error_rates": [_statistics(runs, name, texts, wrong, together) for name, texts in groups.items()],
        "errors_that_an_annotator_gave": int((supported & wrong & known).sum()) / errors if errors else None,
    }
    if not errors:
        statistics["errors_that_an_annotator_gave_reason"] = "there are no errors"
    sentences = _sentences(groups, wrong, supported & wrong, known, together)
    return Panel(sentences, [table], [_chart(runs, groups, wrong)], notes, statistics)


def _interval(wrong: NDArray[np.bool_], texts: NDArray[np.bool_], together: Ints | None) -> tuple[float, float]:
    """Of the runs' mean error rate on some texts."""
    return share(wrong[:, texts].mean(axis=0), None if together is None else together[texts])


def _statistics(
    runs: list[RunRecord], name: str, texts: NDArray[np.bool_], wrong: NDArray[np.bool_], together: Ints | None
) -> dict[str, Any]:
    rates = {run.run_id: float(rate) for run, rate in zip(runs, wrong[:, texts].mean(axis=1), strict=True)}
    total, rate = int(texts.sum()), float(wrong[:, texts].mean())
    interval = list(_interval(wrong, texts, together))
    return {"agreement": name, "texts": total, "error_rate": rate, "interval_95": interval, "by_run": rates}


def read_votes(test: pl.DataFrame, labels: list[str], texts: list[str]) -> Votes | None:
    """The annotators' columns among the kept ones: two or more that hold the study's labels, blanks or "-".

    One column of lists (one label per annotator) does as well. None where there are none.
    """
    kept = [name for name in test.columns if name not in ("example", "label", *texts)]
    blank = ["", "-", "-1"]
    ids = {label: i for i, label in enumerate(labels)} | dict.fromkeys(blank, -1)

    def is_label(column: pl.Series) -> bool:
        values = set(column.drop_nulls().cast(pl.String).unique().to_list())
        return values <= set(ids) and bool(values & set(labels))

    columns: dict[str, pl.Series] = {}
    for name in kept:
        column = test[name]
        if column.dtype == pl.List(pl.String) and is_label(column.explode()):
            width = int(column.list.len().max() or 0)  # type: ignore[arg-type]
            columns |= {f"{name} {i + 1}": column.list.get(i, null_on_oob=True) for i in range(width)}
        elif not column.dtype.is_nested() and is_label(column):
            columns[name] = column
    if len(columns) < 2:
        return None
    given = [
        column.cast(pl.String).fill_null("-").replace_strict(ids, return_dtype=pl.Int64).to_numpy()
        for column in columns.values()
    ]
    return Votes(list(columns), np.stack(given, axis=1))


def _groups(votes: Votes, label: NDArray[np.int64], known: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Texts by agreement, fullest first: "5 of 5", "4 of 5"."""
    agreed, given = votes.agreement(label), votes.given
    pairs = sorted(
        {(int(a), int(g)) for a, g in zip(agreed[known], given[known], strict=True)},
        key=lambda pair: (-pair[0] / pair[1], -pair[1]),
    )
    return {f"{a} of {g}": known & (agreed == a) & (given == g) for a, g in pairs}


def _sentences(
    groups: dict[str, NDArray[np.bool_]],
    wrong: NDArray[np.bool_],
    supported: NDArray[np.bool_],
    known: NDArray[np.bool_],
    together: Ints | None,
) -> list[str]:
    rates = {name: float(wrong[:, texts].mean()) for name, texts in groups.items() if texts.sum() >= SMALL}
    out = []
    if len(rates) > 1:
        ranked = list(rates.items())
        (first, low), (last, high) = ranked[0], ranked[-1]
        least, most = (_interval(wrong, groups[name], together) for name in (first, last))
        separate = least[1] < most[0]
        out.append(
            f"Where {first} annotators gave the label, {f.percent(low)} of the texts are classified wrongly; where "
            f"{last} did, {f.percent(high)}"
            + (": errors go with disagreement." if separate else "; the intervals overlap.")
        )
    else:
        out.append("All texts have the same agreement, or too few have another.")
    errors = wrong & known
    if errors.any():
        share = float((supported & known).sum() / errors.sum())
        out.append(f"In {f.percent(share, 0)} of the errors at least one annotator gave the predicted label.")
    return out


def _table(
    runs: list[RunRecord], groups: dict[str, NDArray[np.bool_]], wrong: NDArray[np.bool_], together: Ints | None
) -> Table:
    columns = [
        Column("agreement", "Annotators who gave the label"),
        Column("texts", "Texts", "int"),
        Column("rate", "Error rate, mean of runs", "percent"),
        Column("interval", "95% interval"),
        *numbered((run.name for run in runs), "percent"),
    ]
    rows: list[dict[str, Any]] = []
    for name, texts in groups.items():
        total, rate = int(texts.sum()), float(wrong[:, texts].mean())
        row = {
            "agreement": name,
            "texts": total,
            "rate": rate,
            "interval": f.percent_range(*_interval(wrong, texts, together)),
        }
        rows.append(row | {f"r{i}": float(wrong[i, texts].mean()) for i in range(len(runs))})
    return Table("annotators", "Error rate by agreement.", columns, rows)


def _chart(runs: list[RunRecord], groups: dict[str, NDArray[np.bool_]], wrong: NDArray[np.bool_]) -> Chart:
    rows = [
        {
            "name": name,
            "series": run.name,
            "value": chart.short(float(wrong[i, texts].mean())),
            "texts": int(texts.sum()),
        }
        for name, texts in groups.items()
        for i, run in enumerate(runs)
    ]
    tips = chart.tips(series="run", name="annotators", value=("error rate", ".1%"), texts=("texts", ","))
    names = [run.name for run in runs]
    spec = categories.dots(
        rows, x_title="error rate", order=list(groups), series=names, tooltip=tips, axis=chart.PERCENT_AXIS
    )
    description = "Points: each run's error rate by how many annotators gave the text's label."
    return Chart("annotators", "Errors by agreement", description, spec)
