"""Which run of a study is meant: the one that it recommends, or one by its name."""

from __future__ import annotations

from collections.abc import Sequence

from thriftune.analysis.findings.deciding import on_validation
from thriftune.analysis.findings.decision import decide
from thriftune.errors import InputError, unknown_name
from thriftune.paths import named as path_name
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
            f"No run in {path_name(results.store.path)} learned anything, so none is recommended. Name one: "
            f'"{path_name(results.store.path)}:NAME", NAME being {_listed(results.done)}.'
        )
    return best_seed(results, taken.cell.runs)


def named(results: Results, name: str) -> RunRecord:
    """The run called so: its name, its cell (then the best seed on validation), its folder, id or method, or what
    begins one name alone.

    Raises `InputError` where none is, or several are.
    """
    runs, wanted = results.done, plain(name)
    for fits in (
        lambda run: name in (run.name, run.run_id),
        lambda run: run.cell == name,
        lambda run: wanted in (plain(run.name), plain(run.cell)),
        lambda run: results.store.run(run.run_id).path.name == name,
        lambda run: len(name) >= SHORTEST_ID and run.run_id.startswith(name),
        lambda run: plain(str(run.method["name"])) == wanted,
        lambda run: plain(run.name).startswith(wanted),
    ):
        found = [run for run in runs if fits(run)]
        if len({run.cell for run in found}) == 1:
            return best_seed(results, found)
        if found and wanted:
            place = path_name(results.store.path)
            raise InputError(f'Several runs of {place} are called "{name}": {_listed(found)}. Name one.')
    other = next((run for run in results.runs if wanted in (plain(run.name), run.run_id)), None)
    if other is not None:
        raise InputError(f'The run "{name}" has no model: it is {other.status.replace("_", " ")}. Name another.')
    raise unknown_name(f"In {path_name(results.store.path)} the run", name, [run.name for run in runs])


def plain(name: str) -> str:
    """A name as it is compared: small letters, one blank where there are blanks, hyphens or underscores."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def best_seed(results: Results, runs: Sequence[RunRecord]) -> RunRecord:
    """The run with the best validation score, by the metric that the study decides by; the first of equals, and where
    there is no validation.
    """
    return max(runs, key=lambda run: on_validation(results, run))


def _listed(runs: Sequence[RunRecord]) -> str:
    return ", ".join(f'"{run.name}"' for run in runs) or "that of a finished run"
