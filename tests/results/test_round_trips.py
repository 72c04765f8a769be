"""What goes to disk comes back, whatever it holds."""

from __future__ import annotations

import math
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thriftune.results.history import StepPoint
from thriftune.results.run_folder import Embeddings, RunFolder, RunFolders, folder_name

finite = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=60)
ids = st.text(string.hexdigits.lower()[:16], min_size=32, max_size=32)


def folder(factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder(factory.mktemp("run"))


@given(points=st.lists(st.builds(StepPoint, st.integers(1, 10**9), finite, finite, finite), max_size=20))
def test_a_history(tmp_path_factory: pytest.TempPathFactory, points: list[StepPoint]) -> None:
    run = folder(tmp_path_factory)
    run.write_history(points)
    assert run.read_history() == (points, [])


@given(
    shape=st.tuples(st.integers(0, 20), st.integers(1, 8)),
    seed=st.integers(0, 10**6),
)
def test_vectors(tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int], seed: int) -> None:
    run, rng = folder(tmp_path_factory), np.random.default_rng(seed)
    rows = np.sort(rng.choice(1000, shape[0], replace=False)).astype(np.int64)
    vectors = rng.normal(size=shape).astype(np.float16)
    run.write_embeddings(Embeddings(rows, vectors))
    found = run.read_embeddings()
    assert found is not None
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.vectors, vectors)


@given(cell=words, seed=st.integers(0, 10**6), run_id=ids)
def test_a_run_has_a_plain_folder_name_and_is_found_by_its_id(
    tmp_path_factory: pytest.TempPathFactory, cell: str, seed: int, run_id: str
) -> None:
    name = folder_name(cell, seed, run_id)
    assert set(name) <= set(string.ascii_lowercase + string.digits + "-")
    assert 1 <= len(name) <= 100
    root = tmp_path_factory.mktemp("runs")
    made = RunFolders(root).path(run_id, cell, seed)
    assert made.parent == root
    made.mkdir()
    assert RunFolders(root).path(run_id, None, 0) == made
    assert RunFolders(root).path(run_id, "called otherwise", seed) == made


@given(first=ids, second=ids, cell=words)
def test_two_runs_never_share_a_folder(
    tmp_path_factory: pytest.TempPathFactory, first: str, second: str, cell: str
) -> None:
    root = tmp_path_factory.mktemp("runs")
    one = RunFolders(root).path(first, cell, 0)
    one.mkdir()
    (one / "run.json").write_text(f'{{"run_id": "{first}"}}')
    other = RunFolders(root).path(second, cell, 0)
    assert (other == one) == (first == second)


def test_numbers_that_are_none_stay_apart(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(ValueError, match=r"nan|finite|JSON"):
        run.write_history([StepPoint(1, 0.1, math.nan, 0.1)])
