"""Which run of a study is meant: the one that it recommends, or one by its name."""

from __future__ import annotations

from collections.abc import Sequence

from thriftune.analysis.findings.deciding import on_validation
from thriftune.analysis.findings.decision import decide
from thriftune.errors import InputError, unknown_name
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

SHORTEST_ID = 6
"""Of a run's id so many characters may stand for it."""


def recommended(results: Results) -> RunRecord:
    """The run that `thriftune recommend` names without limits; of its seeds the best on validation.

    Raises `InputError` where no run learned anything.
    """
    taken = decide(results).taken
    if taken is None:
        raise InputError(
            f"No run in {results.store.path} learned anything, so none is recommended. Name one: "
            f'"{results.store.path}:NAME", NAME being {_listed(results.done)}.'
        )
    return _best(results, taken.cell.runs)


def named(results: Results, name: str) -> RunRecord:
    """The run called so: its name, its cell (then the best seed on validation), its id, or what begins one name alone.

    Raises `InputError` where none is, or several are.
    """
    runs, wanted = results.done, name.strip().casefold()
    for fits in (
        lambda run: name in (run.name, run.run_id),
        lambda run: run.cell == name,
        lambda run: wanted in (run.name.casefold(), run.cell.casefold()),
        lambda run: len(name) >= SHORTEST_ID and run.run_id.startswith(name),
        lambda run: run.name.casefold().startswith(wanted),
    ):
        found = [run for run in runs if fits(run)]
        if len({run.cell for run in found}) == 1:
            return _best(results, found)
        if found and wanted:
            raise InputError(f'Several runs of {results.store.path} are called "{name}": {_listed(found)}. Name one.')
    other = next((run for run in results.runs if name in (run.name, run.run_id)), None)
    if other is not None:
        raise InputError(f'The run "{name}" has no model: it is {other.status.replace("_", " ")}. Name another.')
    raise unknown_name(f"In {results.store.path} the run", name, [run.name for run in runs])


def _best(results: Results, runs: Sequence[RunRecord]) -> RunRecord:
    """The run with the best validation score, by the metric that the study decides by; the first of equals, and where
    there is no validation.
    """
    return max(runs, key=lambda run: on_validation(results, run))


def _listed(runs: Sequence[RunRecord]) -> str:
    return ", ".join(f'"{run.name}"' for run in runs) or "that of a finished run"
