"""The explorer's data: test texts, true labels and every run's answers, packed for the page.

The page filters, sorts and pages over columns, so that the data are columns too: labels as ids, probabilities as
thousandths, the whole gzipped and in base64.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.predictions import Predictions
from thriftune.analysis.findings.runs import comparable
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TEXTS_SHOWN = 50_000
"""Test texts beyond which the page holds a sample."""
BYTES_SHOWN = 12_000_000
"""Size in the page beyond which it holds a smaller one."""
CHARACTERS_SHOWN = 5_000
"""Longer texts are cut."""
RUNS_CHOSEN = 8
"""Runs that the page compares before the reader chooses; with more, the first run of each of the best methods."""


@dataclass(frozen=True)
class Explorer:
    """What the page needs for its table of test texts."""

    data: str
    """Base64 of gzipped JSON (its keys: `_columns`)."""
    sentence: str
    """Which test texts the table holds."""


def build(results: Results, texts: int = TEXTS_SHOWN, size: int = BYTES_SHOWN) -> Explorer | None:
    """The explorer's data, at most `texts` test texts in `size` bytes; None where no run has predictions.

    Texts that a fine-tuned run that learned got wrong go first, the others follow at random.
    """
    if not results.done:
        return None
    read = [predictions.read(results, run) for run in results.done]
    missed = _missed(results, read)
    order = _order(missed)
    count = min(texts, len(order))
    while True:
        rows = np.sort(order[:count])
        data = _packed(_columns(results, read, rows))
        if len(data) <= size or count <= 1:
            who = "a fine-tuned run" if comparable(results) else "a run"
            return Explorer(data, _sentence(missed, rows, who))
        count = max(1, int(count * 0.95 * size / len(data)))


def _chosen(results: Results) -> list[RunRecord]:
    return comparable(results) or results.done


def two_best(results: Results) -> list[RunRecord]:
    """The first runs of the two methods that scored highest; empty where fewer than two can be compared."""
    able = [each for each in decide(results).standings if each.place != "not learned"]
    return [each.cell.runs[0] for each in able[:2]] if len(able) > 1 else []


def _shown_runs(results: Results, best: list[RunRecord]) -> set[str]:
    """The ids of the runs that the page compares at first."""
    runs = _chosen(results)
    if len(runs) > RUNS_CHOSEN:
        able = {run.run_id for run in runs}
        firsts = [each.cell.runs[0] for each in decide(results).standings]
        runs = [run for run in firsts if run.run_id in able]
    return {run.run_id for run in [*best, *runs][:RUNS_CHOSEN]}


def _missed(results: Results, read: list[Predictions]) -> NDArray[np.bool_]:
    """Which texts a run that comparisons rest on got wrong, shape (texts,)."""
    chosen = {run.run_id for run in _chosen(results)}
    wrong = [each.wrong for run, each in zip(results.done, read, strict=True) if run.run_id in chosen]
    return np.asarray(np.stack(wrong).any(axis=0), dtype=np.bool_)


def _order(missed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row numbers, missed texts first, both parts shuffled (the same way every time)."""
    shuffled = np.random.default_rng(0).permutation(len(missed))
    return shuffled[np.argsort(~missed[shuffled], kind="stable")]


def _columns(results: Results, read: list[Predictions], rows: NDArray[np.int64]) -> dict[str, Any]:
    frame = results.test[rows]
    profile = results.study.profile
    best = two_best(results)
    chosen = _shown_runs(results, best)
    ids = [run.run_id for run in results.done]
    return {
        "study": results.study.name,
        "example": frame["example"].to_list(),
        "texts": [{"name": name, "values": _texts(frame[name])} for name in profile.text_columns],
        "labels": [f.plain(label) for label in results.labels],
        "label": read[0].label[rows].tolist(),
        "best": [ids.index(run.run_id) for run in best],
        "runs": [
            {
                "name": f.plain(run.name),
                "chosen": run.run_id in chosen,
                "predicted": each.predicted[rows].tolist(),
                "confidence": _confidence(each, rows),
            }
            for run, each in zip(results.done, read, strict=True)
        ],
    }


def _texts(column: pl.Series) -> list[str | None]:
    text = column.cast(pl.String)
    cut = pl.when(text.str.len_chars() > CHARACTERS_SHOWN).then(text.str.head(CHARACTERS_SHOWN) + "…").otherwise(text)
    return pl.select(cut).to_series().to_list()


def _confidence(read: Predictions, rows: NDArray[np.int64]) -> list[int] | None:
    """The predicted label's probability in thousandths; None where the method gives none."""
    if read.probabilities is None:
        return None
    found: list[int] = np.rint(1000 * read.probabilities[rows, read.predicted[rows]]).astype(int).tolist()
    return found


def _packed(columns: dict[str, Any]) -> str:
    text = json.dumps(columns, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    packed = gzip.compress(text.encode("utf-8", "replace"), compresslevel=6, mtime=0)
    return base64.b64encode(packed).decode("ascii")


def _sentence(missed: NDArray[np.bool_], rows: NDArray[np.int64], who: str) -> str:
    total, errors, shown = len(missed), int(missed.sum()), len(rows)
    if shown == total:
        return f"All {f.count(total)} test texts with every run's answer."
    part = f"{f.count(shown)} of the {f.count(total)} test texts, so that the page stays small"
    if errors > shown:
        return f"{part}: a random part of the {f.count(errors)} that {who} got wrong."
    return f"{part}: all {f.count(errors)} that {who} got wrong, and {f.count(shown - errors)} others at random."
