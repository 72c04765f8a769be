"""Which arrays are alive at the peak."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from thriftune.cost.measured.arrays import LiveArrays

SIZE = 8_000_000
FITS = """
import tracemalloc
import numpy as np
from thriftune.cost.measured.arrays import LiveArrays
from thriftune.methods.base import Labelled
from thriftune.methods.tfidf import Tfidf

rng = np.random.default_rng(0)
words = [f"word{n}" for n in range(3000)]
texts = [" ".join(rng.choice(words, 12)) for _ in range(400)]
train = Labelled([texts[:300]], np.arange(300) % 20)
held = Labelled([texts[300:]], np.arange(100) % 20)
def fit(): Tfidf().fit(train, 20, 0, held)
fit()
found = []
for _ in range(2):
    counter = LiveArrays.begin()
    fit()
    found.append(counter.end())
tracemalloc.start()
fit()
print(*found, tracemalloc.get_traced_memory()[1])
"""


def test_arrays_count_while_they_live() -> None:
    before = np.ones(SIZE // 8)
    counter = LiveArrays.begin()
    for _ in range(3):
        first = np.ones(SIZE // 8)
        del first
    second = np.ones(SIZE // 4)
    texts = [f"text {n}" for n in range(20_000)]
    found = counter.end()
    assert len(before) + len(second) == 3 * SIZE // 8
    assert len(texts) == 20_000
    assert found == pytest.approx(2 * SIZE, rel=0.001), "neither what was freed nor what is no array"
    assert not tracemalloc.is_tracing()


def test_a_fit_is_counted_the_same_every_time_and_without_its_libraries() -> None:
    done = subprocess.run([sys.executable, "-c", FITS], capture_output=True, text=True, check=True)
    first, second, everything = (int(word) for word in done.stdout.split())
    assert first == pytest.approx(second, rel=0.001)
    assert 0.6 * everything < first < everything, "beside the arrays lie Python's n-grams alone"


def test_someone_elses_count_is_left_alone() -> None:
    tracemalloc.start()
    try:
        assert LiveArrays.begin().end() is None
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
