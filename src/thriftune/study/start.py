"""How a study begins soon: seconds of imports, here and in the process that its runs are forked from, side by side."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from thriftune.errors import InputError
from thriftune.results.store import Store
from thriftune.study.file.config import Study
from thriftune.study.file.plan import plan
from thriftune.study.file.selection import select
from thriftune.study.run.process import warm_up


def start_early(study: Study, out: Path, only: Sequence[str] = (), without: Sequence[str] = ()) -> None:
    """Starts the process that runs are forked from before the data is read, where `OUT` holds no results yet.

    To be called before torch is imported here: both then import it at once. A study that goes on may have nothing left
    to run, so it is looked at first.
    """
    try:
        if Store(out).results_path.exists():
            return
        runs = select(plan(study), only, without)
    except (InputError, OSError):  # is said where it belongs
        return
    if any(run.method.NEEDS_MODEL for run in runs):
        warm_up()


@contextmanager
def importing() -> Iterator[None]:
    """Inside, Python looks for nothing to free: what imports make stays, and looking takes a quarter of their time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
