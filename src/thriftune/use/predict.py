"""Labels a file: read, predicted and written window by window, so that memory does not grow with it."""

from __future__ import annotations

import importlib.metadata
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.errors import InputError
from thriftune.paths import check_new_folder, kind, status, user_path
from thriftune.use import files, written
from thriftune.use.calibration import Expectation, expectation, fit_temperature
from thriftune.use.classifier import Classifier
from thriftune.use.loading import model_files
from thriftune.use.progress import Progress
from thriftune.use.rows import WINDOW, Window, texts_of
from thriftune.use.source import Source
from thriftune.use.work import Work

Say = Callable[[str], None]
DIGITS = 6
"""Of confidences and probabilities."""
MOST_REASONS = 20
"""Kinds of reasons that are counted apart."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a file is predicted."""

    text: tuple[str, ...] = ()
    """Its text columns, where they are not called as in training."""
    probabilities: bool = False
    """Whether every label's is written."""
    calibrate: bool = True
    abstain: float | None = None
    """Below this confidence a row gets no label."""
    format: str | None = None
    """The file's; by its ending where none is given."""
    device: str = "auto"

    def check(self) -> None:
        """Raises `InputError` for a threshold that is none."""
        if self.abstain is not None and not 0 < self.abstain <= 1:
            raise InputError(f"--abstain {self.abstain:g} is given; a confidence is above 0 and at most 1: 0.6.")


@dataclass(frozen=True)
class Done:
    """What was written."""

    out: Path
    rows: int
    seconds: float
    """Of this command; an interrupted one before it has its own."""
    new: int
    """Rows that this command predicted."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows without a label by the kind of reason."""

    def sentences(self) -> list[str]:
        """For the terminal."""
        speed = f" ({f.count(self.new / self.seconds)} rows/s)" if self.new and self.seconds > 0 else ""
        found = [f"{f.plural(self.rows, 'row')} in {self.out}{speed}."]
        if self.reasons:
            counted = [f"{f.count(number)} {reason}" for reason, number in self.reasons.items()]
            found.append(f"Without a label: {'; '.join(counted)}. The column reason says it of each row.")
        return found


def predict_file(classifier: Classifier, file: str | Path, out: str | Path, options: Options, say: Say) -> Done:
    """Writes a file's rows with label, confidence and reason to `out`; "-" is standard input.

    Rows keep their order and their other columns. What stops it leaves `out` as it was and the work beside it; the same
    command goes on. Calibration comes from `calibrated`. Raises `InputError` for a file that cannot be read, columns
    that it lacks, and an `out` that cannot be written.
    """
    started = time.monotonic()
    source, target, into = check_request(file, out, options)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _working(target) as work:
        path, fingerprint = _input(source, work)
        rows = files.open_rows(path, files.format_of(source, options.format))
        columns = files.text_columns(rows, source, classifier.columns, options.text, classifier.model.count)
        for remark in rows.notes:
            say(remark)
        fingerprint |= _fingerprint(classifier, columns, into, options)
        writer, names = files.writer(rows, into), new_names(classifier.labels, rows.names, options.probabilities)
        done, before = _Tally(), 0
        note = work.resume(fingerprint)
        if note is None:
            work.add(writer.start(names), done.note(0.0))
        else:
            done, before = _Tally.of(note), note["rows"]
            say(f"Going on after {f.plural(before, 'row')} that {target.name} has already.")
        progress = Progress(done.rows, note["read"] if note else 0.0)
        for window in rows.windows(done.rows):
            new = _predicted(classifier, window, columns, names, options, done)
            work.add(writer.window(window, new), done.note(window.read))
            progress.show(done.rows, window.read)
        progress.done()
        work.finish(written.packed if into == "parquet" else None)
    return Done(target, done.rows, time.monotonic() - started, done.rows - before, dict(done.reasons))


@dataclass
class _Tally:
    """What is done so far, over all commands."""

    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def note(self, read: float) -> dict[str, Any]:
        return {"rows": self.rows, "reasons": dict(self.reasons), "read": read}

    @classmethod
    def of(cls, note: dict[str, Any]) -> _Tally:
        return cls(note["rows"], Counter(note["reasons"]))

    def count(self, reason: str) -> None:
        what = reason.split(": ", 1)[0] if reason.startswith("malformed") else reason
        what = "below the confidence asked for" if reason.startswith("confidence") else what
        self.reasons[what if what in self.reasons or len(self.reasons) < MOST_REASONS else "for other reasons"] += 1


def _predicted(
    classifier: Classifier,
    window: Window,
    columns: Sequence[tuple[str, int]],
    names: tuple[str, ...],
    options: Options,
    done: _Tally,
) -> written.Columns:
    """The new columns of a window's rows."""
    usable, texts, reasons = texts_of(window, columns)
    total, labels = len(reasons), classifier.labels
    probabilities = np.full((total, len(labels)), np.nan)
    if usable:
        probabilities[usable] = classifier.probabilities(texts)
    known = np.isfinite(probabilities).all(axis=1)
    best = np.where(known[:, None], probabilities, 0.0).argmax(axis=1)
    confidence = probabilities[np.arange(total), best].round(DIGITS)
    for index in usable:
        if not known[index]:
            reasons[index] = "the model gives no numbers: no token that it knows"
        elif options.abstain is not None and confidence[index] < options.abstain:
            reasons[index] = f"confidence is below {options.abstain:g}"
    for reason in filter(None, reasons):
        done.count(reason)
    done.rows += total
    values: list[list[Any]] = [[None if why else labels[at] for why, at in zip(reasons, best, strict=True)]]
    values.append([_number(value) for value in confidence.tolist()])
    if options.probabilities:
        values += [[_number(value) for value in column] for column in probabilities.round(DIGITS).T.tolist()]
    return written.Columns(names, [*values, [reason or None for reason in reasons]])


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def new_names(labels: Sequence[str], taken: Sequence[str], probabilities: bool) -> tuple[str, ...]:
    """predicted, confidence, with `probabilities` p_LABEL for each label, and reason; a 2 on those that are taken."""
    out: list[str] = []
    for name in ("predicted", "confidence", *(f"p_{label}" for label in labels if probabilities), "reason"):
        new, number = name, 2
        while new in taken or new in out:
            new, number = f"{name}_{number}", number + 1
        out.append(new)
    return tuple(out)


def calibrated(classifier: Classifier, options: Options, say: Say) -> Classifier:
    """The classifier with the temperature of its run, unless that is switched off; says where there is none."""
    if not options.calibrate:
        return replace(classifier, temperature=None)
    run = classifier.source.run
    found = None if run is None else fit_temperature(run, classifier.labels)
    if found is None:
        say("Confidences are as trained, not calibrated: there are no validation predictions beside the model.")
    else:
        say(f"Confidences are calibrated on validation (temperature {found:.2f}).")
    return replace(classifier, temperature=found)


def expected(classifier: Classifier, threshold: float) -> str:
    """What the study's test texts say of a threshold, in a sentence."""
    run, name = classifier.source.run, classifier.source.name
    found = None if run is None else expectation(run, classifier.labels, threshold, classifier.temperature)
    if found is None:
        return "What accuracy to expect above that confidence is not known: there are no test predictions."
    return _sentence(found, name, threshold)


def _sentence(found: Expectation, name: str, threshold: float) -> str:
    tests = f"the study's {f.plural(found.texts, 'test text')}"
    if found.accuracy is None:
        return f"On {tests} {name} was never that sure: below {threshold:g} every row is left without a label."
    return (
        f"On {tests} {name} is at least {threshold:g} sure of {f.percent(found.coverage)}, and right on "
        f"{f.percent(found.accuracy)} of those (95% {f.percent_range(*found.interval)}); on all it is right on "
        f"{f.percent(found.all_right / found.texts)}."
    )


def check_request(file: str | Path, out: str | Path, options: Options) -> tuple[Path, Path, str]:
    """The file, the output and its format, looked at before a model is loaded.

    Raises `InputError` for settings that are none, a file that is not there or of another kind, and an output that
    cannot be written or would replace what is read.
    """
    options.check()
    source, target = files.check_source(file, options.format), user_path(str(out))
    found = status(target)
    if found is not None and not target.is_file():
        raise InputError(f"--out {target} is {kind(found)}. Name a file.")
    if found is not None and str(source) != "-" and target.samefile(source):
        raise InputError(f"--out {target} is the file that is read. Name another file.")
    ending = target.suffix.lower()
    if ending and ending not in files.ENDINGS:
        raise InputError(f'--out {target} ends in "{target.suffix}"; written are {", ".join(files.ENDINGS)}.')
    into = files.ENDINGS[ending] if ending else files.format_of(source, options.format)
    check_new_folder(target.parent)
    return source, target, into


@contextmanager
def _working(target: Path) -> Iterator[Work]:
    """The work beside an output; where nothing was done nothing is left of it."""
    try:
        work = Work(target)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror} in {target.parent}.") from error
    try:
        yield work
    finally:
        work.close()
        work.drop_unbegun()


def _input(source: Path, work: Work) -> tuple[Path, dict[str, Any]]:
    """The file to read, and what tells whether it is still the same."""
    if str(source) == "-":
        path = work.folder / "input"
        return path, {"file": "-", "about": [files.spool(sys.stdin.buffer, path)]}
    about = source.stat()
    return source, {"file": str(source.absolute()), "about": [about.st_size, about.st_mtime_ns]}


def _fingerprint(
    classifier: Classifier, columns: Sequence[tuple[str, int]], into: str, options: Options
) -> dict[str, Any]:
    """What decides on the rows that are written."""
    source: Source = classifier.source
    return {
        "version": importlib.metadata.version("thriftune"),
        "model": [str(source.model.absolute()), model_files(source.model)],
        "temperature": classifier.temperature,
        "columns": [list(column) for column in columns],
        "probabilities": options.probabilities,
        "abstain": options.abstain,
        "formats": [options.format, into],
        "window": WINDOW,
    }
