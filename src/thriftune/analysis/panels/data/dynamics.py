"""The training texts by how sure training was of their label, and how much that changed from epoch to epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.runs import comparable
from thriftune.analysis.findings.texts import text_cells, text_columns
from thriftune.analysis.statistics.basics import Floats
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Training dynamics"
QUESTION = "Which training texts are easy, which hard, and which does training keep changing its mind about?"

BINS = 25
MAPS = 8
ROWS = 50


@dataclass(frozen=True)
class Dynamics:
    """One run's training, text by text."""

    run: RunRecord
    true_probability: NDArray[np.float32]
    """(epochs, texts)."""

    @property
    def confidence(self) -> Floats:
        """Mean probability of the true label over the epochs, (texts,)."""
        return np.asarray(self.true_probability.mean(axis=0, dtype=np.float64))

    @property
    def variability(self) -> Floats:
        """Its standard deviation over the epochs, (texts,)."""
        return np.asarray(self.true_probability.std(axis=0, dtype=np.float64))


def build(results: Results) -> Panel | NotApplicable:
    """The map of each run (Swayamdipta et al., 2020), and the texts at its corners."""
    found = [each for each in (read(results, run) for run in comparable(results)) if each is not None]
    if not found:
        return NotApplicable("No run that learned has training dynamics.")
    if max(len(each.true_probability) for each in found) < 2:
        return NotApplicable("Training took one epoch; how much changes between epochs needs two.")
    confidence = np.mean([each.confidence for each in found], axis=0)
    variability = np.mean([each.variability for each in found], axis=0)
    tables = [_shares(found)]
    if results.train is not None:
        tables += [
            _texts(results, "hardest", "lowest confidence first", np.argsort(confidence), confidence, variability),
            _texts(
                results, "ambiguous", "highest variability first", np.argsort(-variability), confidence, variability
            ),
        ]
    spans = _span([each.variability for each in found]), _span([each.confidence for each in found])
    best = max(found, key=lambda each: each.run.test.accuracy if each.run.test else 0.0)
    drawn = [best, *(each for each in found if each is not best)][:MAPS]
    charts = [_map(i, each, spans) for i, each in enumerate(drawn)]
    statistics: dict[str, Any] = {
        "runs": [
            {
                "run": each.run.run_id,
                "epochs": len(each.true_probability),
                "mean_confidence": float(each.confidence.mean()),
                "mean_variability": float(each.variability.mean()),
            }
            | {f"above_half_{when}": share for when, share in _kinds(each).items()}
            for each in found
        ],
        "mean_rank_correlation_of_confidence": _agreement(found),
    }
    if len(found) == 1:
        statistics["mean_rank_correlation_of_confidence_reason"] = "one run"
    return Panel(_sentences(results, found, confidence), tables, charts, _notes(found), statistics)


def _agreement(found: list[Dynamics]) -> float | None:
    """The mean rank correlation of the runs' confidence over pairs of runs; None with one run."""
    if len(found) < 2:
        return None
    ranks = np.stack([rankdata(each.confidence) for each in found])
    return float(np.corrcoef(ranks)[np.triu_indices(len(found), 1)].mean())


def read(results: Results, run: RunRecord) -> Dynamics | None:
    """A run's dynamics over the epochs that saw every text; None where it has none."""
    frame = results.dynamics(run)
    if frame is None:
        return None
    frame = frame.filter(frame["p_true"].is_not_null() & frame["p_true"].is_not_nan())
    texts = frame["example"].n_unique() if results.train is None else results.train.height
    counts = frame["epoch"].value_counts()
    whole = counts.filter(counts["count"] == texts)["epoch"]  # training may have ended within an epoch
    frame = frame.filter(frame["epoch"].is_in(whole.implode()))
    epochs = frame["epoch"].n_unique()
    if not epochs:
        return None
    return Dynamics(run, frame["p_true"].to_numpy().reshape(epochs, -1))


def _kinds(each: Dynamics) -> dict[str, float]:
    """Shares of the texts whose label was more probable than all others together always, sometimes and never."""
    above = each.true_probability > 0.5
    always, never = above.all(axis=0).mean(), (~above.any(axis=0)).mean()
    return {"always": float(always), "changing": float(1 - always - never), "never": float(never)}


def _sentences(results: Results, found: list[Dynamics], confidence: Floats) -> list[str]:
    kinds = {each.run.name: _kinds(each) for each in found}
    spans = {key: [kind[key] for kind in kinds.values()] for key in ("always", "changing", "never")}
    text = {key: f.percent_range(min(values), max(values), 0) for key, values in spans.items()}
    out = [
        f"Training gave the true label more than half of the probability in every epoch for {text['always']} of the "
        f"training texts, in some epochs for {text['changing']}, and in none for {text['never']}."
    ]
    correlation = _agreement(found)
    if correlation is not None:
        out.append(
            f"The runs {'agree' if correlation >= 0.5 else 'agree little'} on which texts are hard: mean rank "
            f"correlation of their confidence {correlation:.2f}."
        )
    hardest = np.argsort(confidence, kind="stable")[: max(1, len(confidence) // 20)]
    if results.train is not None:
        labels = results.train["label"]
        counts = labels[hardest].value_counts(sort=True)
        top = counts["label"][0]
        share, base = float((labels[hardest] == top).mean()), float((labels == top).mean())
        out.append(
            f"Of the hardest twentieth {f.percent(share, 0)} are labelled {top} ({f.percent(base, 0)} of all). Labels "
            "that training never believed are worth a look: some may be wrong."
        )
    return out


def _shares(found: list[Dynamics]) -> Table:
    columns = [
        Column("run", "Run"),
        Column("epochs", "Epochs", "int"),
        Column("confidence", "Mean confidence", "percent"),
        Column("variability", "Mean variability", "number"),
        *of_kind("percent", always="Above ½ in every epoch", changing="In some", never="In none"),
    ]
    rows: list[dict[str, Any]] = [
        {
            "run": each.run.name,
            "epochs": len(each.true_probability),
            "confidence": float(each.confidence.mean()),
            "variability": float(each.variability.mean()),
        }
        | _kinds(each)
        for each in found
    ]
    return Table("dynamics", "Probability of the true label in training, by run.", columns, rows)


def _texts(
    results: Results, name: str, how: str, order: NDArray[np.int64], confidence: Floats, variability: Floats
) -> Table:
    assert results.train is not None
    rows = order[:ROWS]
    columns = [
        Column("example", "Example"),
        *text_columns(results),
        Column("label", "Label"),
        Column("confidence", "Confidence", "percent"),
        Column("variability", "Variability", "number"),
    ]
    labels = results.train["label"]
    cells = [
        text | {"label": labels[i], "confidence": float(confidence[i]), "variability": float(variability[i])}
        for text, i in zip(text_cells(results, results.train, rows), rows.tolist(), strict=True)
    ]
    return Table(f"dynamics-{name}", f"Training texts, {how} (means over the runs).", columns, cells)


def _span(values: list[Floats]) -> tuple[float, float]:
    """The range of all runs' values, so that their maps can be compared; never of no width."""
    low, high = min(float(each.min()) for each in values), max(float(each.max()) for each in values)
    return low, max(high, low + 1e-3)


def _map(index: int, each: Dynamics, spans: tuple[tuple[float, float], tuple[float, float]]) -> Chart:
    counts, xs, ys = np.histogram2d(each.variability, each.confidence, bins=(BINS, BINS), range=spans)
    rows = [
        {
            "x": chart.short(xs[i]),
            "x2": chart.short(xs[i + 1]),
            "y": chart.short(ys[j]),
            "y2": chart.short(ys[j + 1]),
            "count": int(counts[i, j]),
        }
        for i, j in zip(*np.nonzero(counts), strict=True)
    ]
    tips = chart.tips(x=("variability from", ".2f"), y=("confidence from", ".2f"), count=("texts", ","))
    domains = [[chart.short(value) for value in span] for span in spans]
    spec = planes.density(rows, x_title="variability", y_title="confidence", tooltip=tips, domains=domains)
    description = (
        f"Map of {f.count(each.true_probability.shape[1])} training texts of {each.run.name}: mean probability of the "
        "true label over the epochs against its standard deviation. Colour: how many texts, on a log scale."
    )
    title = f"Training dynamics, {each.run.name}" if index == 0 else each.run.name
    return Chart(f"dynamics-{f.slug(index, each.run.name)}", title, description, spec, small=index > 0)


def _notes(found: list[Dynamics]) -> list[str]:
    epochs = sorted({len(each.true_probability) for each in found})
    notes = [
        "Confidence and variability: mean and standard deviation over the epochs of the true label's probability "
        "(Swayamdipta et al., 2020), taken from the training steps themselves: with dropout, under the weights of the "
        f"step that saw the text. They rest on {f.listing([str(n) for n in epochs])} epochs; the fewer, the rougher."
    ]
    if len(found) > MAPS:
        notes.append(f"Drawn: the most accurate run and {MAPS - 1} more of {len(found)}.")
    return notes
