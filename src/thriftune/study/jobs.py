"""From a study's planned runs to what each run's process is given, and the texts as they go to disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from thriftune.cost.measured.checkout import checkout
from thriftune.data.dataset import Dataset, RobustnessSet, label_counts
from thriftune.engine import ENGINE_VERSION
from thriftune.engine.protocol import settled
from thriftune.errors import InputError
from thriftune.results.profile import RobustnessProfile
from thriftune.results.store import Store
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun, run_id
from thriftune.study.preparation.prepare import Prepared, text_columns
from thriftune.study.run.job import Job

if TYPE_CHECKING:
    import polars as pl


def job_of(study: Study, prepared: Prepared, run: PlannedRun, store: Store, gpus: bool | None = None) -> Job:
    """What a run's process needs to know; `gpus`: see `device_type`."""
    device = device_type(run, gpus)
    run, note = with_precision(run, device)
    weights = prepared.hashes.get(run.model) if run.model is not None else None
    key = run_id(run, study, prepared.dataset.fingerprint, weights, ENGINE_VERSION, device)
    splits = prepared.dataset.frames
    return Job(
        planned=run,
        run_id=key,
        labels=prepared.dataset.labels,
        text_columns=text_columns(prepared.dataset, run),
        splits={split: prepared.split_path(split) for split in splits},
        tokens={} if run.model is None else {split: prepared.tokens_path(study, run, split) for split in splits},
        model=prepared.models.get(run.model) if run.model is not None else None,
        device=device,
        out=store.run(key, run.cell, run.seed).path,
        pair=study.data.pair,
        margin=study.margin,
        checkout=checkout(),
        notes=() if note is None else (note,),
        robustness={name: each.fingerprint for name, each in prepared.dataset.robustness.items()},
    )


def with_precision(run: PlannedRun, device: str) -> tuple[PlannedRun, str | None]:
    """The run in the precision that it gets on a device, and what is to be said of that."""
    if not run.method.NEEDS_MODEL:
        return run, None
    protocol, note = settled(run.protocol, device)
    return replace(run, protocol=protocol), note


def device_type(run: PlannedRun, gpus: bool | None = None) -> str:
    """cpu or cuda; raises `InputError` where the protocol asks for a GPU that is not there.

    `gpus`: whether the cluster that makes the run has any now; None: it is made on this machine. A cluster may get one.
    """
    import torch

    if not run.method.NEEDS_MODEL or run.protocol.device == "cpu":
        return "cpu"
    asked = run.protocol.device == "cuda"
    available = torch.cuda.is_available() if gpus is None else gpus or asked
    if asked and not available:
        raise InputError(f"{run.name}: protocol.device is cuda, but torch finds no GPU here. Use auto or cpu.")
    if run.protocol.precision == "tf32" and not available:
        finds = "torch finds none here" if gpus is None else "no node of the cluster has one"
        raise InputError(f"{run.name}: precision tf32 exists on GPUs alone, and {finds}. Use fp32.")
    return "cuda" if available else "cpu"


def check_distinct(jobs: list[Job]) -> None:
    """Raises `InputError` where two runs are one."""
    names: dict[str, str] = {}
    for job in jobs:
        other = names.setdefault(job.run_id, job.planned.name)
        if other != job.planned.name:
            raise InputError(f'"{other}" and "{job.planned.name}" are the same run. Remove one of them.')


def robustness_profile(each: RobustnessSet, labels: tuple[str, ...]) -> RobustnessProfile:
    """What results say of a robustness set."""
    return RobustnessProfile(
        source=each.source,
        rows=each.frame.height,
        label_counts=label_counts(each.frame, labels),
        dropped=list(each.dropped),
        notes=list(each.notes),
        fingerprint=each.fingerprint,
    )


def text_frame(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The texts of a split or robustness set as they go to disk: labels by name, kept columns last."""
    import polars as pl

    names = pl.Series(list(dataset.labels), dtype=pl.String)
    label = names.gather(frame["label"]).alias("label")
    kept = [name for name in frame.columns if name not in ("example", "label", *dataset.text_columns)]
    return frame.with_columns(label)[["example", *dataset.text_columns, "label", *kept]]
