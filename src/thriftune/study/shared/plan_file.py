"""The plan that processes at a folder share: which runs there are, and where what they read lies."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thriftune.cost.measured.checkout import checkout
from thriftune.engine import ENGINE_VERSION
from thriftune.errors import InputError
from thriftune.results.files import DamagedError, read_record, write_json
from thriftune.results.json_text import json_text
from thriftune.results.plain import record_from, values_of
from thriftune.results.search import Searched
from thriftune.results.store import Store
from thriftune.study.file.config import Study, study_from_dict, study_to_dict
from thriftune.study.file.plan import PlannedRun, plan, run_id
from thriftune.study.file.search_space import searched_run
from thriftune.study.folder import WORK
from thriftune.study.jobs import device_type
from thriftune.study.preparation.prepare import Prepared
from thriftune.study.run.job import Job

AGAIN = "End all `thriftune work` there and start them again."


@dataclass(frozen=True)
class SharedRun:
    """One run, but for what the study says of it."""

    name: str
    run_id: str
    text_columns: list[str]
    tokens: dict[str, str]
    """Folders of tokens by split, within OUT/.work."""
    model: str | None
    """Where whoever planned it found the model."""
    weights: str | None
    """The hash of its weights."""
    device: str
    out: str
    """The run's folder within OUT."""
    searched: Searched | None
    done: bool
    """Whether it is only to be scored on further robustness sets."""


@dataclass(frozen=True)
class SharedPlan:
    """`OUT/.work/shared/plan.json`."""

    session: str
    engine: str
    study: dict[str, Any]
    """The resolved study file."""
    base: str
    """The folder that its relative paths start from."""
    fingerprint: str
    labels: list[str]
    splits: dict[str, str]
    """Files of the splits and robustness sets, within OUT/.work."""
    robustness: dict[str, str]
    left: list[SharedRun]
    """The runs to be made, in the study's order."""
    names: list[str]
    """All runs that were asked for."""

    @property
    def loaded(self) -> Study:
        """The study."""
        return study_from_dict(self.study, Path(self.base), "the study that is being made")

    def is_of(self, study: Study) -> bool:
        """Whether it was made of this study, by this release."""
        same = json_text(values_of(study_to_dict(study))) == json_text(self.study)
        return self.engine == ENGINE_VERSION and same

    def jobs(self, out: Path) -> list[Job]:
        """What the runs' processes are given on this machine; raises `InputError` where it cannot make them."""
        study = self.loaded
        planned = {run.name: run for run in plan(study)}
        return [self._job(study, planned, run, out) for run in self.left]

    def _job(self, study: Study, planned: dict[str, PlannedRun], run: SharedRun, out: Path) -> Job:
        own = planned.get(run.name)
        if own is not None and run.searched is not None:
            own = searched_run(own, run.searched.chosen)
        if own is None or run_id(own, study, self.fingerprint, run.weights, ENGINE_VERSION, run.device) != run.run_id:
            raise InputError(f"{run.name} was planned by another release of Thriftune. {AGAIN}")
        if run.device == "cuda" and device_type(own) != "cuda":
            raise InputError(
                f"{run.name} is planned for a GPU, as the process that planned it had one; torch finds none here. "
                "Start `thriftune work` where there is one, or set protocol.device to cpu for all."
            )
        work = out / WORK
        return Job(
            planned=own,
            run_id=run.run_id,
            labels=tuple(self.labels),
            text_columns=tuple(run.text_columns),
            splits={name: work / path for name, path in self.splits.items()},
            tokens={name: work / path for name, path in run.tokens.items()},
            model=_model(own, run.model, study.folder),
            device=run.device,
            out=out / run.out,
            pair=study.data.pair,
            margin=study.margin,
            checkout=checkout(),
            robustness=self.robustness,
            searched=run.searched,
            done=run.done,
        )


def _model(run: PlannedRun, known: str | None, base: Path) -> Path | None:
    """The model's folder: where it was found, else wherever this machine finds it."""
    from thriftune.models.pretrained.sources import resolve_model

    if run.model is None or known is None:
        return None
    return Path(known) if Path(known).is_dir() else resolve_model(run.model, base)


def plan_of(
    study: Study, out: Path, prepared: Prepared, jobs: Sequence[Job], left: Sequence[Job], done: Collection[str]
) -> SharedPlan:
    """The plan of the jobs that are left; `done` are the ids of those that are only to be scored on further sets."""
    work = out / WORK
    first = jobs[0]
    return SharedPlan(
        session=uuid.uuid4().hex,
        engine=ENGINE_VERSION,
        study=values_of(study_to_dict(study)),
        base=str(study.folder.resolve()),
        fingerprint=prepared.dataset.fingerprint,
        labels=list(first.labels),
        splits={name: path.relative_to(work).as_posix() for name, path in first.splits.items()},
        robustness=dict(first.robustness),
        left=[
            SharedRun(
                name=job.planned.name,
                run_id=job.run_id,
                text_columns=list(job.text_columns),
                tokens={name: path.relative_to(work).as_posix() for name, path in job.tokens.items()},
                model=None if job.model is None else str(job.model),
                weights=None if job.planned.model is None else prepared.hashes.get(job.planned.model),
                device=job.device,
                out=job.out.relative_to(out).as_posix(),
                searched=job.searched,
                done=job.run_id in done,
            )
            for job in left
        ],
        names=[job.planned.name for job in jobs],
    )


def plan_path(out: Path) -> Path:
    """`OUT/.work/shared/plan.json`."""
    from thriftune.study.shared.presence import shared_folder

    return shared_folder(out) / "plan.json"


def write_plan(out: Path, found: SharedPlan) -> None:
    """Writes the plan, whole or not at all."""
    write_json(plan_path(out), values_of(found))


def read_plan(out: Path) -> SharedPlan | None:
    """The plan that is in force; None where there is none that can be read."""
    path = plan_path(out)
    if not path.exists() or not Store(out).results_path.exists():
        return None
    try:
        return read_record(path, lambda data: record_from(SharedPlan, data))
    except DamagedError:
        return None
