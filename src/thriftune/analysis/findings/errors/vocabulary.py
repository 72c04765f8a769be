"""The words of the test texts, taken apart once for every panel that asks about words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from thriftune.analysis.findings.memo import once
from thriftune.results.store import Results

WORD = r"\w+"
"""A word: a run of letters, digits and underscores in any script that puts something between words."""
CHUNK = 20_000
"""Texts taken apart at once, which bounds the memory that long texts need."""


@dataclass(frozen=True)
class Vocabulary:
    """Which lower-cased words stand in which text, each counted once per text."""

    words: list[str]
    """Sorted."""
    columns: dict[str, csr_matrix]
    """By text column: float32 zeros and ones of shape (texts, words)."""

    @property
    def either(self) -> csr_matrix:
        """Words of any of the columns, shape (texts, words)."""
        first, *rest = self.columns.values()
        for matrix in rest:
            first = first.maximum(matrix)
        return first


@once
def vocabulary(results: Results) -> Vocabulary:
    """The words of a study's test texts."""
    return take_apart(results.test, results.study.profile.text_columns)


def take_apart(frame: pl.DataFrame, columns: Sequence[str]) -> Vocabulary:
    """The words of some text columns.

    Words are told apart by a 64-bit hash, so that millions of them need little memory.
    """
    found = {column: _occurrences(frame[column]) for column in columns}
    names = pl.concat([names for *_, names in found.values()]).unique("hash").sort("word")
    hashes = names["hash"].to_numpy()
    order = np.argsort(hashes)
    shape = (len(frame), len(names))
    matrices = {}
    for column, (rows, words, _) in found.items():
        ids = order[np.searchsorted(hashes, words, sorter=order)]
        matrices[column] = csr_matrix((np.ones(len(ids), dtype=np.float32), (rows, ids)), shape=shape)
    return Vocabulary(names["word"].to_list(), matrices)


def _occurrences(texts: pl.Series) -> tuple[NDArray[np.int32], NDArray[np.uint64], pl.DataFrame]:
    """Row and hash of every word in every text, and the words by hash."""
    rows, hashes, names = [], [], []
    for start in range(0, max(1, len(texts)), CHUNK):
        chunk = texts.slice(start, CHUNK).cast(pl.String).str.to_lowercase().str.extract_all(WORD)
        frame = chunk.list.unique().alias("word").to_frame().with_row_index("row", offset=start).explode("word")
        frame = frame.drop_nulls().with_columns(pl.col("word").hash().alias("hash"))
        rows.append(frame["row"].cast(pl.Int32).to_numpy())
        hashes.append(frame["hash"].to_numpy())
        names.append(frame.select("hash", "word").unique("hash"))
    return np.concatenate(rows), np.concatenate(hashes), pl.concat(names).unique("hash")
