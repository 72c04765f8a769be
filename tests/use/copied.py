"""A copy of the tiny study, beside it, for tests that change it."""

from __future__ import annotations

import shutil
from itertools import count

from tests.use.trained import study

from thriftune.results.store import Results, Store

NUMBERS = count()


def copied() -> Results:
    """Its results; bases and data of a sibling folder are found by the same relative paths."""
    out = study().store.path
    folder = out.with_name(f"copy-{next(NUMBERS)}")
    shutil.copytree(out, folder, ignore=shutil.ignore_patterns("best", "refit"))
    return Store(folder).load()
