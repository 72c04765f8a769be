"""Scores a classifier on a labelled file, window by window."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.statistics.basics import wilson
from thriftune.errors import InputError, shortened
from thriftune.results.files import sha256
from thriftune.use import files
from thriftune.use.classifier import Classifier
from thriftune.use.evaluated.rows import ScoredRows, scored_rows
from thriftune.use.evaluated.seen import TrainingTexts
from thriftune.use.rows import as_text, texts_of

MOST_REASONS = 20


@dataclass(frozen=True)
class ClassScore:
    """One class."""

    label: str
    precision: float | None
    """None where the class was never predicted."""
    recall: float | None
    """None where no row has the label."""
    f1: float
    rows: int


@dataclass(frozen=True)
class Evaluation:
    """How a classifier does on a labelled file."""

    run: str
    file: str
    rows: int
    """Those that were scored."""
    accuracy: float
    accuracy_interval_95: tuple[float, float]
    """Wilson's."""
    macro_f1: float
    """Mean F1 of the classes that occur or are predicted."""
    study_accuracy: float | None
    """On the study's test texts; None where the study is not there."""
    classes: list[ClassScore]
    not_scored: dict[str, int] = field(default_factory=dict)
    """Rows that were left out, by reason."""
    columns: tuple[str, ...] = ()
    """The file's text columns."""
    label: str = ""
    """The column of its labels."""
    fingerprint: str = ""
    """SHA-256 of its bytes."""
    seen: int | None = None
    """Scored rows whose texts are among the study's training texts, word for word; None where those are not there."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """For the terminal."""
        found = [
            f"{self.run} is right on {f.percent(self.accuracy)} of {f.plural(self.rows, 'row')} (95% "
            f"{f.percent_range(*self.accuracy_interval_95)}), macro F1 {f.percent(self.macro_f1)}."
        ]
        if self.study_accuracy is not None:
            found.append(f"On the study's own test texts it was right on {f.percent(self.study_accuracy)}.")
        if self.seen:
            found.append(seen_sentence(self.seen, self.rows))
        if self.not_scored:
            counted = [f"{f.count(number)} {reason}" for reason, number in self.not_scored.items()]
            found.append(f"Not scored: {'; '.join(counted)}.")
        return found

    def table(self) -> list[dict[str, str]]:
        """A row for each class."""
        return [
            {
                "Label": each.label,
                "Precision %": "–" if each.precision is None else f.bare_percent(each.precision),
                "Recall %": "–" if each.recall is None else f.bare_percent(each.recall),
                "F1 %": f.bare_percent(each.f1),
                "Rows": f.count(each.rows),
            }
            for each in self.classes
        ]


def seen_sentence(seen: int, rows: int) -> str:
    """What rows that were trained on say of the score."""
    return (
        f"{f.count(seen)} of the {f.plural(rows, 'row')} {'stands' if seen == 1 else 'stand'} among the texts that it "
        "was trained on, word for word: the score flatters."
    )


def evaluate_file(
    classifier: Classifier,
    file: str | Path,
    *,
    text: Sequence[str] = (),
    label: str | None = None,
    format: str | None = None,
    into: Path | None = None,
) -> Evaluation:
    """Scores a classifier on a file with labels; "-" is standard input.

    Where `into` is given the scored rows go to that parquet file: row, text_NAME, label, predicted, p_LABEL. The label
    column is called as in training unless `label` names it. Rows without a usable text, without a label or
    with one that the classifier does not know are not scored; their number is given with the reason. Raises
    `InputError` for columns that the file lacks, and where no row can be scored.
    """
    source = files.check_source(file, format)
    with tempfile.TemporaryDirectory(prefix="thriftune-") as folder:
        path = source
        if str(source) == "-":
            path = Path(folder) / "input"
            files.spool(sys.stdin.buffer, path)
        digest = sha256(path)
        rows = files.open_rows(path, files.format_of(source, format))
        columns = files.text_columns(rows, source, classifier.columns, text, classifier.model.count)
        truth = _label_column(classifier, label)
        place = files.column_place(rows, source, truth, "--label" if label else "The study")
        with scored_rows(into, classifier.columns or [name for name, _ in columns], classifier.labels) as scored:
            counted = _counted(classifier, rows.windows(0), columns, place, scored)
            confusion, reasons = counted.confusion, counted.reasons
    if not confusion.sum():
        said = "; ".join(f"{number:,} {reason}" for reason, number in reasons.items()) or "it has no row"
        raise InputError(
            f'No row of {source} can be scored ({said}). The labels in the column "{place[0]}" must be among those of '
            f"the classifier: {f.listing(classifier.labels, 20)}."
        )
    found = _evaluation(classifier, str(source), confusion, reasons)
    named = tuple(name for name, _ in columns)
    return replace(found, columns=named, label=place[0], fingerprint=digest, seen=counted.seen)


def _label_column(classifier: Classifier, given: str | None) -> str:
    results = classifier.source.results
    if given is not None:
        return given
    return "label" if results is None else results.study.profile.label_column


@dataclass(frozen=True)
class _Counted:
    """What the rows of a file came to."""

    confusion: np.ndarray
    """Rows by true and predicted label, (labels, labels)."""
    reasons: dict[str, int]
    """Rows that are not in it, by reason."""
    seen: int | None
    """As `Evaluation.seen`."""


def _counted(
    classifier: Classifier,
    windows: Iterable[Any],
    columns: Sequence[tuple[str, int]],
    place: tuple[str, int],
    scored: ScoredRows,
) -> _Counted:
    """Scores a file's windows, which `scored` keeps."""
    ids, known = _names(classifier), TrainingTexts.of(classifier.source)
    seen = None if known.texts is None else 0
    count = len(classifier.labels)
    confusion, reasons, before = np.zeros((count, count), dtype=np.int64), Counter[str](), 0
    for window in windows:
        usable, texts, why = texts_of(window, columns)
        truth = [_known(value, ids) for value in window.column(*place)]
        kept = [(row, index) for row, index in enumerate(usable) if not isinstance(truth[index], str)]
        if kept:
            own = [[column[row] for row, _ in kept] for column in texts]
            probabilities = classifier.probabilities(own)
            finite = np.isfinite(probabilities).all(axis=1)
            reasons["without a token that the model knows"] += int((~finite).sum())
            labels = np.array([truth[index] for _, index in kept], dtype=np.int64)[finite]
            np.add.at(confusion, (labels, probabilities[finite].argmax(axis=1)), 1)
            places = np.array([before + index for _, index in kept], dtype=np.int64)[finite]
            texts_kept = [[text for text, fine in zip(column, finite, strict=True) if fine] for column in own]
            scored.add(places, texts_kept, labels, probabilities[finite])
            seen = None if seen is None else seen + (known.count(texts_kept) or 0)
        before += len(why)
        for reason in filter(None, (_reason(a, b) for a, b in zip(why, truth, strict=True))):
            reasons[reason if reason in reasons or len(reasons) < MOST_REASONS else "for other reasons"] += 1
    return _Counted(confusion, {reason: number for reason, number in reasons.items() if number}, seen)


def _reason(text: str, truth: str | int) -> str:
    return text.split(": ", 1)[0] if text else truth if isinstance(truth, str) else ""


def _names(classifier: Classifier) -> dict[str, int]:
    """Label ids by name, and by what the study file says is another name of one."""
    ids = {label: index for index, label in enumerate(classifier.labels)}
    results = classifier.source.results
    renamed = {} if results is None else results.study.study.get("data", {}).get("labels") or {}
    return {**{str(old).strip(): ids[str(new)] for old, new in renamed.items() if str(new) in ids}, **ids}


def _known(value: Any, ids: dict[str, int]) -> int | str:
    """A label's id, or why it has none; 1.0 is 1, and True is true."""
    name, missing = as_text(value)
    name = name.strip()
    if missing:
        return "without a label"
    forms = [name, name.lower()]
    with suppress(ValueError, OverflowError):
        forms.append(str(int(float(name))) if float(name).is_integer() else name)
    found = next((ids[form] for form in forms if form in ids), None)
    return f'with the label "{shortened(name, 60)}", which it does not know' if found is None else found


def _evaluation(classifier: Classifier, file: str, confusion: np.ndarray, reasons: dict[str, int]) -> Evaluation:
    right, rows = np.diagonal(confusion), int(confusion.sum())
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * right / np.maximum(true + predicted, 1)
    record = classifier.source.record
    test = None if record is None else record.test
    return Evaluation(
        run=classifier.source.name,
        file=file,
        rows=rows,
        accuracy=float(right.sum() / rows),
        accuracy_interval_95=wilson(int(right.sum()), rows),
        macro_f1=float(f1[true + predicted > 0].mean()),
        study_accuracy=None if test is None else test.accuracy,
        classes=[
            ClassScore(
                label,
                float(right[i] / predicted[i]) if predicted[i] else None,
                float(right[i] / true[i]) if true[i] else None,
                float(f1[i]),
                int(true[i]),
            )
            for i, label in enumerate(classifier.labels)
        ],
        not_scored=reasons,
    )
