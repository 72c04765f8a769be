"""Which method to take under limits, from Python."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError
from thriftune.paths import status, user_path
from thriftune.remote.reading import folder_here
from thriftune.results import store
from thriftune.study.file.config import Study

if TYPE_CHECKING:
    import polars as pl

    from thriftune.analysis.findings import choice

MOST_TASKS = 1_000_000_000


@dataclass(frozen=True)
class Advice:
    """What to take, and why."""

    method: str | None
    """The name of the method to take; None where nothing fits."""
    reasons: tuple[str, ...]
    """Sentences: the choice, its cost, what does not fit, what is not beaten."""
    measured: bool
    """Whether it rests on measurements; else on what the methods are predicted to cost."""
    advice: choice.Advice
    careful: tuple[str, ...] = ()
    """Those of the reasons that are about runs which were still improving."""
    command: str | None = None
    """What would settle that."""

    def table(self) -> pl.DataFrame:
        """One row per method in order of choice; plain numbers, null where one is not known."""
        import polars as pl

        from thriftune.analysis.findings.choice import table_rows

        return pl.DataFrame(table_rows(self.advice.ranked, self.advice.limits.tasks), infer_schema_length=None)

    def __str__(self) -> str:
        return "\n".join(self.reasons)

    def _repr_html_(self) -> str:
        from thriftune.report.inline import listed, table
        from thriftune.report.printed.table import recommendation_rows

        return table(recommendation_rows(self.advice.ranked, self.advice.limits.tasks)) + listed(self.reasons)


def recommend(
    source: store.Results | Study | Path | str,
    *,
    memory: str | float | None = None,
    time: str | float | None = None,
    tasks: int = 1,
    latency: str | float | None = None,
) -> Advice:
    """Which method to take, from a study's results or output folder (measured) or a study or its file (predicted).

    `memory` is the most that training may need ("8GB", or bytes), `time` the longest that training one task may take
    ("10min", or seconds), `latency` the longest that predicting one text may take ("20ms", or seconds); `tasks` to be
    trained on one pretrained model count in what is stored. Raises `InputError` for amounts that are none, and where
    there are no results.
    """
    return advised(source, limits_of(memory=memory, time=time, latency=latency, tasks=tasks))


def limits_of(
    *, memory: str | float | None, time: str | float | None, latency: str | float | None, tasks: int
) -> choice.Limits:
    """Limits as `recommend` takes them; raises `InputError` for amounts that are none."""
    from thriftune.amounts import parse_bytes, parse_latency, parse_seconds
    from thriftune.analysis.findings.choice import Limits

    if isinstance(tasks, bool) or not isinstance(tasks, int) or not 1 <= tasks <= MOST_TASKS:
        raise InputError(f"There is at least one task, and at most {MOST_TASKS:,}; {tasks} were given.")
    return Limits(
        memory_bytes=_limit(memory, "memory", parse_bytes),
        seconds=_limit(time, "time", parse_seconds),
        latency_seconds=_limit(latency, "latency", parse_latency),
        tasks=tasks,
    )


def advised(
    source: store.Results | Study | Path | str, limits: choice.Limits, report: Callable[[str], None] = lambda _: None
) -> Advice:
    """The same under limits that are made; `report` is told what an estimate is doing."""
    from thriftune.analysis.findings.choice import advise, reasons

    candidates, (careful, command), results = _candidates(source, report)
    advice = advise(candidates, limits, results)
    first = next((each.candidate.name for each in advice.ranked if each.rank == 1), None)
    taken = None if advice.decision is None or advice.decision.taken is None else advice.decision.taken.name
    said = (*reasons(advice), *careful)
    return Advice(taken or first, said, results is not None, advice, tuple(careful), command)


def _limit(value: str | float | None, what: str, parse: Callable[[str], float]) -> Any:
    if isinstance(value, str):
        return parse(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise InputError(f"{what} is a positive number or a text such as 8GB, 10min or 20ms; {value!r} is given.")
    return value


def _candidates(
    source: store.Results | Study | Path | str, report: Callable[[str], None]
) -> tuple[list[choice.Candidate], tuple[list[str], str | None], store.Results | None]:
    """What can be chosen from: a folder's measured methods and those only estimated, or a study's estimates.

    Beside them what must be said of runs that were still improving (`summary_training`), and the folder's results.
    """
    from thriftune.analysis.findings.choice import measured, predicted, unmeasured
    from thriftune.report.printed.table import summary_training
    from thriftune.results.soundness import check_results
    from thriftune.study.file.config import load_study
    from thriftune.study.forecast.estimate import Question, estimate

    if isinstance(source, str | Path):
        path = user_path(str(folder_here(source)))
        found = status(path)
        if found is None and path.suffix not in (".yaml", ".yml"):
            raise InputError(
                f"There is no {source}. Give a folder that `thriftune compare --out` wrote, or a study file."
            )
        folder = found is not None and stat.S_ISDIR(found.st_mode)
        source = store.Store(path).load() if folder else load_study(path)
    if isinstance(source, store.Results):
        check_results(source)
        return [*measured(source), *unmeasured(source)], summary_training(source), source
    cells = estimate(source, Question(), report)
    return [predicted(cell.name, cell.model, cell.predicted) for cell in cells], ([], None), None
