"""Reads and tokenises a study's data once, on disk, for the processes of all its runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from thriftune.data.dataset import Dataset
from thriftune.data.robustness import load_with_robustness
from thriftune.data.tokens import Tokens, encode
from thriftune.errors import InputError
from thriftune.results.files import write_parquet
from thriftune.results.profile import DataProfile
from thriftune.study.events import Listener, Stage
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun, needs_validation
from thriftune.study.preparation.refusals import check_models, check_some_left
from thriftune.study.preparation.steps import check_steps
from thriftune.study.preparation.truncation import truncation_warning


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
    refused: dict[str, str] = field(default_factory=dict)
    """Why a run cannot be run, by its name."""

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


def read(study: Study, runs: list[PlannedRun], listener: Listener) -> Dataset:
    """Reads the data and its robustness sets.

    Raises `InputError` where any of them, or a method's choice of columns, cannot be used, and where the training
    texts are too few for the schedule.
    """
    listener(Stage("reading data"))
    dataset = load_with_robustness(study.data, study.robustness, study.folder, needs_validation(runs, study.search))
    for run in runs:
        text_columns(dataset, run)
    check_steps(runs, dataset.splits["train"].height)
    return dataset


def prepare(study: Study, runs: list[PlannedRun], dataset: Dataset, folder: Path, listener: Listener) -> Prepared:
    """Checks the models, tokenises for each of them, and writes what the runs read below `folder`.

    Nothing is written before that. Runs that cannot be run are refused, each by itself; raises `InputError` where
    none is left.
    """
    from thriftune.data.profile import profile_dataset
    from thriftune.models.pretrained.sources import weights_hash

    listener(Stage("checking models"))
    models, refused = check_models(study, runs, dataset.labels, dataset.splits["train"].height)
    check_some_left(runs, refused)
    hashes = {name: weights_hash(path) for name, path in models.items()}
    tokens = {
        (name, key): (limit, by_split)
        for name, key, limit, by_split in _tokenise(study, runs, dataset, models, refused, listener)
    }
    check_some_left(runs, refused)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "splits").mkdir(exist_ok=True)
    for split, frame in dataset.frames.items():
        write_parquet(folder / "splits" / f"{split}.parquet", frame, durable=False)
    for (_, key), (_, by_split) in tokens.items():
        for split, encoded in by_split.items():
            encoded.save(folder / "tokens" / key / split)
    listener(Stage("profiling data"))
    whole_text = {token_key(study, run) for run in runs if run.method.text is None}
    whole = {
        name: (limit, {split: by_split[split] for split in dataset.splits})
        for (name, key), (limit, by_split) in tokens.items()
        if key in whole_text
    }
    profile = profile_dataset(dataset, whole)
    cut = [
        truncation_warning(dataset, name, models[name], limit, by_split, study.data.pair)
        for name, (limit, by_split) in whole.items()
    ]
    profile = replace(profile, warnings=[*profile.warnings, *(warning for warning in cut if warning is not None)])
    return Prepared(dataset, profile, models, hashes, folder, refused)


def _tokenise(
    study: Study,
    runs: list[PlannedRun],
    dataset: Dataset,
    models: dict[str, Path],
    refused: dict[str, str],
    listener: Listener,
) -> Iterator[tuple[str, str, int, dict[str, Tokens]]]:
    """Model, token key, `max_tokens` and tokens by split; runs whose model cannot take them join the refused."""
    wanted: dict[str, list[PlannedRun]] = {}
    for run in runs:
        if run.model is not None and run.name not in refused:
            wanted.setdefault(token_key(study, run), []).append(run)
    total = len(wanted) * sum(frame.height for frame in dataset.frames.values())
    done = 0
    for key, group in wanted.items():
        run = group[0]
        assert run.model is not None

        def report(texts: int, before: int = done) -> None:
            listener(Stage("tokenising", before + texts, total))

        try:
            by_split = _tokens_of(study, run, dataset, models[run.model], report)
        except InputError as error:
            refused.update((each.name, str(error)) for each in group)
        else:
            yield run.model, key, run.protocol.max_tokens, by_split
        done += sum(frame.height for frame in dataset.frames.values())


def _tokens_of(
    study: Study, run: PlannedRun, dataset: Dataset, path: Path, report: Callable[[int], None]
) -> dict[str, Tokens]:
    """A run's tokens by split; raises `InputError` where its model cannot take them."""
    from thriftune.models.inputs import check_inputs
    from thriftune.models.pretrained.load import load_config, skeleton
    from thriftune.models.pretrained.tokenizer import load_tokenizer, token_types

    tokenizer = load_tokenizer(path)
    types = token_types(load_config(path), tokenizer)
    by_split, done = {}, 0
    for split, frame in dataset.frames.items():
        report(done)
        texts = [frame[name] for name in text_columns(dataset, run)]
        by_split[split] = encode(tokenizer, texts, run.protocol.max_tokens, study.data.pair, token_types=types)
        done += frame.height
    check_inputs(skeleton(path, dataset.labels, run.head, run.model), tokenizer, by_split)
    return by_split
