"""Words that are over-represented in errors, by lift: in all texts, by true label and by confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, Mask, error_matrix
from thriftune.analysis.findings.errors.vocabulary import Vocabulary, vocabulary
from thriftune.analysis.statistics.enrichment import LEVEL, Enrichment, adjusted, enrichment
from thriftune.results.store import Results

TITLE = "Words that go with errors"
QUESTION = "Which words make an error more likely, beyond how common they are?"

MIN_TEXTS = 10
"""A word is tested where so many texts of the population hold it."""
MIN_ERRORS = 20
"""Labels and confusions with fewer errors are left out."""
GROUPS = 12
"""Labels, and confusions, that are looked at: those with the most errors."""
SHOWN = 20
SHOWN_PER_GROUP = 5


@dataclass(frozen=True)
class Group:
    """Texts that are compared among themselves: those with the error and those without."""

    name: str
    texts: Mask
    errors: Mask
    """A part of `texts`."""


@dataclass(frozen=True)
class Found:
    """The words that a family of groups has as findings, by group and then by the lower end of the lift."""

    group: NDArray[np.int64]
    word: NDArray[np.int64]
    """Columns of the matrix that was searched."""
    numbers: Enrichment
    p: NDArray[np.float64]
    """Adjusted for every word in every group of the family."""
    tested: int


def search(held: csr_matrix, groups: list[Group]) -> Found:
    """Words over-represented in the errors of some groups, at a false discovery rate of `LEVEL` over all of them.

    `held` has the shape (texts, words) and holds zeros and ones.
    """
    texts = np.stack([group.texts for group in groups]).astype(np.float32)
    errors = np.stack([group.errors for group in groups]).astype(np.float32)
    with_word, wrong = (np.rint(np.asarray(each @ held)).astype(np.int64) for each in (texts, errors))
    group, word = np.nonzero(with_word >= MIN_TEXTS)
    totals = [each.sum(axis=1, dtype=np.int64) for each in (errors, texts)]
    numbers = enrichment(wrong[group, word], with_word[group, word], totals[0][group], totals[1][group])
    p = adjusted(numbers.p)
    kept = np.flatnonzero(p <= LEVEL)
    kept = kept[np.lexsort((-numbers.low[kept], group[kept]))]
    return Found(group[kept], word[kept], numbers[kept], p[kept], len(p))


def build(results: Results) -> Panel | NotApplicable:
    """Words by lift with its interval, over all texts, by true label and by confusion."""
    matrix = error_matrix(results)
    if matrix is None:
        return NotApplicable("No run learned, so its errors follow no words.")
    if not matrix.shared.any():
        return NotApplicable("There are no errors.")
    known = vocabulary(results)
    names, held = _features(known)
    if not names:
        return NotApplicable("The test texts hold no words.")
    whole = np.ones(len(matrix.label), dtype=bool)
    everything = search(held, [Group("all texts", whole, matrix.shared)])
    tables = [_overall(everything, names, held, matrix)] if len(everything.p) else []
    sentences = [_sentence(everything, names)]
    statistics: dict[str, Any] = {"level": LEVEL, "tried": everything.tested}
    statistics["words"] = [_plain(everything, names, i) for i in range(len(everything.p))]
    for family, title in ((by_label, "true label"), (by_confusion, "confusion")):
        groups = family(matrix, results.labels)
        found = search(held, groups) if groups else None
        key = f"words_by_{title.replace(' ', '_')}"
        statistics[key] = (
            []
            if found is None
            else [
                {title.replace(" ", "_"): groups[found.group[i]].name} | _plain(found, names, i)
                for i in range(len(found.p))
            ]
        )
        if found is not None and len(found.p):
            tables.append(_grouped(title, groups, found, names))
            sentences.append(_group_sentence(title, groups, found, names))
    charts = [_chart(everything, names)] if len(everything.p) else []
    return Panel(sentences, tables, charts, _notes(matrix), statistics)


def _plain(found: Found, names: list[tuple[str, str]], i: int) -> dict[str, Any]:
    word, column = names[found.word[i]]
    return {"word": word, "column": column} | found.numbers.plain(i) | {"adjusted_p": float(found.p[i])}


def by_label(matrix: ErrorMatrix, labels: list[str]) -> list[Group]:
    """The texts of each true label, and those of them that are errors."""
    masks = [(name, matrix.label == i) for i, name in enumerate(labels)]
    return _largest([Group(name, mask, mask & matrix.shared) for name, mask in masks])


def by_confusion(matrix: ErrorMatrix, labels: list[str]) -> list[Group]:
    """The texts of each true label, and those of them that most runs take for one certain other label."""
    taken = np.stack([matrix.taken_for(j) for j in range(len(labels))])
    groups = []
    for i, true in enumerate(labels):
        mask = matrix.label == i
        enough = np.flatnonzero(taken[:, mask].sum(axis=1) >= MIN_ERRORS)  # of all pairs of many labels, few
        groups += [Group(f"{true} → {labels[j]}", mask, mask & taken[j]) for j in enough if j != i]
    return _largest(groups)


def _largest(groups: list[Group]) -> list[Group]:
    enough = [group for group in groups if group.errors.sum() >= MIN_ERRORS]
    return sorted(enough, key=lambda group: -int(group.errors.sum()))[:GROUPS]


def _features(known: Vocabulary) -> tuple[list[tuple[str, str]], csr_matrix]:
    """Word and column of every feature that enough texts have, and the texts that have it."""
    names: list[tuple[str, str]] = []
    parts = []
    for column, held in known.columns.items():
        enough = np.flatnonzero(np.asarray(held.sum(axis=0)).ravel() >= MIN_TEXTS)
        names += [(known.words[i], column) for i in enough]
        parts.append(held[:, enough])
    return names, csr_matrix(hstack(parts))


def _sentence(found: Found, names: list[tuple[str, str]]) -> str:
    if not len(found.p):
        return (
            f"No word is over-represented in the errors beyond chance ({found.tested:,} tried, false discovery "
            f"rate {f.percent(LEVEL, 0)})."
        )
    n = found.numbers
    word, column = names[found.word[0]]
    where = f" in {column}" if len({column for _, column in names}) > 1 else ""
    others = list(dict.fromkeys(names[i][0] for i in found.word[1:] if names[i][0] != word))[:4]
    text = (
        f"“{word}”{where} goes with errors the most: {f.percent(float(n.rate[0]))} of the "
        f"{int(n.texts[0]):,} texts with it are errors, {f.ratio(float(n.lift[0]))} the overall rate "
        f"(95% interval {_interval(n, 0)})."
    )
    return text + (f" It is followed by {f.listing([f'“{other}”' for other in others])}." if others else "")


def _group_sentence(title: str, groups: list[Group], found: Found, names: list[tuple[str, str]]) -> str:
    tops = {int(g): names[w][0] for g, w in reversed(list(zip(found.group, found.word, strict=True)))}
    parts = [f"{groups[g].name}: “{tops[g]}”" for g in sorted(tops)]
    return f"First by {title}: {'; '.join(parts[:4])}."


def _interval(numbers: Enrichment, i: int) -> str:
    return f"{f.number(float(numbers.low[i]))}–{f.number(float(numbers.high[i]))}"


def _row(found: Found, names: list[tuple[str, str]], i: int) -> dict[str, Any]:
    n = found.numbers
    word, column = names[found.word[i]]
    row: dict[str, Any] = {"word": word, "column": column, "texts": int(n.texts[i]), "errors": int(n.errors[i])}
    row |= {"rate": float(n.rate[i]), "lift": float(n.lift[i]), "interval": _interval(n, i), "p": float(found.p[i])}
    return row


def _columns(names: list[tuple[str, str]], rate: str) -> list[Column]:
    where = [Column("column", "Where")] if len({column for _, column in names}) > 1 else []
    return [
        Column("word", "Word"),
        *where,
        *of_kind("int", texts="Texts with it", errors="Errors"),
        Column("rate", rate, "percent"),
        Column("lift", "Lift", "number"),
        Column("interval", "95% interval"),
        Column("p", "Adjusted p", "p"),
    ]


def _overall(found: Found, names: list[tuple[str, str]], held: csr_matrix, matrix: ErrorMatrix) -> Table:
    shown = min(SHOWN, len(found.p))
    words = held[:, found.word[:shown]]
    each = np.asarray(matrix.wrong.astype(np.float32) @ words) / np.maximum(1, found.numbers.texts[:shown])
    columns = _columns(names, "Error rate with it")
    rows = [_row(found, names, i) for i in range(shown)]
    if len(matrix.runs) > 1:
        columns += [Column(f"r{j}", run.name, "percent") for j, run in enumerate(matrix.runs)]
        rows = [row | {f"r{j}": float(each[j, i]) for j in range(len(matrix.runs))} for i, row in enumerate(rows)]
    more = f" The first {shown} of {len(found.p)}." if shown < len(found.p) else ""
    runs = " At the right, each run's own error rate on the texts with the word." if len(matrix.runs) > 1 else ""
    caption = f"Words over-represented in errors, by the lower end of the lift's interval.{more}{runs}"
    return Table("lift-words", caption, columns, rows)


def _grouped(title: str, groups: list[Group], found: Found, names: list[tuple[str, str]]) -> Table:
    rows = []
    for g, group in enumerate(groups):
        for i in np.flatnonzero(found.group == g)[:SHOWN_PER_GROUP]:
            rows.append({"group": group.name} | _row(found, names, int(i)))
    columns = [Column("group", title.capitalize()), *_columns(names, "Share with the error")]
    caption = f"The same within each {title}: against other texts of that true label. Up to {SHOWN_PER_GROUP} words."
    return Table(f"lift-words-by-{title.replace(' ', '-')}", caption, columns, rows)


def _chart(found: Found, names: list[tuple[str, str]]) -> Chart:
    n = found.numbers
    pair = len({column for _, column in names}) > 1
    rows = [
        {
            "name": " · ".join(names[found.word[i]] if pair else names[found.word[i]][:1]),
            "value": chart.short(float(n.lift[i])),
            "low": chart.short(float(n.low[i])),
            "high": chart.short(float(n.high[i])),
            "texts": int(n.texts[i]),
        }
        for i in range(min(SHOWN, len(found.p)))
    ]
    tooltip = chart.tips(
        name="word", value=("lift", ".2f"), low=("from", ".2f"), high=("to", ".2f"), texts=("texts with it", ",")
    )
    spec = categories.intervals(rows, x_title="error rate over that of all texts", reference=1.0, tooltip=tooltip)
    return Chart("lift-words", "Words that go with errors", "Lift of each word with its 95% interval.", spec)


def _notes(matrix: ErrorMatrix) -> list[str]:
    return [
        matrix.whose,
        f"Words: runs of letters, digits and underscores (\\w+), lower-cased, in at least {MIN_TEXTS} of the texts "
        "compared; each counts once per text. Lift: the error rate of the texts with the word over that of all texts "
        "compared.",
        "One-sided Fisher tests; p values adjusted after Benjamini and Hochberg over all words of a table, shown up to "
        f"{LEVEL:g}. Over all texts, a word of the harder labels rises with them; the tables by label and by "
        "confusion hold the true label fixed. A word that goes with errors need not cause them.",
    ]
