"""The words of misclassified texts, beside how common they are in all test texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, numbered, of_kind
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.errors.vocabulary import vocabulary
from thriftune.analysis.findings.runs import comparable
from thriftune.analysis.statistics.basics import kendalls_w
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Words in errors"
QUESTION = "Which words do the misclassified texts hold, and are they the same for every method?"

WORDS_SHOWN = 15


@dataclass(frozen=True)
class Counts:
    """How many texts hold each word, stop words left out, most frequent in errors first."""

    words: list[str]
    texts: NDArray[np.int64]
    """Test texts that hold the word, shape (words,)."""
    errors: NDArray[np.int64]
    """Misclassified texts that hold it, shape (runs, words)."""
    text_total: int
    error_totals: NDArray[np.int64]
    """Shape (runs,)."""


def build(results: Results) -> Panel | NotApplicable:
    """The most frequent words of the errors over all runs, with their base rate and rank agreement."""
    if not results.study.published:
        return NotApplicable("No published study is named to compare its lists of words with.", quiet=True)
    runs = comparable(results) or results.done
    if not runs:
        return NotApplicable("No run has test predictions.")
    counts = count(results, runs)
    if not counts.words or not counts.error_totals.sum():
        return NotApplicable("There are no words in misclassified texts.")
    notes = [
        "Words: runs of letters, digits and underscores (\\w+), lower-cased, at least two long, without "
        "scikit-learn's English stop words; each counts once per text.",
        "Raw counts mirror how common a word is in the corpus; only a lift away from 1 says more.",
    ]
    statistics = {
        "words": counts.words,
        "texts": counts.texts.tolist(),
        "errors": {run.run_id: row.tolist() for run, row in zip(runs, counts.errors, strict=True)},
        "kendalls_w": kendalls_w(counts.errors.astype(np.float64)),
        "correlation_with_all_texts": _base_correlation(counts),
    }
    statistics |= {f"{name}_reason": "one run, or no ranks" for name in list(statistics) if statistics[name] is None}
    return Panel(_sentences(counts, len(runs)), [_table(counts, runs)], [_chart(counts, runs)], notes, statistics)


def count(results: Results, runs: list[RunRecord], limit: int = WORDS_SHOWN) -> Counts:
    """Counts the `limit` words that most misclassified texts hold, summed over the runs."""
    wrong = np.stack([predictions.read(results, run).wrong for run in runs])
    known = vocabulary(results)
    held = known.either
    errors = np.asarray(wrong.astype(np.float32) @ held)
    texts = np.asarray(held.sum(axis=0)).ravel()
    counted = np.array([len(word) > 1 and word not in ENGLISH_STOP_WORDS for word in known.words], dtype=bool)
    order = np.lexsort((-texts, -errors.sum(axis=0)))  # alphabetical where both are equal
    top = order[(counted & (errors.sum(axis=0) > 0))[order]][:limit]
    return Counts(
        words=[known.words[i] for i in top],
        texts=texts[top].astype(np.int64),
        errors=errors[:, top].astype(np.int64),
        text_total=wrong.shape[1],
        error_totals=wrong.sum(axis=1).astype(np.int64),
    )


def _sentences(counts: Counts, runs: int) -> list[str]:
    out = [f"The words that most errors hold: {f.listing(counts.words[:5])}."]
    agreement = kendalls_w(counts.errors.astype(np.float64))
    if runs > 1 and agreement is not None:
        rho = (runs * agreement - 1) / (runs - 1)
        out.append(
            f"Over the {len(counts.words)} most frequent, the {runs} runs rank them alike to Kendall's "
            f"W = {agreement:.2f} (1 is the same order), a mean rank correlation of {rho:.2f}."
        )
    base = _base_correlation(counts)
    if base is not None:
        how = "" if base >= 0.5 else " only loosely"
        text = f"Their counts in errors follow their counts in all test texts{how} (rank correlation {base:.2f})"
        out.append(f"{text}: frequent words fill any list of errors." if base >= 0.5 else f"{text}.")
    return out


def _base_correlation(counts: Counts) -> float | None:
    total = counts.errors.sum(axis=0)
    if len(counts.words) < 3 or np.ptp(total) == 0 or np.ptp(counts.texts) == 0:
        return None
    return float(spearmanr(total, counts.texts).statistic)


def _table(counts: Counts, runs: list[RunRecord]) -> Table:
    columns = [
        Column("word", "Word"),
        *of_kind("percent", base="Share of all test texts", share="Share of errors, all runs"),
        Column("lift", "Lift", "number"),
        *numbered((run.name for run in runs), "int"),
    ]
    base = counts.texts / max(1, counts.text_total)
    share = counts.errors.sum(axis=0) / max(1, counts.error_totals.sum())
    rows = []
    for j, word in enumerate(counts.words):
        row = {"word": word, "base": float(base[j]), "share": float(share[j]), "lift": float(share[j] / base[j])}
        rows.append(row | {f"r{i}": int(counts.errors[i, j]) for i in range(len(runs))})
    caption = "Misclassified texts with the word, by run. Lift: its share of errors over its share of all texts."
    return Table("error-words", caption, columns, rows)


def _chart(counts: Counts, runs: list[RunRecord]) -> Chart:
    names = [run.name for run in runs]
    base = counts.texts / max(1, counts.text_total)
    rows = [
        {
            "name": word,
            "series": name,
            "value": int(counts.errors[i, j]),
            "share": chart.short(counts.errors[i, j] / max(1, counts.error_totals[i])),
            "base": chart.short(base[j]),
        }
        for j, word in enumerate(counts.words)
        for i, name in enumerate(names)
    ]
    tooltip = chart.tips(
        name="word",
        series="run",
        value=("errors with it", ","),
        share=("share of the run's errors", ".1%"),
        base=("share of all test texts", ".1%"),
    )
    spec = categories.dots(
        rows, x_title="misclassified texts that hold the word", order=counts.words, series=names, tooltip=tooltip
    )
    description = f"Points: for the {len(counts.words)} most frequent words, the misclassified texts of each run."
    return Chart("error-words", "Words in errors", description, spec)
