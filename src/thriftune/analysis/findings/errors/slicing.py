"""The search for groups of texts with more errors than other texts of the same labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from thriftune.analysis.findings.errors.error_matrix import Mask
from thriftune.analysis.findings.errors.properties import LABEL, Part
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.enrichment import LEVEL
from thriftune.analysis.statistics.inference import Ints
from thriftune.analysis.statistics.stratified import Stratified, by_label, design_effects, for_groups, many, stratified

MIN_TEXTS = 30
"""Smaller groups are not looked at."""
MAX_FOUND = 8
NORMAL_95 = 2 * 1.959964


@dataclass(frozen=True)
class Slice:
    """Texts with one property or with both of two, and how their errors compare with others of the same labels."""

    parts: tuple[Part, ...]
    texts: Mask
    """Those outside the slices found before it, shape (texts,)."""
    numbers: Stratified
    """Of shape (): of these texts against all that are outside the slices found before it."""
    p: float
    """Adjusted after Benjamini and Hochberg."""

    @property
    def name(self) -> str:
        """What its texts have in common."""
        return ", and ".join(part.name for part in self.parts)


@dataclass(frozen=True)
class _Texts:
    """The texts that are searched: the parts as (parts, texts), errors and labels as (texts,)."""

    masks: NDArray[np.float32]
    wrong: Mask
    label: NDArray[np.int64]
    classes: int
    groups: Ints | None

    def all(self, left: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Errors and texts of all that are left, by label."""
        return (
            np.bincount(self.label[left & self.wrong], minlength=self.classes),
            np.bincount(self.label[left], minlength=self.classes),
        )

    def pairs(
        self, left: Mask, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Errors and texts in both of two parts by label, each of shape (pairs, labels)."""
        out = [np.zeros((len(i), self.classes), dtype=np.int64) for _ in range(2)]
        for k in range(self.classes):
            for place, chosen in enumerate((left & self.wrong, left)):
                of = np.flatnonzero(chosen & (self.label == k))
                held = self.masks[:, of]
                out[place][:, k] = np.rint((held @ held.T)[i, j])
        return out[0], out[1]

    def compared(self, left: Mask, i: NDArray[np.int64], j: NDArray[np.int64]) -> Stratified:
        """Intersections of two parts (a part itself where both are the same) against all that are left."""
        numbers = many(*self.pairs(left, i, j), *self.all(left))
        if self.groups is None:
            return numbers
        effects, near = np.ones(len(i)), np.flatnonzero(numbers.p <= LEVEL)  # the others are no finding either way
        if len(near):
            held = (self.masks[i[near]] * self.masks[j[near]])[:, left].T
            own = np.unique(self.groups[left], return_inverse=True)[1]
            effects[near] = design_effects(held, self.wrong[left], self.label[left], own)
        return for_groups(numbers, effects, int(self.groups.max()) + 1)


def search(
    found: list[Part], wrong: Mask, label: NDArray[np.int64], classes: int, groups: Ints | None = None
) -> tuple[list[Slice], int]:
    """Slices with more errors than their labels explain, the clearest first, and how many candidates there were.

    A candidate is a part or the intersection of two parts of different properties; an intersection has to beat both
    of its parts as well. Findings are those at a false discovery rate of `LEVEL` whose rate lies above that of all
    texts. The one with the highest lower end of the difference is taken, its texts are left out, and the others are
    compared again: a slice is never a mere echo of one found before. `groups` says which texts belong together.
    """
    texts = _Texts(np.stack([part.texts for part in found]).astype(np.float32), wrong, label, classes, groups)
    left = np.ones(len(wrong), dtype=bool)
    i, j = _candidates(found, texts.masks)
    if not len(i):
        return [], 0
    numbers = texts.compared(left, i, j)
    p = numbers.p.copy()
    for at in np.flatnonzero((p <= LEVEL) & (i != j)):
        p[at] = max(p[at], _against_parts(texts, found, int(i[at]), int(j[at])))
    tried, clear = len(i), _clear(p, numbers)
    rejected = int(clear.sum())
    i, j, numbers, p = i[clear], j[clear], numbers[clear], p[clear]
    out: list[Slice] = []
    while len(i) and len(out) < MAX_FOUND:
        best = int(np.argmax(numbers.difference_low))
        chosen = (found[i[best]],) if i[best] == j[best] else (found[i[best]], found[j[best]])
        inside = np.logical_and.reduce([left, *(part.texts for part in chosen)])
        out.append(Slice(chosen, inside, numbers[best], float(min(1.0, p[best] * tried / rejected))))
        left = left & ~inside
        numbers = texts.compared(left, i, j)
        p = np.maximum(p, numbers.p)
        kept = (p * tried / rejected <= LEVEL) & (numbers.rate > numbers.overall) & (numbers.texts >= MIN_TEXTS)
        kept &= np.isfinite(numbers.difference_low)
        i, j, numbers, p = i[kept], j[kept], numbers[kept], p[kept]
    return out, tried


def _candidates(found: list[Part], masks: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parts that are no label, and pairs of different properties, with enough texts."""
    apart = np.array([[a.property != b.property for b in found] for a in found])
    alone = np.diag([part.property != LABEL for part in found])
    first, second = np.nonzero(np.triu(apart) | alone)
    enough = np.rint(masks @ masks.T)[first, second] >= MIN_TEXTS
    return first[enough], second[enough]


def _clear(p: Floats, numbers: Stratified) -> Mask:
    return np.asarray(
        (stats.false_discovery_control(p) <= LEVEL)
        & (numbers.rate > numbers.overall)
        & np.isfinite(numbers.difference_low)
    )


def _against_parts(texts: _Texts, found: list[Part], i: int, j: int) -> float:
    """The larger p value of an intersection against the two parts that it is taken from, their labels fixed."""
    if LABEL in (found[i].property, found[j].property):
        of_label, other = (i, j) if found[i].property == LABEL else (j, i)
        return _against_other_labels(texts, found[of_label].texts, found[other].texts)
    both = found[i].texts & found[j].texts
    p = []
    for part in (found[i].texts, found[j].texts):
        counted = by_label(both[None, part], texts.wrong[part], texts.label[part], texts.classes)
        p.append(float(stratified(*counted).p[0]))
    return max(p)


def _against_other_labels(texts: _Texts, of_label: Mask, other: Mask) -> float:
    """The p value of a part's excess of errors in one label being no larger than in the other labels."""
    differences, variances = [], []
    for chosen in (of_label, ~of_label):
        counted = by_label(other[None, chosen], texts.wrong[chosen], texts.label[chosen], texts.classes)
        found = stratified(*counted)
        differences.append(float(found.difference[0]))
        variances.append(float((found.difference_high[0] - found.difference_low[0]) / NORMAL_95) ** 2)
    spread = float(np.sqrt(sum(variances)))
    if np.isnan(differences[1]):
        return 0.0  # the part has texts of this label alone
    return float(stats.norm.sf((differences[0] - differences[1]) / spread)) if spread > 0 else 1.0
