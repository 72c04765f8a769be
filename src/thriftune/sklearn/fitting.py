"""One classifier from texts and labels in memory, by the steps of a run of a study: checked, tokenised, trained, saved.

There is no test set: nobody compares here, so no score is reported.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.data.dataset import Dataset
from thriftune.data.load import fingerprint
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.methods.base import Baseline, TransformerMethod
from thriftune.methods.embeddings import Embeddings
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.events import Listener, RunFinished, RunStarted
from thriftune.study.file.config import Study, study_from_dict
from thriftune.study.file.plan import PlannedRun, needs_validation, plan
from thriftune.study.jobs import device_type, with_precision
from thriftune.study.preparation.prepare import prepare
from thriftune.study.preparation.steps import check_steps
from thriftune.study.run.baseline_run import run_baseline
from thriftune.study.run.embeddings_run import run_embeddings
from thriftune.study.run.job import Job, RunError
from thriftune.study.run.transformer_run import run_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

PROMISED = 64
"""Texts on which the stored model must predict what the trained one does."""


@dataclass(frozen=True)
class Texts:
    """Labelled texts in memory."""

    columns: dict[str, list[str]]
    """One or two text columns by name."""
    labels: np.ndarray
    """Label ids of shape (texts,)."""
    names: tuple[str, ...]
    """Of the labels, in id order."""


def study_of(
    method: str, settings: Mapping[str, Any], model: str, protocol: Mapping[str, Any], texts: Texts, validation: float
) -> Study:
    """The study of one run on such texts: what is not given is what `thriftune init` would propose.

    Raises `InputError` for settings that are unknown, impossible or without effect.
    """
    from thriftune.models.head import HeadSettings
    from thriftune.models.pretrained.pooled_by import pooled_by
    from thriftune.study.proposal.max_tokens import model_folder, token_room
    from thriftune.study.proposal.propose import HEAD_RATE, protocol_for, tuned_settings

    cls = find(method, Path.cwd())
    data: dict[str, Any] = {"name": "fit", "data": {"source": "memory", "text": list(texts.columns), "label": "label"}}
    given = dict(protocol)
    if cls.NEEDS_MODEL:
        folder = model_folder(model)
        mean = folder is not None and pooled_by(folder) == "mean"
        head = HeadSettings(type="mean" if mean else "own")
        data["models"] = [model]
        sample = [column[:: max(1, len(column) // 2000)] for column in texts.columns.values()]
        wanted = given.get("max_tokens") or token_room(sample, model).max_tokens
        own = protocol_for(len(texts.labels), wanted)
        given.setdefault("max_tokens", wanted)
        if issubclass(cls, TransformerMethod):
            data["head"] = {"type": head.type}
            given.setdefault("epochs", own.epochs)
            given.setdefault("batch_size", own.batch_size)
            if not validation:
                given.setdefault("keep", "last")
            usual = tuned_settings(head).get(method) or ({"head_learning_rate": HEAD_RATE} if mean else {})
            rate = {"learning_rate": "auto"} if validation and cls.RATE_GRID else {}
            settings = {key: value for key, value in usual.items() if key != "learning_rate"} | rate | dict(settings)
    if given:
        data["protocol"] = given
    return study_from_dict(data | {"methods": [{method: dict(settings)}]}, Path.cwd(), "the classifier")


def train(study: Study, texts: Texts, validation: float, seed: int, folder: Path, listener: Listener) -> RunRecord:
    """Trains the study's only run and saves its model into `folder / "model"`; the record holds cost and notes.

    A share of the texts is held out as `validation`, every class in its share as far as there are enough. Raises
    `InputError` where something cannot be used, and where training diverges or memory does not suffice.
    """
    (planned,) = plan(study)
    planned = replace(planned, seed=seed)
    frames = _frames(texts, validation, seed)
    if "validation" not in frames and needs_validation([planned]):
        raise InputError(
            f"{planned.name} with these settings picks its weights, its learning rate or what it fits by validation "
            "texts, and there are none. Give validation=0.1, or what it picks: a learning_rate and epochs=3, for "
            "frozen embeddings a regularization and a class_weight."
        )
    check_steps([planned], frames["train"].height)
    names = tuple(texts.columns)
    dataset = Dataset(
        name="texts",
        labels=texts.names,
        text_columns=names,
        label_column="label",
        splits=frames,
        dropped=(),
        notes=(),
        fingerprint=fingerprint(frames, texts.names, names),
    )
    with TemporaryDirectory(prefix="thriftune-fit-") as work, _guest():
        prepared = prepare(study, [planned], dataset, Path(work), listener)
        device = device_type(planned)
        planned, note = with_precision(planned, device)
        job = Job(
            planned=planned,
            run_id="fit",
            labels=texts.names,
            text_columns=names,
            splits={split: prepared.split_path(split) for split in frames},
            tokens={} if planned.model is None else {s: prepared.tokens_path(study, planned, s) for s in frames},
            model=None if planned.model is None else prepared.models[planned.model],
            device=device,
            out=folder,
            robustness={},
            notes=() if note is None else (note,),
        )
        listener(RunStarted(planned.name, 1, 1))
        try:
            record = _runner(planned)(job, RunFolder(folder), listener)
        except RunError as error:
            raise InputError(f"{planned.name}: {error.status.replace('_', ' ')}: {error}") from error
    listener(RunFinished(planned.name, record, reused=False))
    return record


def rebase(folder: Path, base: Path) -> None:
    """Tells an adapter's folder, which lies elsewhere now, where its base is."""
    from thriftune.models.trained.usage import Usage, base_reference

    usage = Usage.read(folder)
    replace(usage, base=base_reference(str(base), base, folder)).write(folder)


def base_of(folder: Path) -> Path | None:
    """The folder of an adapter's base, where that is a folder and no name."""
    from thriftune.models.trained.usage import FILE, Usage, is_path

    if not (folder / FILE).is_file():
        return None
    base = Usage.read(folder).base
    return (folder / base).resolve() if base is not None and is_path(base) else None


def _runner(planned: PlannedRun) -> Callable[..., RunRecord]:
    if isinstance(planned.method, Baseline):
        return run_baseline
    return run_embeddings if isinstance(planned.method, Embeddings) else run_transformer


def _frames(texts: Texts, validation: float, seed: int) -> dict[str, pl.DataFrame]:
    """Train and validation, and some of the training texts again as those on which what is stored is checked."""
    import polars as pl

    rows = np.arange(len(texts.labels))
    held = held_out(texts.labels, validation, seed)
    train = np.setdiff1d(rows, held)
    _, first = np.unique(texts.labels[train], return_index=True)
    checked = np.union1d(train[first], train[:: max(1, len(train) // PROMISED)])
    whole = pl.DataFrame(
        {"example": rows, **texts.columns, "label": texts.labels.astype(np.int32)},
        schema={"example": pl.Int64, **dict.fromkeys(texts.columns, pl.String), "label": pl.Int32},
    )
    parts = {"train": train, "validation": held, "test": checked}
    return {split: whole[chosen] for split, chosen in parts.items() if len(chosen)}


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Rows to validate on, ascending: of every class its share, rounded at random; one text at least stays to train."""
    rng = np.random.default_rng(seed)
    wanted = round(share * len(labels)) if share else 0
    if share and not wanted:
        wanted = 1
    order = rng.permutation(len(labels))
    counts = np.bincount(labels)
    # The n-th text of a class of m stands at (n + u) / m: taking the first ones takes an equal share of every class.
    place = np.empty(len(labels))
    seen = np.zeros(len(counts))
    shift = rng.random(len(counts))
    for row in order:
        label = labels[row]
        place[row] = (seen[label] + shift[label]) / counts[label]
        seen[label] += 1
    last = {int(labels[row]): int(row) for row in order}
    free = np.setdiff1d(np.arange(len(labels)), list(last.values()))
    return np.sort(free[np.argsort(place[free], kind="stable")[:wanted]])


@contextmanager
def _guest() -> Iterator[None]:
    """Training as a guest in somebody's process: it leaves torch's threads as they were and other objects alone.

    A run's memory is measured after a collection of garbage, which takes a second where many objects are not its own.
    """
    before = None if "torch" not in sys.modules else sys.modules["torch"].get_num_threads()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if before is not None:
            sys.modules["torch"].set_num_threads(before)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def put_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes files into a new folder; names are taken as names, never as paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / os.path.basename(name)).write_bytes(content)


def label_names(classes: Sequence[Any]) -> tuple[str, ...]:
    """A name for each class: as it is written, or its number where that is blank or twice the same."""
    names = [" ".join(str(each).split()) for each in classes]
    good = all(names) and len(set(names)) == len(names)
    return tuple(names) if good else tuple(f"class {index}" for index in range(len(names)))
