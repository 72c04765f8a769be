"""A trained classifier in Python: labels, probabilities and vectors of lists of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thriftune import wording as f
from thriftune.data.readers.in_memory import listed
from thriftune.engine.stored.onnx.choice import Engine
from thriftune.errors import InputError
from thriftune.report.inline import named
from thriftune.use.calibration import fit_temperature, scaled
from thriftune.use.loading import Model, load_model
from thriftune.use.rows import Texts, rows_of
from thriftune.use.source import Source, find

if TYPE_CHECKING:
    from thriftune.use.many.classifiers import Classifiers

WINDOW = 8192
"""Texts that are tokenised and sorted by length together."""
SHOWN = 10
"""Labels that are named."""


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
        cls,
        path: str | Path,
        *,
        calibrated: bool = False,
        device: str = "auto",
        threads: int | None = None,
        engine: Engine = "own",
        say: Callable[[str], None] = lambda text: None,
    ) -> Classifier:
        """The classifier in a model's folder, a run's, or a study's output folder ("results", "results:lora r8 all").

        Of a study without a run's name it is the recommended run. `calibrated` scales the probabilities by the
        temperature that fits the run's validation predictions; without, they are what the study stored. `device` is
        auto, cpu or cuda; `threads` are torch's for the whole process, by default one for each usable processor.

        `engine` is "own"; "onnx", where onnxruntime (the extra `onnx`) computes everything, on as many threads; or
        "auto", where it computes the few and short texts of which it is faster, as measured when the model is loaded.
        Its graph is made once and kept in the cache folder, its weights are in memory beside ours, and its
        probabilities are ours within 0.00001, or else "auto" does without it. `say` is told who computes what, and why.

        Raises `InputError` where there is no classifier, calibration lacks validation predictions, or "onnx" is asked
        for and cannot be had.
        """
        source = find(path)
        model = load_model(source.model, source.labels, source.columns, device, threads, engine=engine, say=say)
        temperature = None
        if calibrated:
            temperature = None if source.run is None else fit_temperature(source.run, model.labels)
            if temperature is None:
                raise InputError(f"{source.name} cannot be calibrated: there are no validation predictions beside it.")
        return cls(model, source, temperature)

    @classmethod
    def load_many(
        cls,
        sources: Mapping[str, str | Path],
        *,
        calibrated: bool = False,
        device: str = "auto",
        threads: int | None = None,
    ) -> Classifiers:
        """Several classifiers by name, served together: what they share is in memory once and runs once.

        Each is named as `load` takes it, and the other arguments are as there. Raises `InputError` as `load` does.
        """
        from thriftune.use.many.classifiers import Classifiers

        made = Classifiers(calibrated=calibrated, device=device, threads=threads)
        for name, path in sources.items():
            made.add(name, path)
        return made

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


def _check_finite(values: np.ndarray) -> None:
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise InputError(f"The model gives no numbers for item {wrong[0]}: it has no token, or the model is damaged.")
