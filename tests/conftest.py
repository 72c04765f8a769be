"""Every test run has its own cache folder, and one thread per process: several share the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _predicting_is_not_measured() -> Iterator[None]:
    """Runs in this process leave it out, which takes each of them a second; its own tests give their seconds."""
    from thriftune.cost.measured import predicting

    before, predicting.SECONDS = predicting.SECONDS, 0
    yield
    predicting.SECONDS = before


@pytest.fixture(scope="session", autouse=True)
def _own_cache() -> Iterator[None]:
    with TemporaryDirectory(prefix="thriftune-cache-") as folder:
        before = os.environ.get("THRIFTUNE_CACHE")
        os.environ["THRIFTUNE_CACHE"] = str(Path(folder))
        yield
        if before is None:
            del os.environ["THRIFTUNE_CACHE"]
        else:
            os.environ["THRIFTUNE_CACHE"] = before
