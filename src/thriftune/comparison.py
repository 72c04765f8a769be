"""A study from its settings to what it says: every run, then the analysis, whose statistics `results.json` keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thriftune.analysis.analyse import Analysis
    from thriftune.remote.output import Output
    from thriftune.results.store import Results
    from thriftune.study.crew.ray.settings import RaySettings
    from thriftune.study.events import Event, Listener
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
    ray: RaySettings | None = None,
    processes: int = 1,
) -> Analysis:
    """Runs a study and returns what every panel says of its results, which it holds; `OUT` has everything but the page.

    See `thriftune.study.execute.compare` for the arguments and what is raised.
    """
    from thriftune.study.start import importing, start_early

    if isolate and ray is None:
        start_early(study, out, only, without)
    with importing():
        from thriftune.study.execute import compare as run_study

    means: dict[str, Any] = {"workers": workers, "processes": processes, "ray": ray}
    results = run_study(study, out, listener, isolate, only=only, without=without, **means)
    return analyse(results, listener)


def analyse(results: Results, listener: Callable[[Event], None] | None = None) -> Analysis:
    """What every panel says of results, which `results.json` then holds; the model of the run to take is kept apart."""
    from thriftune.study.start import importing

    with importing():
        from thriftune.analysis.analyse import analysed
        from thriftune.export.card import card
        from thriftune.study.events import Notice
        from thriftune.use.models.best import keep

    analysis = analysed(results)
    reason = keep(results, card).reason
    if reason is not None and listener is not None:
        listener(Notice(reason))
    return analysis


def kept_up(place: Output, listener: Listener | None) -> Listener:
    """A listener that also has what is done pushed as it is done, where `place` is the copy of a folder elsewhere."""
    from thriftune.study.events import Notice, RunFinished, RunProgress, SearchFinished, StudyPlanned

    def tell(event: Event) -> None:
        if listener is not None:
            listener(event)
        if place.elsewhere and isinstance(event, StudyPlanned | RunFinished | SearchFinished | RunProgress):
            for text in place.ask(checkpoints=isinstance(event, RunProgress)):
                if listener is not None:
                    listener(Notice(text))

    return tell
