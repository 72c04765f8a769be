"""A study from its settings to what it says: every run, then the analysis, whose statistics `results.json` keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thriftune.analysis.analyse import Analysis
    from thriftune.study.events import Event
    from thriftune.study.file.config import Study


def compare_and_analyse(
    study: Study,
    out: Path,
    listener: Callable[[Event], None] | None = None,
    isolate: bool = True,
    *,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    workers: int | str = 1,
    processes: int = 1,
) -> Analysis:
    """Runs a study and returns what every panel says of its results, which it holds; `OUT` has everything but the page.

    See `thriftune.study.execute.compare` for the arguments and what is raised.
    """
    from thriftune.study.execute import compare as run_study

    results = run_study(study, out, listener, isolate, only=only, without=without, workers=workers, processes=processes)
    from thriftune.analysis.analyse import analysed
    from thriftune.export.card import card
    from thriftune.study.events import Notice
    from thriftune.use.models.best import keep

    analysis = analysed(results)
    reason = keep(results, card).reason
    if reason is not None and listener is not None:
        listener(Notice(reason))
    return analysis
