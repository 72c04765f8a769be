"""Up to which size onnxruntime is the faster one: measured on the model, here and now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens

LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Tokens of one text."""
TEXTS = (2, 3, 4, 6, 8, 12, 16)
"""Of `SHORT` tokens each."""
SHORT = 16
ROUNDS, SECONDS = 7, 0.3
"""Each size is tried so often by both in turn, or for so long; the least time counts, which other work delays least."""
Computes = Callable[["Tokens"], object]
Times = Callable[[Computes, Computes, "Tokens"], tuple[float, float]]


@dataclass(frozen=True)
class Crossover:
    """The largest requests that onnxruntime computes at least as fast as the engine; none where both are 0."""

    texts: int
    tokens: int
    """Of all texts together."""

    def takes(self, tokens: Tokens) -> bool:
        """Whether texts are so few and short."""
        return len(tokens) <= self.texts and int(tokens.offsets[-1] - tokens.offsets[0]) <= self.tokens


def find(own: Computes, other: Computes, sample: Tokens, longest: int, times: Times | None = None) -> Crossover:
    """Tries larger and larger requests until the engine is the faster one.

    One text grows to the `longest` that the model reads, then there are more of them. Texts are made of the token ids
    of a sample. `times` gives the seconds of both.
    """
    times = times or least_seconds
    tokens = _largest(own, other, times, ((1, size, of(sample, 1, size)) for size in _upto(LENGTHS, longest)))
    if tokens == (0, 0):
        return Crossover(0, 0)
    size = min(SHORT, longest)
    texts = _largest(own, other, times, ((count, count * size, of(sample, count, size)) for count in TEXTS))
    return Crossover(max(1, texts[0]), max(tokens[1], texts[1]))


def of(sample: Tokens, texts: int, length: int) -> Tokens:
    """Texts of one length, made of a sample's ids."""
    from thriftune.data.tokens import Tokens

    place = np.arange(texts * length) % len(sample.ids)
    types = None if sample.types is None else sample.types[place]
    return Tokens(sample.ids[place], types, np.arange(texts + 1, dtype=np.int64) * length, truncated=0)


def least_seconds(own: Computes, other: Computes, tokens: Tokens) -> tuple[float, float]:
    """Of both, in turn, after one call that is not counted."""
    least = [float("inf"), float("inf")]
    for each in (own, other):
        each(tokens)
    started = time.perf_counter()
    for _ in range(ROUNDS):
        for place, each in enumerate((own, other)):
            before = time.perf_counter()
            each(tokens)
            least[place] = min(least[place], time.perf_counter() - before)
        if time.perf_counter() - started > SECONDS:
            break
    return least[0], least[1]


def _upto(sizes: tuple[int, ...], most: int) -> Iterator[int]:
    yield from (size for size in sizes if size < most)
    yield min(most, sizes[-1])


def _largest(own: Computes, other: Computes, times: Times, sizes: Iterator[tuple[int, int, Tokens]]) -> tuple[int, int]:
    """Texts and tokens of the last size before the engine is faster twice in a row: one may be other work's doing."""
    found, lost = (0, 0), 0
    for texts, tokens, tried in sizes:
        ours, theirs = times(own, other, tried)
        lost = lost + 1 if theirs > ours else 0
        if lost == 2:
            break
        if not lost:
            found = (texts, tokens)
    return found
