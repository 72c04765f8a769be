"""Which method to take under limits, from Python."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError
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
    from thriftune.amounts import parse_bytes, parse_seconds
    from thriftune.analysis.findings.choice import Limits, advise, reasons

    if isinstance(tasks, bool) or not isinstance(tasks, int) or not 1 <= tasks <= MOST_TASKS:
        raise InputError(f"There is at least one task, and at most {MOST_TASKS:,}; {tasks} were given.")
    values: dict[str, Any] = {
        "memory_bytes": parse_bytes(memory) if isinstance(memory, str) else _amount(memory, "memory"),
        "seconds": parse_seconds(time) if isinstance(time, str) else _amount(time, "time"),
        "tasks": tasks,
    }
    if latency is not None:
        values[_latency_limit()] = parse_seconds(latency) if isinstance(latency, str) else _amount(latency, "latency")
    candidates, careful, results = _candidates(source)
    advice = advise(candidates, Limits(**values), results)
    first = next((each.candidate.name for each in advice.ranked if each.rank == 1), None)
    taken = None if advice.decision is None or advice.decision.taken is None else advice.decision.taken.name
    return Advice(taken or first, (*reasons(advice), *careful), results is not None, advice)


def _latency_limit() -> str:
    from thriftune.analysis.findings.choice import Limits

    found = next((each.name for each in fields(Limits) if "latency" in each.name), None)
    if found is None:
        raise InputError("This release does not measure latency, so it cannot be a limit.")
    return found


def _amount(value: float | None, what: str) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise InputError(f"{what} is a positive number or a text such as 8GB, 10min or 20ms; {value!r} is given.")
    return value


def _candidates(
    source: store.Results | Study | Path | str,
) -> tuple[list[choice.Candidate], list[str], store.Results | None]:
    """What can be chosen from, what must be said of runs that were still improving, and the results."""
    from thriftune.analysis.findings.choice import measured, predicted, unmeasured
    from thriftune.report.printed.table import summary_training
    from thriftune.results.soundness import check_results
    from thriftune.study.file.config import load_study
    from thriftune.study.forecast.estimate import estimate

    if isinstance(source, str | Path):
        path = Path(source)
        source = (
            load_study(path) if path.suffix in (".yaml", ".yml") and not path.is_dir() else store.Store(path).load()
        )
    if isinstance(source, store.Results):
        check_results(source)
        return [*measured(source), *unmeasured(source)], summary_training(source)[0], source
    cells = estimate(source)
    return [predicted(cell.name, cell.model, cell.predicted) for cell in cells], [], None
