"""What the tests of a search share: a folder of data, a whole search, few trials before the sampler begins."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.study.search.searched import compare, study_of

from thriftune.results.store import Results
from thriftune.study.search import trials as trials_module


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Fewer trials before the sampler and the pruner begin; and no walk through all of pytest's objects per trial."""
    before = trials_module.STARTUP_TRIALS, trials_module.UNPRUNED_TRIALS
    trials_module.STARTUP_TRIALS, trials_module.UNPRUNED_TRIALS = 3, 2
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    trials_module.STARTUP_TRIALS, trials_module.UNPRUNED_TRIALS = before


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def whole(data: Path) -> Results:
    """Two methods, four trials each, two seeds."""
    return compare(study_of(data, seeds=[0, 1]), data / "whole")
