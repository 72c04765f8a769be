"""`--only` and `--without`: which of a study's runs are made now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase

from thriftune.engine.protocol import deciding
from thriftune.errors import InputError, did_you_mean
from thriftune.results.record import RunRecord
from thriftune.settings import SettingsError
from thriftune.study.file.plan import PlannedRun
from thriftune.study.file.search_settings import SearchSettings, written
from thriftune.study.file.search_space import searched_run, space_of


def select(runs: list[PlannedRun], only: Sequence[str] = (), without: Sequence[str] = ()) -> list[PlannedRun]:
    """The runs that `only` names (all where it names none), less those that `without` names, in their order.

    A name is a run's, or that of a cell, which stands for its seeds; `*` and `?` stand for any text and any character.
    Raises `InputError` for a name that matches no run, and where no run is left.
    """
    wanted = {run.name for name in only for run in _named(name, runs, "--only")} if only else {r.name for r in runs}
    left_out = {run.name for name in without for run in _named(name, runs, "--without")}
    found = [run for run in runs if run.name in wanted - left_out]
    if not found:
        raise InputError(f"--only and --without leave no run. The study's runs: {_listed(runs)}.")
    return found


def belongs(record: RunRecord, runs: Sequence[PlannedRun], search: SearchSettings | None = None) -> bool:
    """Whether a record is that of one of the runs, as far as the study file tells (not its data and weights).

    Where the study searches a run's settings, any that were chosen from the same space will do.
    """
    kept = [record.name, record.model, record.method, record.seed, record.protocol, record.head]
    asked = [planned for run in runs if (planned := _as_searched(run, record, search)) is not None]
    found = [
        [run.name, run.model, run.method.flat(), run.seed, deciding(run.protocol), asdict(run.head)] for run in asked
    ]
    return json.dumps(kept, sort_keys=True) in [json.dumps(each, sort_keys=True) for each in found]


def _as_searched(run: PlannedRun, record: RunRecord, search: SearchSettings | None) -> PlannedRun | None:
    """The run with the settings that the record's search chose; None where the study would search others, or none."""
    space = written(space_of(run.method, search))
    if record.searched is None or not space:
        return run if record.searched is None and not space else None
    if json.dumps(record.searched.space, sort_keys=True) != json.dumps(space, sort_keys=True):
        return None
    try:
        return searched_run(run, record.searched.chosen)
    except SettingsError:
        return None


def _named(name: str, runs: list[PlannedRun], option: str) -> list[PlannedRun]:
    found = [run for run in runs if name in (run.name, run.cell)]
    found = found or [run for run in runs if fnmatchcase(run.name, name) or fnmatchcase(run.cell, name)]
    if not found:
        names = [label for run in runs for label in (run.name, run.cell)]
        close = did_you_mean(name, names) or "."
        raise InputError(f'{option} "{name}" matches no run of the study{close} Its runs: {_listed(runs)}.')
    return found


def _listed(runs: list[PlannedRun]) -> str:
    return ", ".join(dict.fromkeys(run.cell for run in runs))
