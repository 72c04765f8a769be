"""Groups of texts with more errors than others of the same labels, found among simple properties and pairs of them."""

from __future__ import annotations

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.findings.errors import hard_labels
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, Mask, error_matrix
from thriftune.analysis.findings.errors.excess import (
    against,
    columns,
    differences,
    each,
    figures,
    method_columns,
    plain,
)
from thriftune.analysis.findings.errors.properties import LABEL, Part, parts
from thriftune.analysis.findings.errors.slicing import MIN_TEXTS, Slice, search
from thriftune.analysis.findings.errors.vocabulary import vocabulary
from thriftune.analysis.findings.groups import groups_of
from thriftune.analysis.statistics.enrichment import LEVEL
from thriftune.analysis.statistics.inference import Ints
from thriftune.analysis.statistics.stratified import Stratified, by_label, design_effects, for_groups, stratified
from thriftune.results.store import Results

TITLE = "Where the errors are"
QUESTION = "Which kinds of texts are got wrong more often than others of the same label?"


def build(results: Results) -> Panel | NotApplicable:
    """Slices found, and the error rate by each property against other texts with the same labels."""
    matrix = error_matrix(results)
    if matrix is None:
        return NotApplicable("No run learned, so its errors follow no property of the texts.")
    if not matrix.shared.any():
        return NotApplicable("There are no errors that most runs share." if matrix.wrong.any() else NO_ERRORS)
    every = parts(results, vocabulary(results))
    found, tried = search(every, matrix.shared, matrix.label, len(results.labels), groups_of(results))
    if not tried and all(part.property == LABEL for part in every):
        return NotApplicable("The texts differ in nothing that is looked at here but their labels.")
    if not tried:
        return NotApplicable(f"No kind of text has {MIN_TEXTS} test texts, the fewest that are compared.")
    finest = [part for part in every if part.finest and part.property != LABEL and part.texts.sum() >= MIN_TEXTS]
    tables = [_found(found, matrix)] if found else []
    charts: list[Chart] = []
    numbers = _numbers(finest, matrix, len(results.labels), groups_of(results))
    if numbers is not None:
        tables.append(_by_property(finest, numbers, matrix))
        charts += _chart(finest, numbers)
    properties = [] if numbers is None else [_plain(part.name, numbers, i) for i, part in enumerate(finest)]
    statistics = {
        "level": LEVEL,
        "tried": tried,
        "found": [_plain(each.name, each.numbers) | {"adjusted_p": each.p} for each in found],
        "by_property": properties,
    }
    sentences = [*hard_labels.sentences(results), _sentence(found, tried, matrix)]
    return Panel(sentences, tables, charts, _notes(matrix, tried), statistics)


NO_ERRORS = "There are no errors."


def _plain(name: str, numbers: Stratified, i: int | tuple[()] = ()) -> dict[str, object]:
    return {"texts_with": name} | plain(numbers, i)


def _sentence(found: list[Slice], tried: int, matrix: ErrorMatrix) -> str:
    if not found:
        tries = f"{tried:,} tried; {matrix.base}"
        return f"Within the same label, no kind of text has more errors than others beyond chance ({tries})."
    text = (
        f"The texts that stand out most among others of the same label: {found[0].name}. {against(found[0].numbers)}."
    )
    more = len(found) - 1
    names = f.listing([each.name for each in found[1:]], 4)
    return text + (
        f" Outside it, {f.plural(more, 'more group')} stand{'s' * (more == 1)} out: {names}." if more else ""
    )


COLUMNS = [Column("slice", "Texts"), *columns("Number", "Error rate", "Others, same labels")]


def _found(found: list[Slice], matrix: ErrorMatrix) -> Table:
    rows = []
    for slice_ in found:
        rows.append({"slice": slice_.name} | figures(slice_.numbers) | {"p": slice_.p} | each(matrix, slice_.texts))
    caption = (
        "Groups with more errors than other texts of the same labels, each without the texts of those above it: all "
        "figures are so."
    )
    return Table("slices", caption, [*COLUMNS, Column("p", "Adjusted p", "p"), *method_columns(matrix)], rows)


def _numbers(finest: list[Part], matrix: ErrorMatrix, classes: int, groups: Ints | None) -> Stratified | None:
    if not finest:
        return None
    masks: Mask = np.stack([part.texts for part in finest])
    numbers = stratified(*by_label(masks, matrix.shared, matrix.label, classes))
    if groups is None:
        return numbers
    return for_groups(numbers, design_effects(masks.T, matrix.shared, matrix.label, groups), int(groups.max()) + 1)


def _by_property(finest: list[Part], numbers: Stratified, matrix: ErrorMatrix) -> Table:
    rows = [{"slice": p.name} | figures(numbers, i) | each(matrix, p.texts) for i, p in enumerate(finest)]
    methods = " At the right, each method's own error rate." if len(matrix.methods) > 1 else ""
    caption = f"Error rate by length, word overlap, numbers, negation and kept columns, the labels fixed.{methods}"
    return Table("error-rates", caption, [*COLUMNS, *method_columns(matrix)], rows)


def _chart(finest: list[Part], numbers: Stratified) -> list[Chart]:
    known = np.flatnonzero(np.isfinite(numbers.difference_low))
    if not len(known):
        return []
    description = "How many points more errors each kind of text has than others of the same labels, with intervals."
    names = [finest[i].name for i in known]
    return [differences("error-rates", "Errors by property, labels fixed", description, names, numbers[known])]


def _notes(matrix: ErrorMatrix, tried: int) -> list[str]:
    return [
        matrix.whose,
        f"Tried: {tried:,} groups of at least {MIN_TEXTS} texts, by one property or by two. Each is compared with "
        "other texts label by label (Mantel and Haenszel), so that a hard label alone makes no group stand out; "
        f"found: at a false discovery rate of {f.percent(LEVEL, 0)} over all of them, and with an error rate above "
        "that of all texts. A pair must also have more errors than either of its two parts. Ranked by the lower end of "
        "the difference's interval, so that few texts weigh less.",
        "Numbers are divided at quintiles; neighbouring ranges are also tried together. Negations are recognised in "
        "English, German, French, Spanish, Italian, Portuguese and Dutch.",
    ]
