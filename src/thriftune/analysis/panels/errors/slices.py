"""Groups of texts with more errors than others, found among simple properties and pairs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, Mask, error_matrix
from thriftune.analysis.findings.errors.properties import Part, parts
from thriftune.analysis.findings.errors.vocabulary import vocabulary
from thriftune.analysis.statistics.enrichment import LEVEL, Enrichment, enrichment
from thriftune.results.store import Results

TITLE = "Where the errors are"
QUESTION = "Which kinds of texts are got wrong more often than others?"

MIN_TEXTS = 30
"""Smaller groups are not looked at."""
MAX_FOUND = 8


@dataclass(frozen=True)
class Slice:
    """Texts with one property or with both of two, and how their errors compare with those of all texts."""

    parts: tuple[Part, ...]
    texts: Mask
    """Those outside the slices found before it, shape (texts,)."""
    numbers: Enrichment
    """Of shape (): of these texts against all that are outside the slices found before it."""
    p: float
    """Bonferroni-adjusted."""

    @property
    def name(self) -> str:
        """What its texts have in common."""
        return ", and ".join(part.name for part in self.parts)


def search(found: list[Part], wrong: Mask) -> tuple[list[Slice], int]:
    """Slices with more errors than all texts, the worst first, and how many candidates there were.

    A candidate is a part or the intersection of two parts of different properties; an intersection has to beat both
    of its parts as well. The one with the highest lower end of the lift's interval is taken, its texts are left out,
    and the rest is searched again: a slice is never a mere echo of one found before.
    """
    masks = np.stack([part.texts for part in found]).astype(np.float32)
    apart = np.array([[a.property != b.property for b in found] for a in found])
    first, second = np.nonzero(np.triu(apart) | np.eye(len(found), dtype=bool))
    left = np.ones(len(wrong), dtype=bool)
    out: list[Slice] = []
    tried = 0
    while len(out) < MAX_FOUND and left.sum() >= MIN_TEXTS:
        texts, errors = (_both(masks, chosen) for chosen in (left, left & wrong))
        enough = texts[first, second] >= MIN_TEXTS
        i, j = first[enough], second[enough]
        numbers = enrichment(errors[i, j], texts[i, j], int((left & wrong).sum()), int(left.sum()))
        tried = tried or len(i)
        clear = np.flatnonzero(numbers.p * tried <= LEVEL)
        i, j, numbers = i[clear], j[clear], numbers[clear]
        p = np.maximum(numbers.p, np.where(i == j, 0, _against_parts(texts, errors, i, j)))
        clear = np.flatnonzero(p * tried <= LEVEL)
        if not len(clear):
            break
        best = clear[np.argmax(numbers.low[clear])]
        a, b = int(i[best]), int(j[best])
        chosen = (found[a],) if a == b else (found[a], found[b])
        inside = np.logical_and.reduce([left, *(part.texts for part in chosen)])
        out.append(Slice(chosen, inside, numbers[best], float(min(1.0, p[best] * tried))))
        left &= ~inside
    return out, tried


def _both(masks: NDArray[np.float32], chosen: Mask) -> NDArray[np.int64]:
    """Chosen texts in both of two parts, shape (parts, parts)."""
    return np.asarray(np.rint((masks * chosen) @ masks.T), dtype=np.int64)


def _against_parts(
    texts: NDArray[np.int64], errors: NDArray[np.int64], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The larger p value of an intersection against the two parts that it is taken from."""
    both = errors[i, j], texts[i, j]
    return np.maximum(*(enrichment(*both, errors[a, a], texts[a, a]).p for a in (i, j)))


def build(results: Results) -> Panel | NotApplicable:
    """Slices found, and the error rate by each property."""
    matrix = error_matrix(results)
    if matrix is None:
        return NotApplicable("No run learned, so its errors follow no property of the texts.")
    if not matrix.shared.any():
        return NotApplicable("There are no errors.")
    every = parts(results, vocabulary(results))
    found, tried = search(every, matrix.shared)
    finest = [part for part in every if part.finest and part.texts.sum() >= MIN_TEXTS]
    tables = [_found(found, matrix)] if found else []
    charts = []
    numbers = _numbers(finest, matrix.shared)
    if finest:
        tables.append(_by_property(finest, numbers, matrix))
        charts.append(_chart(finest, numbers, float(matrix.shared.mean())))
    statistics = {
        "level": LEVEL,
        "tried": tried,
        "found": [{"texts_with": each.name} | each.numbers.plain() | {"adjusted_p": each.p} for each in found],
        "by_property": [{"texts_with": part.name} | numbers.plain(i) for i, part in enumerate(finest)],
    }
    return Panel([_sentence(found, tried, matrix)], tables, charts, _notes(matrix, tried), statistics)


def _sentence(found: list[Slice], tried: int, matrix: ErrorMatrix) -> str:
    base = f.percent(float(matrix.shared.mean()))
    if not found:
        return f"No kind of text has more errors than others beyond chance ({tried:,} tried; {base} of all are errors)."
    n = found[0].numbers
    text = (
        f"The most errors are among texts with this in common: {found[0].name}. {f.percent(float(n.rate))} of these "
        f"{int(n.texts):,} texts are errors, {f.ratio(float(n.lift))} the overall {base} (95% interval "
        f"{_interval(n)})."
    )
    more = len(found) - 1
    names = f.listing([each.name for each in found[1:]], 4)
    return text + (
        f" Outside it, {f.plural(more, 'more group')} stand{'s' * (more == 1)} out: {names}." if more else ""
    )


def _interval(n: Enrichment) -> str:
    return f"{f.number(float(n.low))}–{f.number(float(n.high))}"


def _row(name: str, n: Enrichment) -> dict[str, Any]:
    row: dict[str, Any] = {"slice": name, "texts": int(n.texts), "errors": int(n.errors), "rate": float(n.rate)}
    return row | {"lift": float(n.lift), "interval": _interval(n)}


COLUMNS = [
    Column("slice", "Texts"),
    *of_kind("int", texts="Number", errors="Errors"),
    Column("rate", "Error rate", "percent"),
    Column("lift", "Lift", "number"),
    Column("interval", "95% interval"),
]


def _each(matrix: ErrorMatrix, texts: Mask) -> dict[str, float]:
    """Every run's own error rate on some texts, by column."""
    if len(matrix.runs) == 1:
        return {}
    return {f"r{j}": float(rate) for j, rate in enumerate(matrix.wrong[:, texts].mean(axis=1))}


def _run_columns(matrix: ErrorMatrix) -> list[Column]:
    return [Column(f"r{j}", run.name, "percent") for j, run in enumerate(matrix.runs)] if len(matrix.runs) > 1 else []


def _found(found: list[Slice], matrix: ErrorMatrix) -> Table:
    rows = []
    for each in found:
        rows.append(_row(each.name, each.numbers) | {"p": each.p} | _each(matrix, each.texts))
    caption = "Groups with more errors than others, each without the texts of those above it: figures and lift are so."
    columns = [*COLUMNS, Column("p", "Adjusted p", "p"), *_run_columns(matrix)]
    return Table("slices", caption, columns, rows)


def _numbers(finest: list[Part], wrong: Mask) -> Enrichment:
    texts = np.array([part.texts.sum() for part in finest])
    errors = np.array([(part.texts & wrong).sum() for part in finest])
    return enrichment(errors, texts, int(wrong.sum()), len(wrong))


def _by_property(finest: list[Part], numbers: Enrichment, matrix: ErrorMatrix) -> Table:
    rows = [_row(part.name, numbers[i]) | _each(matrix, part.texts) for i, part in enumerate(finest)]
    runs = " At the right, each run's own error rate." if len(matrix.runs) > 1 else ""
    caption = f"Error rate by length, word overlap, numbers, negation, label and kept columns.{runs}"
    return Table("error-rates", caption, [*COLUMNS, *_run_columns(matrix)], rows)


def _chart(finest: list[Part], numbers: Enrichment, base: float) -> Chart:
    rows = [
        {
            "name": part.name,
            "value": chart.short(float(numbers.rate[i])),
            "low": chart.short(float(numbers.low[i]) * base),
            "high": chart.short(float(numbers.high[i]) * base),
            "texts": int(numbers.texts[i]),
        }
        for i, part in enumerate(finest)
    ]
    tooltip = chart.tips(
        name="texts", value=("error rate", ".1%"), low=("from", ".1%"), high=("to", ".1%"), texts=("number", ",")
    )
    spec = categories.intervals(rows, x_title="error rate", reference=base, tooltip=tooltip, share=True)
    description = "Error rate by property with 95% intervals; the dashed line is the rate of all texts."
    return Chart("error-rates", "Error rate by property", description, spec)


def _notes(matrix: ErrorMatrix, tried: int) -> list[str]:
    return [
        matrix.whose,
        f"Tried: {tried:,} groups of at least {MIN_TEXTS} texts, by one property or by two. Found: one-sided Fisher "
        f"tests at {LEVEL:g} after Bonferroni's correction for all of them; a pair must also have more errors "
        "than either of its two parts. Ranked by the lower end of the lift's interval, so that few texts weigh less.",
        "Numbers are divided at quintiles; neighbouring ranges are also tried together. Negations are recognised in "
        "English, German, French, Spanish, Italian, Portuguese and Dutch.",
    ]
