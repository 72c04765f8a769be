"""Words that go with errors among texts of the same labels: in all texts, by true label and by confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from thriftune import wording as f
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, Mask, error_matrix
from thriftune.analysis.findings.errors.excess import columns, differences, figures, interval, method_columns, plain
from thriftune.analysis.findings.errors.vocabulary import Vocabulary, vocabulary
from thriftune.analysis.findings.groups import groups_of
from thriftune.analysis.statistics.enrichment import LEVEL
from thriftune.analysis.statistics.inference import Ints
from thriftune.analysis.statistics.stratified import Stratified, design_effects, for_groups, many
from thriftune.results.store import Results

TITLE = "Words that go with errors"
QUESTION = "Which words do wrong texts hold more often than other texts of the same label?"

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
    label: NDArray[np.int64] | None = None
    """The label of each of all texts, which is held fixed, shape (texts,); None where the group has one label."""


@dataclass(frozen=True)
class Found:
    """The words that a family of groups has as findings, by group and then by the difference's lower end."""

    group: NDArray[np.int64]
    word: NDArray[np.int64]
    """Columns of the matrix that was searched."""
    numbers: Stratified
    p: NDArray[np.float64]
    """Adjusted for every word in every group of the family."""
    tested: int


def search(held: csr_matrix, groups: list[Group], together: Ints | None = None) -> Found:
    """Words that go with the errors of some groups, at a false discovery rate of `LEVEL` over all of them.

    `held` has the shape (texts, words) and holds zeros and ones. With a word the error rate lies above that of other
    texts of the same labels, and above that of all texts of the group.
    """
    found = [_words(held, group, together) for group in groups]
    group = np.concatenate([np.full(len(word), i) for i, (word, _) in enumerate(found)])
    word = np.concatenate([word for word, _ in found])
    if not len(word):
        return Found(group, word, found[0][1], np.zeros(0), 0)
    names = Stratified.__dataclass_fields__
    numbers = Stratified(*(np.concatenate([getattr(each, name) for _, each in found]) for name in names))
    p = numbers.adjusted_p
    kept = np.flatnonzero(numbers.found_at(LEVEL) & np.isfinite(numbers.difference_low))
    kept = kept[np.lexsort((-numbers.difference_low[kept], group[kept]))]
    return Found(group[kept], word[kept], numbers[kept], p[kept], len(p))


def _words(held: csr_matrix, group: Group, together: Ints | None) -> tuple[NDArray[np.int64], Stratified]:
    """The words that enough of a group's texts hold, and their texts against the others of the same labels."""
    label = np.zeros(len(group.texts), dtype=np.int64) if group.label is None else group.label
    classes = int(label.max(initial=0)) + 1
    of_label = np.zeros((classes, len(label)), dtype=np.float32)
    of_label[label, np.arange(len(label))] = 1
    masks = of_label * group.errors, of_label * group.texts
    wrong, texts = (np.rint(np.asarray(mask @ held)).astype(np.int64).T for mask in masks)
    word = np.flatnonzero(texts.sum(axis=1) >= MIN_TEXTS)
    numbers = many(wrong[word], texts[word], *(mask.sum(axis=1, dtype=np.int64) for mask in masks))
    near = np.flatnonzero(numbers.p <= LEVEL)
    if together is None or not len(near):
        return word, numbers
    rows, effects = np.flatnonzero(group.texts), np.ones(len(word))
    own = np.unique(together[rows], return_inverse=True)[1]
    effects[near] = design_effects(held[rows][:, word[near]], group.errors[rows], label[rows], own)
    return word, for_groups(numbers, effects, int(own.max()) + 1)


def build(results: Results) -> Panel | NotApplicable:
    """Words with their error rates, over all texts with the labels fixed, by true label and by confusion."""
    matrix = error_matrix(results)
    if matrix is None:
        return NotApplicable("No run learned, so its errors follow no words.")
    if not matrix.shared.any():
        return NotApplicable("There are no errors that most runs share." if matrix.wrong.any() else NO_ERRORS)
    known = vocabulary(results)
    names, held = _features(known)
    if not names:
        return NotApplicable(f"No word stands in {MIN_TEXTS} test texts.")
    whole = np.ones(len(matrix.label), dtype=bool)
    everything = search(held, [Group("all texts", whole, matrix.shared, matrix.label)], groups_of(results))
    tables = [_overall(everything, names, held, matrix)] if len(everything.p) else []
    sentences = [_sentence(everything, names)]
    statistics: dict[str, Any] = {"level": LEVEL, "tried": everything.tested}
    statistics["words"] = [_plain(everything, names, i) for i in range(len(everything.p))]
    for family, title in ((by_label, "true label"), (by_confusion, "confusion")):
        groups = family(matrix, results.labels)
        found = search(held, groups, groups_of(results)) if groups else None
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
    return {"word": word, "column": column} | plain(found.numbers, i) | {"adjusted_p": float(found.p[i])}


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
            f"Within the same label, no word goes with errors beyond chance ({found.tested:,} tried, false discovery "
            f"rate {f.percent(LEVEL, 0)})."
        )
    n = found.numbers
    word, column = names[found.word[0]]
    where = f" in {column}" if len({column for _, column in names}) > 1 else ""
    others = list(dict.fromkeys(names[i][0] for i in found.word[1:] if names[i][0] != word))[:4]
    text = (
        f"“{word}”{where} goes with errors the most: {f.percent(float(n.rate[0]))} of the "
        f"{int(n.texts[0]):,} texts with it are errors, against {f.percent(float(n.elsewhere[0]))} of other texts with "
        f"the same labels: {f.signed_points(float(n.difference[0]))} points (95% interval {interval(n, 0)})."
    )
    return text + (f" It is followed by {f.listing([f'“{other}”' for other in others])}." if others else "")


def _group_sentence(title: str, groups: list[Group], found: Found, names: list[tuple[str, str]]) -> str:
    tops = {int(g): names[w][0] for g, w in reversed(list(zip(found.group, found.word, strict=True)))}
    parts = [f"{groups[g].name}: “{tops[g]}”" for g in sorted(tops)]
    return f"First by {title}: {'; '.join(parts[:4])}."


def _row(found: Found, names: list[tuple[str, str]], i: int) -> dict[str, Any]:
    word, column = names[found.word[i]]
    return {"word": word, "column": column} | figures(found.numbers, i) | {"p": float(found.p[i])}


def _columns(names: list[tuple[str, str]], rate: str, elsewhere: str) -> list[Column]:
    where = [Column("column", "Where")] if len({column for _, column in names}) > 1 else []
    return [Column("word", "Word"), *where, *columns("Texts with it", rate, elsewhere), Column("p", "Adjusted p", "p")]


def _overall(found: Found, names: list[tuple[str, str]], held: csr_matrix, matrix: ErrorMatrix) -> Table:
    shown = min(SHOWN, len(found.p))
    words = held[:, found.word[:shown]]
    rates = np.asarray(matrix.wrong.astype(np.float32) @ words) / np.maximum(1, found.numbers.texts[:shown])
    rows = [_row(found, names, i) for i in range(shown)]
    several = len(matrix.methods) > 1
    if several:
        own = [rates[method.rows].mean(axis=0) for method in matrix.methods]
        rows = [row | {f"r{j}": float(rate[i]) for j, rate in enumerate(own)} for i, row in enumerate(rows)]
    more = f" The first {shown} of {len(found.p)}." if shown < len(found.p) else ""
    methods = " At the right, each method's own error rate on the texts with the word." if several else ""
    caption = f"Words of errors, the labels fixed, by the lower end of the difference's interval.{more}{methods}"
    of_texts = _columns(names, "Error rate with it", "Without it, same labels")
    return Table("lift-words", caption, [*of_texts, *method_columns(matrix)], rows)


def _grouped(title: str, groups: list[Group], found: Found, names: list[tuple[str, str]]) -> Table:
    rows = []
    for g, group in enumerate(groups):
        for i in np.flatnonzero(found.group == g)[:SHOWN_PER_GROUP]:
            rows.append({"group": group.name} | _row(found, names, int(i)))
    grouped = [Column("group", title.capitalize()), *_columns(names, "Share with the error", "Without it")]
    caption = f"The same within each {title}: against other texts of that true label. Up to {SHOWN_PER_GROUP} words."
    return Table(f"lift-words-by-{title.replace(' ', '-')}", caption, grouped, rows)


def _chart(found: Found, names: list[tuple[str, str]]) -> Chart:
    shown = min(SHOWN, len(found.p))
    parts = 2 if len({column for _, column in names}) > 1 else 1
    words = [" · ".join(names[found.word[i]][:parts]) for i in range(shown)]
    description = "How many points more errors the texts with each word have than others of their labels."
    return differences("lift-words", "Words that go with errors, labels fixed", description, words, found.numbers)


def _notes(matrix: ErrorMatrix) -> list[str]:
    return [
        matrix.whose,
        f"Words: runs of letters, digits and underscores (\\w+), lower-cased, in at least {MIN_TEXTS} of the texts "
        "compared; each counts once per text. The texts with a word are compared with the others label by label "
        "(Mantel and Haenszel), so that a word of the harder labels does not rise with them.",
        "p values are one-sided and adjusted after Benjamini and Hochberg over all words of a table, shown up to "
        f"{LEVEL:g} where the error rate also lies above that of all texts. A word that goes with errors need not "
        "cause them.",
    ]


NO_ERRORS = "There are no errors."
