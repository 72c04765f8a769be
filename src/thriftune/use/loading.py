"""Stored models, ready to predict: transformers and baselines alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from thriftune.engine.stored.onnx.choice import Engine, choose, engine_of
from thriftune.engine.stored.transformer import Transformer
from thriftune.errors import InputError
from thriftune.results.files import read_json
from thriftune.results.models.baseline import BaselineModel

USAGE, MAJORITY, TFIDF = "thriftune.json", "majority.json", "vocabulary.json"


class Model(Protocol):
    """What predicts. `texts` holds one list of texts for each of its columns, all of one length, which is not 0."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names, in id order."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The text columns that it was trained on; None where nothing says."""

    @property
    def count(self) -> int | None:
        """How many columns it reads; None where it reads none."""

    def probabilities(self, texts: list[list[str]]) -> np.ndarray:
        """(texts, labels), float64; not a number for a text without any token."""

    def vectors(self, texts: list[list[str]]) -> np.ndarray:
        """What the head reads of each text: (texts, hidden), float32. Raises `InputError` where there is no head."""


def is_model(folder: Path) -> bool:
    """Whether a folder is what a run stores as its model."""
    return any((folder / name).is_file() for name in (USAGE, MAJORITY, TFIDF))


def load_model(
    folder: Path,
    labels: tuple[str, ...] | None,
    columns: tuple[str, ...] | None,
    device: str,
    threads: int | None,
    merge: bool = True,
    engine: Engine = "own",
    say: Callable[[str], None] = lambda text: None,
) -> Model:
    """The model of a run. `labels` and `columns` are what the run's record says: baselines of earlier releases do not.

    With `merge` a LoRA update is added to its matrices; without, they stay those of the base, which others may share.
    `say` is told who computes, where `engine` is another than "own". Raises `InputError` where files are missing or not
    what a run stores, and where onnxruntime alone is wanted and cannot compute the model.
    """
    engine_of(engine)
    if (folder / USAGE).is_file():
        model = _transformer(folder, device, threads, merge)
        if engine == "own":
            return model
        chosen = choose(model, folder, engine, say)
        say(f"{chosen.sentence[0].upper()}{chosen.sentence[1:]}.")
        return chosen.model
    if engine == "onnx":
        raise InputError("onnxruntime cannot compute this model: it has no transformer. Use the engine auto or own.")
    if (own := BaselineModel.read(folder)) is not None:
        labels, columns = own.labels or labels, own.columns or columns
    if labels is None:
        raise InputError(
            f"{folder} does not say what its labels are called: they are in the run.json beside it, which is not "
            "there. Give the run's folder."
        )
    return _baseline(folder, labels, columns)


@dataclass(frozen=True)
class Plain:
    """A baseline."""

    fitted: Any
    labels: tuple[str, ...]
    columns: tuple[str, ...] | None
    count: int | None

    def probabilities(self, texts: list[list[str]]) -> np.ndarray:
        """As `Model` says."""
        return np.asarray(self.fitted.predict(texts), dtype=np.float64)

    def vectors(self, texts: list[list[str]]) -> np.ndarray:
        """There are none."""
        raise InputError("This model has no vectors of texts: it is no transformer. Take another run, or predict.")


def _baseline(folder: Path, labels: tuple[str, ...], columns: tuple[str, ...] | None) -> Plain:
    from thriftune.methods import tfidf
    from thriftune.methods.majority import FittedMajority

    count = None
    try:
        if (folder / MAJORITY).is_file():
            fitted: Any = FittedMajority(np.array(read_json(folder / MAJORITY)["shares"], dtype=np.float64))
        else:
            fitted = tfidf.load(folder)
            count = 1 + max((column for column, _ in fitted.blocks), default=-1) or None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The model in {folder} cannot be read ({error}). Train it again.") from error
    if fitted.shares.shape != (len(labels),):
        raise InputError(f"The model in {folder} has {fitted.shares.size} labels, its run.json names {len(labels)}.")
    return Plain(fitted, labels, columns, count if columns is None else len(columns))


def _transformer(folder: Path, device: str, threads: int | None, merge: bool) -> Transformer:
    import torch

    from thriftune.cost.measured.environment import use_all_processors
    from thriftune.engine.stored.load import load_transformer

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads is not None:
        torch.set_num_threads(threads)
    elif device == "cpu":
        use_all_processors()
    return load_transformer(folder, device, merge=merge)


def model_files(folder: Path) -> dict[str, list[int]]:
    """Size and time of every file of a model's folder, by name: what tells whether it is still the same."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
