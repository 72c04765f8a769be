"""`RUN/log.txt`: one run's course in readable lines, written by the process that makes it."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from thriftune import wording as f
from thriftune.results.record import RunRecord
from thriftune.study.events import Notice, RunLooked, RunProgress, RunTold

SECONDS_BETWEEN = 10.0
"""Between two lines of where a stage stands."""
LONGEST = 4000
"""Characters of a message from elsewhere."""


class RunLog:
    """Lines with their time, appended and flushed: a run that goes on adds to what it left."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._stage: tuple[Any, ...] = ()
        self._last = 0.0

    def line(self, text: str, level: str = "info") -> None:
        """Writes a line, or several of one time. What cannot be written is lost: a full disk ends no run here."""
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        try:
            for each in text[:LONGEST].splitlines() or [""]:
                self._file.write(f"{now}Z {level:7} {each}\n")
            self._file.flush()
        except (OSError, ValueError):
            return

    def progress(self, event: RunProgress) -> None:
        """A line for each stage that begins, for each epoch, and every ten seconds."""
        stage = (event.stage, event.epoch, event.tried_rate)
        now = time.monotonic()
        if stage == self._stage and now - self._last < SECONDS_BETWEEN:
            return
        self._stage, self._last = stage, now
        self.line(progress_text(event))

    def told(self, event: RunTold) -> None:
        """A line for what a run tells, where it is one to keep."""
        match event:
            case RunProgress():
                self.progress(event)
            case RunLooked():
                self.line(look_text(event))
            case Notice(text):
                self.line(text, "warning")

    def ended(self, record: RunRecord) -> None:
        """The last lines of a run."""
        self.line(ending_text(record), "info" if record.status == "done" else "error")
        for note in record.notes:
            self.line(note)


def progress_text(event: RunProgress) -> str:
    """Where a run stands, in one line."""
    parts: list[str] = [event.stage]
    if event.tried_rate is not None:
        parts.append(f"trying rate {event.tried_rate:g}")
    if event.epoch is not None:
        parts.append(f"epoch {event.epoch}" + (f" of {event.epochs}" if event.epochs else ""))
    if event.step is not None:
        parts.append(f"step {event.step:,}" + (f" of {event.steps:,}" if event.steps else ""))
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4f}")
    if event.samples_per_second is not None:
        parts.append(f"{event.samples_per_second:,.1f} samples/s")
    if event.memory_bytes is not None:
        parts.append(f.size(event.memory_bytes))
    return ", ".join(parts)


def look_text(point: RunLooked) -> str:
    """What a look at validation found, in one line."""
    parts = [f"validation after step {point.step:,} (epoch {point.epoch:g})", f"training loss {point.train_loss:.4f}"]
    if point.validation_loss is not None:
        parts.append(f"validation loss {point.validation_loss:.4f}")
    if point.validation_accuracy is not None:
        parts.append(f"accuracy {100 * point.validation_accuracy:.2f}%")
    parts.append(f"rate {point.learning_rate:.3g}")
    return ", ".join(parts)


def ending_text(record: RunRecord) -> str:
    """How a run ended, in one line."""
    if record.status != "done" or record.test is None:
        return f"{record.status.replace('_', ' ')}: {record.message}"
    test, cost = record.test, record.cost
    said = f"done: test accuracy {100 * test.accuracy:.2f}%, macro F1 {100 * test.macro_f1:.2f}%"
    if cost is not None:
        said += f", trained {cost.train_seconds:.1f} s"
    if cost is not None and cost.peak_memory_bytes is not None:
        said += f", peak {f.size(cost.peak_memory_bytes)}"
    return said


@contextmanager
def run_log(path: Path, about: dict[str, Any]) -> Iterator[RunLog]:
    """A run's log while it goes on; what libraries log or warn of meanwhile stands in it, and nowhere else less.

    `about` is what the first lines say. A log that cannot be opened is none: the run goes on without.
    """
    import thriftune

    with _opened(path) as file:
        log = RunLog(file)
        python, host = platform.python_version(), platform.node()
        log.line(f"Thriftune {thriftune.__version__}, Python {python}, {host}, process {os.getpid()}")
        for key, value in about.items():
            log.line(
                f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)}"
            )
        with _captured(log):
            yield log


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        path = Path(os.devnull)
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        yield file


class _Handler(logging.Handler):
    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.line(f"{record.name}: {record.getMessage()}", record.levelname.lower())


@contextmanager
def _captured(log: RunLog) -> Iterator[None]:
    """Warnings, and what libraries log from WARNING on, are written to the log too."""
    shown: Callable[..., None] = warnings.showwarning

    def show(message: Any, category: Any, *args: Any, **named: Any) -> None:
        log.line(f"{category.__name__}: {message}", "warning")
        shown(message, category, *args, **named)

    handler = _Handler(log)
    loggers = [logging.getLogger(name) for name in (None, "transformers", "peft", "datasets", "optuna")]
    warnings.showwarning = show
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        if warnings.showwarning is show:
            warnings.showwarning = shown
        sys.stderr.flush()
