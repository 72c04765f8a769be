"""Reads and tokenises a study's data once, on disk, for the processes of all its runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.data.dataset import Dataset
from thriftune.data.robustness import load_with_robustness
from thriftune.data.tokens import Tokens, encode
from thriftune.errors import InputError
from thriftune.results.record import DataProfile
from thriftune.study.config import Study
from thriftune.study.events import Event, Stage
from thriftune.study.plan import PlannedRun
from thriftune.study.steps import check_steps
from thriftune.study.truncation import truncation_warning

if TYPE_CHECKING:
    import polars as pl

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Prepared:
    """A study's data and models, checked and ready for its runs."""

    dataset: Dataset
    profile: DataProfile
    models: dict[str, Path]
    """Folder of each model by its name in the study."""
    hashes: dict[str, str]
    """Weights hash of each model."""
    folder: Path
    """Where the files for the runs are."""

    def split_path(self, split: str) -> Path:
        """Texts and labels of a split (parquet)."""
        return self.folder / "splits" / f"{split}.parquet"

    def tokens_path(self, study: Study, run: PlannedRun, split: str) -> Path:
        """Tokens of a split as a run's model sees them."""
        return self.folder / "tokens" / token_key(study, run) / split


def text_columns(dataset: Dataset, run: PlannedRun) -> tuple[str, ...]:
    """The text columns that a run's method sees; raises `InputError` for one that the data does not have."""
    chosen = run.method.text or dataset.text_columns
    unknown = [name for name in chosen if name not in dataset.text_columns]
    if unknown:
        raise InputError(
            f"{run.name}: text names {', '.join(unknown)}, the study's text columns are "
            f"{', '.join(dataset.text_columns)}."
        )
    return tuple(chosen)


def token_key(study: Study, run: PlannedRun) -> str:
    """What tells two tokenisations of a study apart."""
    parts = [run.model, run.method.text, run.protocol.max_tokens, study.data.pair]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def check_models(study: Study, runs: list[PlannedRun], labels: tuple[str, ...]) -> dict[str, Path]:
    """Finds every model and tries every method on its shapes, before anything is paid.

    Returns the models' folders by name. Raises `InputError` for a model that is not there, a method that does
    not fit it, or `max_tokens` beyond its position table.
    """
    import torch

    from thriftune.engine.forward import switch_recomputation
    from thriftune.methods.base import TransformerMethod
    from thriftune.models.load import load_config, longest_text, skeleton
    from thriftune.models.sources import resolve_model, weight_files

    folders: dict[str, Path] = {}
    seen = set()
    for run in runs:
        if run.model is None or not isinstance(run.method, TransformerMethod):
            continue
        if run.model not in folders:
            folders[run.model] = resolve_model(run.model, study.folder)
            if not weight_files(folders[run.model]):
                raise InputError(f'Model "{run.model}" has no weight file (model.safetensors) in {folders[run.model]}.')
        folder = folders[run.model]
        limit = longest_text(load_config(folder))
        if limit is not None and run.protocol.max_tokens > limit:
            raise InputError(
                f"{run.name}: protocol.max_tokens is {run.protocol.max_tokens}, but {run.model} has positions for "
                f"{limit} tokens. Set max_tokens to {limit} or less."
            )
        path = (run.protocol.recompute, run.protocol.padding)
        key = (run.model, json.dumps(run.method.flat(), sort_keys=True, default=str), run.head, path)
        if key not in seen:
            seen.add(key)
            try:
                shapes = skeleton(folder, labels, run.head, run.model)
                run.method.apply(shapes, torch.Generator().manual_seed(0))
                switch_recomputation(shapes, run.protocol)
            except InputError as error:
                raise InputError(f"{run.name}: {error}") from error
    return folders


def read(study: Study, runs: list[PlannedRun], listener: Listener) -> Dataset:
    """Reads the data and its further test sets.

    Raises `InputError` where any of them, or a method's choice of columns, cannot be used, and where the training
    texts are too few for the schedule.
    """
    listener(Stage("reading data"))
    dataset = load_with_robustness(study.data, study.robustness, study.folder)
    for run in runs:
        text_columns(dataset, run)
    check_steps(runs, dataset.splits["train"].height)
    return dataset


def prepare(study: Study, runs: list[PlannedRun], dataset: Dataset, folder: Path, listener: Listener) -> Prepared:
    """Checks the models, tokenises for each of them, and writes what the runs read below `folder`.

    Nothing is written before the models are found good. Raises `InputError` where they are not.
    """
    from thriftune.data.profile import profile_dataset
    from thriftune.models.sources import weights_hash

    listener(Stage("checking models"))
    models = check_models(study, runs, dataset.labels)
    hashes = {name: weights_hash(path) for name, path in models.items()}
    tokens = {
        (name, key): (limit, by_split)
        for name, key, limit, by_split in _tokenise(study, runs, dataset, models, listener)
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "splits").mkdir(exist_ok=True)
    for split, frame in dataset.frames.items():
        frame.write_parquet(folder / "splits" / f"{split}.parquet")
    for (_, key), (_, by_split) in tokens.items():
        for split, encoded in by_split.items():
            encoded.save(folder / "tokens" / key / split)
    listener(Stage("profiling data"))
    whole = {
        name: (limit, {split: by_split[split] for split in dataset.splits})
        for (name, key), (limit, by_split) in tokens.items()
        if key in _whole_text_keys(study, runs)
    }
    profile = profile_dataset(dataset, whole)
    cut = [
        truncation_warning(dataset, name, models[name], limit, by_split, study.data.pair)
        for name, (limit, by_split) in whole.items()
    ]
    profile = replace(profile, warnings=[*profile.warnings, *(warning for warning in cut if warning is not None)])
    return Prepared(dataset, profile, models, hashes, folder)


def _whole_text_keys(study: Study, runs: list[PlannedRun]) -> set[str]:
    return {token_key(study, run) for run in runs if run.method.text is None}


def _tokenise(
    study: Study, runs: list[PlannedRun], dataset: Dataset, models: dict[str, Path], listener: Listener
) -> Iterator[tuple[str, str, int, dict[str, Tokens]]]:
    from thriftune.models.load import load_config, load_tokenizer, token_types

    wanted = {token_key(study, run): run for run in runs if run.model is not None}
    total = len(wanted) * sum(frame.height for frame in dataset.frames.values())
    done = 0
    for key, run in wanted.items():
        assert run.model is not None
        path = models[run.model]
        tokenizer, types = load_tokenizer(path), token_types(load_config(path))
        by_split = {}
        for split, frame in dataset.frames.items():
            listener(Stage("tokenising", done, total))
            by_split[split] = encode(
                tokenizer,
                columns(frame, text_columns(dataset, run)),
                run.protocol.max_tokens,
                study.data.pair,
                token_types=types,
            )
            done += frame.height
        yield run.model, key, run.protocol.max_tokens, by_split


def columns(frame: pl.DataFrame, names: tuple[str, ...]) -> list[list[str]]:
    """Text columns as lists."""
    return [frame[name].to_list() for name in names]
