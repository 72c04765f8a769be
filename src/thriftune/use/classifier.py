"""A trained classifier in Python: labels, probabilities and vectors of lists of texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.data.readers.in_memory import listed
from thriftune.errors import InputError
from thriftune.report.inline import named
from thriftune.use.calibration import fit_temperature, scaled
from thriftune.use.loading import Model, load_model
from thriftune.use.source import Source, find

WINDOW = 8192
"""Texts that are tokenised and sorted by length together."""
SHOWN = 10
"""Labels that are named."""
NO_TEXT = re.compile("[\ud800-\udfff]")
"""Halves of characters, which no encoding of text holds."""

Texts = Iterable[str] | Iterable[tuple[str, str]] | Any


@dataclass(frozen=True, repr=False)
class Classifier:
    """A trained classifier; `Classifier.load` makes one.

    Texts are a list of strings, or of pairs where it was trained on two columns; arrays, series and tables (pandas,
    polars, arrow) do as well. They run in batches of similar length;
    what comes back has their order. No text at all is fine.
    """

    model: Model
    source: Source
    temperature: float | None
    """What its logits are divided by; None where its probabilities are as trained."""

    @classmethod
    def load(
        cls, path: str | Path, *, calibrated: bool = False, device: str = "auto", threads: int | None = None
    ) -> Classifier:
        """The classifier in a model's folder, a run's, or a study's output folder ("results", "results:lora r8 all").

        Of a study without a run's name it is the recommended run. `calibrated` scales the probabilities by the
        temperature that fits the run's validation predictions; without, they are what the study stored. `device` is
        auto, cpu or cuda; `threads` are torch's for the whole process, by default one for each usable processor.
        Raises `InputError` where there is no classifier, or calibration lacks validation predictions.
        """
        source = find(path)
        model = load_model(source.model, source.labels, source.columns, device, threads)
        temperature = None
        if calibrated:
            temperature = None if source.run is None else fit_temperature(source.run, model.labels)
            if temperature is None:
                raise InputError(f"{source.name} cannot be calibrated: there are no validation predictions beside it.")
        return cls(model, source, temperature)

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names, in the order of the probabilities' columns."""
        return self.model.labels

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the text columns that it was trained on; None where its folder alone does not say."""
        return self.model.columns

    def predict(self, texts: Texts) -> list[str]:
        """The most probable label of each text."""
        return [self.labels[index] for index in self.predict_proba(texts).argmax(axis=1)]

    def predict_proba(self, texts: Texts) -> np.ndarray:
        """Probabilities of shape (texts, labels), float64. Raises `InputError` for what is no text."""
        parts = [self.probabilities(part) for part in self._windows(texts)]
        out = np.concatenate([np.empty((0, len(self.labels))), *parts])
        _check_finite(out)
        return out

    def embed(self, texts: Texts) -> np.ndarray:
        """The vector of each text that the head reads: (texts, hidden), float32.

        Raises `InputError` for a classifier without an encoder (tfidf, majority), and for what is no text.
        """
        parts = [self.model.vectors(part) for part in self._windows(texts)]
        if not parts:
            parts = [self.model.vectors([["a"] for _ in range(self.model.count or 1)])[:0]]
        out = np.concatenate(parts)
        _check_finite(out)
        return out

    def probabilities(self, columns: list[list[str]]) -> np.ndarray:
        """The same of checked texts, one list for each text column; a row that is not a number has no token."""
        out = self.model.probabilities(columns)
        return out if self.temperature is None else scaled(out, self.temperature)

    def __repr__(self) -> str:
        labels = f"{len(self.labels)} labels" if len(self.labels) > SHOWN else ", ".join(self.labels)
        return f"<Classifier {self.source.name}: {labels}; {self.source.model}>"

    def _repr_html_(self) -> str:
        record, some = self.source.record, ", ".join(self.labels[:SHOWN])
        more = f" and {len(self.labels) - SHOWN} more" if len(self.labels) > SHOWN else ""
        lines = [("Classifier", self.source.name), ("Labels", some + more)]
        lines.append(("Reads", " and ".join(self.columns) if self.columns else "texts"))
        if record is not None and record.test is not None:
            scores = f"accuracy {f.percent(record.test.accuracy)}, macro F1 {f.percent(record.test.macro_f1)}"
            lines.append(("Test", f"{scores}, {f.plural(record.test.texts, 'text')}"))
        return named([*lines, ("Folder", str(self.source.model))])

    def _windows(self, texts: Texts) -> Iterator[list[list[str]]]:
        rows = rows_of(listed(texts, self.columns), self.model.count)
        for start in range(0, len(rows), WINDOW):
            yield [list(column) for column in zip(*rows[start : start + WINDOW], strict=True)]


def rows_of(texts: Texts, count: int | None) -> list[tuple[str, ...]]:
    """Every text as a tuple of its parts; raises `InputError` where one is something else."""
    if isinstance(texts, str | bytes):
        raise InputError("One text is given, not a list of texts. Put it into a list: [text].")
    rows: list[tuple[str, ...]] = []
    for index, text in enumerate(texts):
        row = (text,) if isinstance(text, str) else tuple(text) if isinstance(text, tuple | list) else (None,)
        if count is None:
            count = len(row)
        if len(row) != count or not all(isinstance(part, str) for part in row):
            wanted = "a pair of texts, as it was trained on two columns" if count == 2 else "a text"
            raise InputError(f"Item {index} is {_kind(text)}; {wanted} is needed.")
        if any(NO_TEXT.search(part) for part in row):
            raise InputError(f"Item {index} holds half a character (a lone surrogate). Repair the text.")
        rows.append(row)
    return rows


def _kind(item: object) -> str:
    if isinstance(item, tuple | list):
        return f"{type(item).__name__} of {len(item)}: {', '.join(type(part).__name__ for part in item[:3])}"
    return "a text" if isinstance(item, str) else f"of type {type(item).__name__}"


def _check_finite(values: np.ndarray) -> None:
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise InputError(f"The model gives no numbers for item {wrong[0]}: it has no token, or the model is damaged.")
