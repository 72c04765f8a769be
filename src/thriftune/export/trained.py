"""The run that is exported: where its model is, how it reads texts, and the texts on which exports are checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thriftune.errors import InputError
from thriftune.models.trained.plain import MergeError, Plain, plain_of
from thriftune.models.trained.usage import FILE, Usage, is_path
from thriftune.use.source import Source

BUNDLED = 200
"""Bundled texts that stand in where a study's test texts are not there."""


@dataclass(frozen=True)
class Trained:
    """A stored classifier with a transformer."""

    source: Source
    usage: Usage
    base: Path | None
    """The folder of its pretrained model, where it needs one and that is a folder beside the run; else None."""
    method: str
    """What fine-tuned it, as far as its record says; else what its folder shows."""
    labels: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Its `model/`."""
        return self.source.model

    @property
    def adapter(self) -> bool:
        """Whether it is a PEFT adapter of a pretrained model."""
        return self.usage.base is not None and not self.usage.frozen

    @property
    def pair(self) -> bool:
        """Whether it reads two columns."""
        return len(self.usage.columns) == 2


def trained(source: Source) -> Trained:
    """The classifier of a source; raises `InputError` for one without a transformer."""
    name = "a baseline" if source.record is None else str(source.record.method.get("name"))
    if not (source.model / FILE).is_file():
        raise InputError(
            f"{source.name} ({name}) has no transformer, and no other library has a format for it. Its model in "
            f"{source.model} is plain JSON and npz already, and `thriftune predict` runs it. To export, name a run "
            "with a transformer."
        )
    usage = Usage.read(source.model)
    base = source.model / usage.base if usage.base is not None and is_path(usage.base) else None
    return Trained(source, usage, base, name, _labels(source))


def _labels(source: Source) -> tuple[str, ...]:
    from thriftune.results.files import read_json

    names = read_json(source.model / "config.json")["id2label"]
    return tuple(str(names[key]) for key in sorted(names, key=int))


@dataclass(frozen=True)
class Examples:
    """Texts with what the run made of them."""

    texts: list[list[str]]
    """One list for each text column."""
    labels: np.ndarray | None
    """Label ids (texts,); None where they are not known."""
    stored: np.ndarray | None
    """The run's stored probabilities (texts, labels); None without a study."""

    def __len__(self) -> int:
        return len(self.texts[0])


def examples(found: Trained, most: int) -> Examples:
    """At most so many of the study's test texts, drawn at random (the same ones each time); else bundled texts."""
    source, columns = found.source, found.usage.columns
    results, run = source.results, source.run
    if results is None or run is None or not run.predictions_path("test").exists():
        return Examples(_bundled(len(columns), min(most, BUNDLED)), None, None)
    names = list(source.columns or columns)
    test, predictions = results.test, run.read_predictions("test")
    rows = np.arange(test.height)
    if test.height > most:
        rows = np.sort(np.random.default_rng(0).choice(test.height, most, replace=False))
    ids = {label: index for index, label in enumerate(found.labels)}
    return Examples(
        [test[name].gather(rows).to_list() for name in names],
        np.array([ids[label] for label in test["label"].gather(rows).to_list()], dtype=np.int64),
        predictions.select([f"p_{label}" for label in found.labels]).to_numpy().astype(np.float64)[rows],
    )


def _bundled(columns: int, count: int) -> list[list[str]]:
    from thriftune.data.load import load_dataset
    from thriftune.data.settings import DataSettings

    names = ("premise", "hypothesis")[:columns]
    limits = {"train": 10, "validation": 10, "test": count}
    frame = load_dataset(DataSettings(source="demo:snli", text=names, limit=limits)).splits["test"]
    return [frame[name].to_list() for name in names]


def plain(found: Trained) -> Plain:
    """The classifier in modules of transformers alone; raises `InputError` where its adapter cannot be merged."""
    try:
        return plain_of(found.folder, found.base, adapter=found.adapter)
    except MergeError as error:
        raise InputError(f"{found.source.name}: {error} Export it with --format peft.") from error


def reference(found: Trained, texts: list[list[str]]) -> np.ndarray:
    """Probabilities of the run's own model, unmerged, through transformers in float32: (texts, labels)."""
    from thriftune.models.trained.reload import load_saved

    saved = load_saved(found.folder, found.base)
    return replace(saved, usage=replace(saved.usage, precision="fp32")).probabilities(texts).astype(np.float64)
