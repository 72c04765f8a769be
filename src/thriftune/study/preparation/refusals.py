"""Which runs cannot be run: every model is found and every method tried on its shapes, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from thriftune.errors import InputError
from thriftune.methods.embeddings import Embeddings
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun


def check_models(
    study: Study, runs: list[PlannedRun], labels: tuple[str, ...], texts: int
) -> tuple[dict[str, Path], dict[str, str]]:
    """Finds every model and tries every method on its shapes, before anything is paid.

    A run whose model is not there, whose method does not fit it, or whose `max_tokens` are beyond its position table,
    is refused; the others can go on. `texts`: how many there are to train on. Returns the folder of each model that is
    there, by its name in the study, and why a run cannot be run, by its name.
    """
    folders: dict[tuple[str, str | None], Path | InputError] = {}
    tried: dict[str, str | None] = {}
    refused: dict[str, str] = {}
    for run in runs:
        if run.model is None or not run.method.NEEDS_MODEL:
            continue
        place = run.model, repr(run.method) if run.method.BASELINE else None
        if place not in folders:
            folders[place] = _model_folder(run, study.folder, labels)
        folder = folders[place]
        if isinstance(folder, InputError):
            refused[run.name] = str(folder)
            continue
        parts = [run.model, run.method.flat(), asdict(run.head), asdict(run.protocol)]
        key = json.dumps(parts, sort_keys=True, default=str)
        if key not in tried:
            tried[key] = _misfit(run, folder, labels, texts)
        if (message := tried[key]) is not None:
            refused[run.name] = message
    return {name: folder for (name, _), folder in folders.items() if isinstance(folder, Path)}, refused


def _model_folder(run: PlannedRun, base: Path, labels: tuple[str, ...]) -> Path | InputError:
    """The folder of a run's model, or why it cannot be used."""
    from thriftune.models.pretrained.check import check_model
    from thriftune.models.pretrained.load import load_config
    from thriftune.models.pretrained.sources import resolve_model

    try:
        folder = resolve_model(str(run.model), base)
        if isinstance(run.method, Embeddings):
            run.method.check(load_config(folder))
        check_model(folder, labels, run.head)
    except InputError as error:
        return error
    return folder


def _misfit(run: PlannedRun, folder: Path, labels: tuple[str, ...], texts: int) -> str | None:
    """Why a run does not fit its model; None where it does."""
    try:
        _check_run(run, folder, labels, texts)
    except InputError as error:
        return str(error)
    return None


def _check_run(run: PlannedRun, folder: Path, labels: tuple[str, ...], texts: int) -> None:
    """Raises `InputError` where a run does not fit its model."""
    import torch

    from thriftune.engine.forward import switch_recomputation
    from thriftune.engine.schedule import optimizer_steps
    from thriftune.engine.solved.features import last_linear
    from thriftune.methods.base import TransformerMethod
    from thriftune.models.pretrained.load import load_config, skeleton
    from thriftune.models.pretrained.tokenizer import longest_text

    protocol, method = run.protocol, run.method
    limit = longest_text(load_config(folder))
    too_long = "protocol.max_tokens is {}, but {} has positions for {} tokens{}. Set max_tokens to {} or less."
    if limit is not None and protocol.max_tokens > limit:
        raise InputError(too_long.format(protocol.max_tokens, run.model, limit, "", limit))
    if method.BASELINE:
        return
    assert isinstance(method, TransformerMethod)
    shapes = skeleton(folder, labels, run.head, run.model, "cpu" if method.reads_weights else "meta")
    method.apply(shapes, torch.Generator().manual_seed(0))
    if method.head_start == "solved":
        last_linear(shapes)
    switch_recomputation(shapes, protocol)
    virtual = shapes.virtual_tokens
    if limit is not None and protocol.max_tokens + virtual > limit:
        room = limit - virtual
        raise InputError(
            too_long.format(protocol.max_tokens, run.model, limit, f", {virtual} of them the prompt's", max(room, 0))
        )
    method.check_steps(None if protocol.epochs == "auto" else optimizer_steps(texts, protocol))


def check_some_left(runs: Iterable[PlannedRun], refused: dict[str, str]) -> None:
    """Raises `InputError` with every message where no run of a study can be run."""
    if refused and all(run.name in refused for run in runs):
        raise all_refused(refused)


def all_refused(refused: dict[str, str]) -> InputError:
    """One error of why each run (or cell) cannot be run, by its name; what several share is said once."""
    names: dict[str, list[str]] = {}
    for name, message in refused.items():
        names.setdefault(message, []).append(name)
    if len(names) == 1:
        message, of = next(iter(names.items()))
        return InputError(message if len(of) > 1 or message.startswith(of[0]) else f"{of[0]}: {message}")
    lines = [f"- {', '.join(of)}: {message}" for message, of in names.items()]
    return InputError("\n".join(["No run of this study can be run.", *lines]))
