"""Errors in the models' own vectors: where they crowd, which words they share, and a map of the best run's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.errors.clusters import CLUSTERED, COMPONENTS, Regions, components, picture, regions
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, error_matrix
from thriftune.analysis.findings.errors.vocabulary import vocabulary
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.enrichment import LEVEL, adjusted, enrichment
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Map of errors"
QUESTION = "Do a model's errors lie together in its own vectors, and what do they share?"

MAP_TEXTS = 1000
"""Texts on the map: errors up to half of them, then others."""
MIN_WORD_ERRORS = 5
WORDS_SHOWN = 5
REGIONS_SHOWN = 5
CHARACTERS = 120
COLUMNS = [
    Column("run", "Run"),
    *of_kind("int", region="Region", errors="Errors in it"),
    Column("rate", "Error rate, unseen half", "percent"),
    Column("lift", "Lift", "number"),
    Column("p", "Adjusted p", "p"),
    *of_kind("text", confusion="Most frequent confusion", words="Words"),
]


@dataclass(frozen=True)
class Sample:
    """One run's vectors and errors on the texts whose vectors were kept."""

    run: RunRecord
    rows: NDArray[np.int64]
    """Rows in the test split."""
    points: Floats
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    regions: Regions

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which of the texts the run got wrong."""
        return np.not_equal(self.label, self.predicted)

    @property
    def findings(self) -> int:
        """How many regions, the first ones, have more errors than others beyond chance."""
        return int((self.regions.p <= LEVEL).sum())


def build(results: Results) -> Panel | NotApplicable:
    """Regions of each method's vectors with their words, and one map: of the most accurate with a finding.

    Vectors of two seeds have nothing in common: of several the one with the middle number of errors stands for all.
    """
    matrix = error_matrix(results)
    if matrix is None:
        return NotApplicable("No run learned, so its errors have no place of their own.")
    if not matrix.wrong.any():
        return NotApplicable("There are no errors.")
    with threadpool_limits(1):  # on a busy machine more threads wait for each other, for minutes in t-SNE
        rows_of = [_middle(matrix, method.rows) for method in matrix.methods]
        samples = [found for i in rows_of if (found := _sample(results, matrix, i)) is not None]
        if not samples:
            return NotApplicable("No run kept vectors of its test texts.")
        charts = [_chart(results, max(samples, key=_worth))]
    known = vocabulary(results)
    either = known.either
    rows = [row for sample in samples for row in _rows(results, sample, either, known.words)]
    tables = [Table("error-regions", _caption(rows), COLUMNS, rows)] if rows else []
    statistics = {"level": LEVEL, "regions": [each for sample in samples for each in _statistics(sample)]}
    return Panel(_sentences(samples, rows), tables, charts, _notes(samples), statistics)


def _middle(matrix: ErrorMatrix, rows: list[int]) -> int:
    """The run with the median number of errors, the better of two in the middle."""
    return sorted(rows, key=lambda i: int(matrix.wrong[i].sum()))[(len(rows) - 1) // 2]


def _worth(sample: Sample) -> tuple[bool, float]:
    """What orders the runs for the one map: whether there is a finding to see, then the accuracy."""
    return bool(sample.findings), sample.run.test.accuracy if sample.run.test else 0.0


def _statistics(sample: Sample) -> list[dict[str, Any]]:
    """Every region of a run, with the figures of the texts that formed no cluster."""
    numbers = sample.regions.numbers
    return [
        {"run": sample.run.run_id, "region": i + 1} | numbers.plain(i) | {"adjusted_p": float(sample.regions.p[i])}
        for i in range(len(numbers.texts))
    ]


def _sample(results: Results, matrix: ErrorMatrix, i: int) -> Sample | None:
    found = results.embeddings(matrix.runs[i])
    if found is None or len(found.rows) < 3:
        return None
    points = components(found.vectors)
    label, predicted = matrix.label[found.rows], matrix.predicted[i, found.rows]
    return Sample(matrix.runs[i], found.rows, points, label, predicted, regions(points, label != predicted))


def _rows(results: Results, sample: Sample, held: csr_matrix, words: list[str]) -> list[dict[str, Any]]:
    n = sample.regions.numbers
    out = []
    for i in range(min(REGIONS_SHOWN, sample.findings)):
        inside = sample.wrong & (sample.regions.region == i)
        shared = keywords(held[sample.rows[sample.wrong]], inside[sample.wrong])
        row: dict[str, Any] = {"run": sample.run.name, "region": i + 1, "errors": int(inside.sum())}
        row |= {"rate": float(n.rate[i]), "lift": float(n.lift[i]), "p": float(sample.regions.p[i])}
        row |= {"confusion": _confusion(results.labels, sample, inside)}
        out.append(row | {"words": f.listing([words[j] for j in shared], WORDS_SHOWN) or "none beyond chance"})
    return out


def keywords(held: csr_matrix, inside: NDArray[np.bool_]) -> list[int]:
    """Columns of words over-represented in some errors against all errors, the clearest first.

    `held` has the shape (errors, words) and holds zeros and ones.
    """
    texts = np.asarray(held.sum(axis=0)).ravel()
    enough = np.flatnonzero(texts >= MIN_WORD_ERRORS)
    if not len(enough):
        return []
    found = enrichment(
        np.asarray(inside.astype(np.float32) @ held)[enough], texts[enough], int(inside.sum()), len(inside)
    )
    clear = np.flatnonzero(adjusted(found.p) <= LEVEL)
    return [int(enough[j]) for j in clear[np.argsort(-found.low[clear], kind="stable")][:WORDS_SHOWN]]


def _confusion(labels: list[str], sample: Sample, inside: NDArray[np.bool_]) -> str:
    if not inside.any():
        return "none"
    pairs = sample.label[inside] * len(labels) + sample.predicted[inside]
    codes, counts = np.unique(pairs, return_counts=True)
    true, predicted = divmod(int(codes[counts.argmax()]), len(labels))
    return f"{labels[true]} → {labels[predicted]} ({f.percent(float(counts.max() / counts.sum()), 0)})"


def _caption(rows: list[dict[str, Any]]) -> str:
    caption = "Regions with more errors than elsewhere beyond chance, by the lower end of the lift's interval."
    return f"{caption} Up to {REGIONS_SHOWN} for each run." if max(r["region"] for r in rows) > 1 else caption


def _sentences(samples: list[Sample], rows: list[dict[str, Any]]) -> list[str]:
    out = []
    for sample in (each for each in samples if each.findings):
        first = next(row for row in rows if row["run"] == sample.run.name)
        where = "one region" if sample.findings == 1 else f"{sample.findings} regions, in the first of which"
        text = f"Errors of {sample.run.name} crowd in {where}{':' if sample.findings == 1 else ''} "
        text += f"{f.percent(first['rate'])} of the texts are errors ({f.ratio(first['lift'])} the run's rate), "
        text += f"mostly {first['confusion']}"
        out.append(f"{text}, with the words {first['words']}." if "beyond" not in first["words"] else f"{text}.")
    untried = [sample.run.name for sample in samples if not len(sample.regions.p)]
    if untried:
        who = f.listing(untried) if len(untried) <= 4 else f"{len(untried)} runs"
        out.append(f"The errors of {who} are too few or lie too far apart to form a region.")
    if none := [sample.run.name for sample in samples if len(sample.regions.p) and not sample.findings]:
        runs = f"{'the ' if out else ''}{len(none)} {'other ' if out else ''}runs" if len(none) > 4 else f.listing(none)
        out.append(f"In no region of {runs} are errors more frequent than elsewhere beyond chance.")
    return out


def _chart(results: Results, sample: Sample) -> Chart:
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(len(sample.rows))
    wrong, right = (shuffled[mask[shuffled]] for mask in (sample.wrong, ~sample.wrong))
    wrong = wrong[: max(MAP_TEXTS // 2, MAP_TEXTS - len(right))]
    drawn = np.sort(np.concatenate([wrong, right[: MAP_TEXTS - len(wrong)]]))
    places = picture(sample.points[drawn])
    columns = results.study.profile.text_columns
    texts = results.test[columns][sample.rows[drawn].tolist()].rows()
    rows = [
        {
            "x": chart.short(float(x)),
            "y": chart.short(float(y)),
            "series": _series(sample, int(i)),
            "true": results.labels[int(sample.label[i])],
            "predicted": results.labels[int(sample.predicted[i])],
            "text": " / ".join(str(part)[:CHARACTERS] for part in text if part is not None),
        }
        for i, (x, y), text in zip(drawn, places, texts, strict=True)
    ]
    tooltip = chart.tips(series="outcome", true="true", predicted="predicted", text="text")
    outcomes = {_series(sample, int(i)) for i in drawn}
    names = sorted(outcomes, key=lambda name: (name != "right", name))
    spec = planes.scatter(rows, series=names, tooltip=tooltip)
    description = (
        f"Map of {len(drawn):,} test texts by {sample.run.name}'s own vectors (t-SNE): neighbours look alike to the "
        f"model. {len(wrong):,} of them are errors; only regions beyond chance are marked."
    )
    return Chart("error-map", f"Map of errors, {sample.run.name}", description, spec)


def _series(sample: Sample, i: int) -> str:
    if not sample.wrong[i]:
        return "right"
    region = int(sample.regions.region[i])
    if 0 <= region < min(REGIONS_SHOWN, sample.findings):
        return f"error, region {region + 1}"
    return "error elsewhere" if sample.findings else "error"


def _notes(samples: list[Sample]) -> list[str]:
    return [
        f"What the head reads of up to {max(len(sample.rows) for sample in samples):,} test texts, reduced to "
        f"{CLUSTERED} principal components ({COMPONENTS} for the map). HDBSCAN clusters the errors among every other "
        "text; the rates come from the texts in between, with one-sided Fisher tests at "
        f"{LEVEL:g} after Bonferroni's correction.",
        "A fine-tuned model's vectors follow what it predicts: a region often lies between two labels. Words: those "
        "over-represented among the region's errors against all of the run's sampled errors (Benjamini and Hochberg). "
        "On the map, distances between groups mean nothing.",
    ]
