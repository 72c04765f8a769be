"""What is most worth saying of the errors, in at most thirty words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.decision import Standing, decide
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, error_matrix
from thriftune.analysis.findings.errors.hard_labels import LabelErrors, label_errors
from thriftune.analysis.findings.predictions import outcomes
from thriftune.results.store import Results

MOST_WORDS = 30
FEWEST = 10
"""With fewer errors of a method, or texts of a label, a share says next to nothing."""
LONGEST = 40
"""Characters of a label, beyond which it is cut."""


def hardest(results: Results, most: int = MOST_WORDS) -> str:
    """The label that is wrong most often and how far the two best methods differ; at most so many words."""
    text = ""
    for forms in sentences(results):
        for form in forms:
            longer = f"{text} {form}".strip()
            if len(longer.split()) <= most:
                text = longer
                break
    return text


def sentences(results: Results) -> Iterator[tuple[str, ...]]:
    """The sentences of `hardest`, the most important first, each in forms from the longest to the shortest."""
    matrix = error_matrix(results)
    if matrix is None:
        yield ("No run learned, so its errors say nothing of the texts.",)
        return
    counts = [float(matrix.wrong[method.rows].sum(axis=1).mean()) for method in matrix.methods]
    if max(counts) < FEWEST:
        yield _few(matrix, max(counts)), _few(matrix, max(counts), "It")
        return
    yield from _label(results, matrix)
    yield from _disagreement(results)


def _few(matrix: ErrorMatrix, most: float, one: str | None = None) -> str:
    texts = f.plural(len(matrix.label), "text")
    if most == 0:
        return f"No errors on {texts}: the test set cannot tell where any would be."
    number = f.plural(round(max(most, 1)), "error")
    if len(matrix.methods) == 1:
        return f"{one or matrix.methods[0].name} made {number} on {texts}, too few for a pattern."
    return f"No method made more than {number} on {texts}, too few for a pattern."


def _label(results: Results, matrix: ErrorMatrix) -> Iterator[tuple[str, ...]]:
    found = [each for each in label_errors(results) if each.texts >= FEWEST]
    if len(found) < 2:
        return
    first, rest = found[0], found[1:]
    if not first.hard:
        low, high = found[-1].rate, first.rate
        yield (f"No label is clearly harder than the others ({f.percent_range(low, high, 0)} wrong).",)
        return
    hard = sum(each.hard for each in found)
    if hard > 1:
        easier = [each.rate for each in found if not each.hard]
        rate = f"{f.percent(first.rate, 0)} wrong"
        rate += f"; the others {f.percent_range(min(easier), max(easier), 0)}" if easier else ""
        yield (f"{hard} of {len(results.labels)} labels are far harder, {_cut(first.label)} most ({rate}).",)
        return
    who = f"{matrix.methods[0].name} errs" if len(matrix.methods) == 1 else "All methods err"
    if not _shared(matrix, results.labels.index(first.label)):
        who = "On average, methods err"
    what = f"most on {_cut(first.label)} ({f.percent(first.rate, 0)} wrong; {_others(rest)})."
    yield f"{who} {what}", f"Errors are {what}"


def _others(rest: list[LabelErrors]) -> str:
    if len(rest) == 1:
        return f"{_cut(rest[0].label)} {f.percent(rest[0].rate, 0)}"
    return f"others {f.percent_range(rest[-1].rate, rest[0].rate, 0)}"


def _shared(matrix: ErrorMatrix, label: int) -> bool:
    """Whether every method has its highest error rate on this label, of those with enough texts."""
    support = np.bincount(matrix.label)
    for method in matrix.methods:
        wrong = matrix.wrong[method.rows].mean(axis=0)
        rates = np.bincount(matrix.label, weights=wrong) / np.maximum(support, 1)
        if rates[support >= FEWEST].max() > rates[label]:
            return False
    return True


def _disagreement(results: Results) -> Iterator[tuple[str, ...]]:
    """How often one of the two best methods is right and the other wrong."""
    best = [each for each in decide(results).standings if each.place != "not learned"][:2]
    if len(best) < 2:
        return
    right = [_right(results, each) for each in best]
    apart = float(np.mean([(a != b).mean() for a in right[0] for b in right[1]]))
    names = f.listing([each.name for each in best])
    rest = f"disagree on {f.percent(apart, 0)} of the texts."
    yield f"The two best, {names}, {rest}", f"The two best {rest}"


def _right(results: Results, standing: Standing) -> list[np.ndarray]:
    known = outcomes(results)
    return [known.predicted[run.run_id] == known.label for run in standing.cell.runs]


def _cut(label: str) -> str:
    label = f.one_line(label)
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1].rstrip()}…"
