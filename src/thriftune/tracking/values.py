"""What trackers are told of a run: settings, scores and costs as flat numbers and texts, and its curves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import SHORT, ascii_name
from thriftune.results.scores import Scores
from thriftune.results.store import Store
from thriftune.study.events import RunLooked, RunProgress

Setting = str | int | float | bool


@dataclass(frozen=True)
class Point:
    """Values at one optimiser step."""

    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class Logged:
    """Everything about a run that has ended."""

    run_id: str
    name: str
    status: str
    message: str | None
    settings: dict[str, Setting]
    numbers: dict[str, float]
    """Scores and costs."""
    curves: list[Point]

    @property
    def done(self) -> bool:
        """Whether it was trained and tested to its end."""
        return self.status == "done"


def logged(record: RunRecord, store: Store) -> Logged:
    """What a run's record and history say."""
    return Logged(
        run_id=record.run_id,
        name=record.name,
        status=record.status,
        message=record.message,
        settings=settings(record),
        numbers=dict(numbers(record)),
        curves=curves(*store.run(record.run_id).read_history()),
    )


def settings(record: RunRecord) -> dict[str, Setting]:
    """The run's settings, flat: `method.rank`, `protocol.batch_size` ...; what is not set is left out."""
    found: dict[str, Any] = {
        "run_id": record.run_id,
        "cell": record.cell,
        "model": record.model,
        "seed": record.seed,
        "learning_rate": record.learning_rate,
        "method": record.method,
        "protocol": record.protocol,
        "head": record.head,
    }
    return {name: _setting(value) for name, value in _flat("", found, ".") if value is not None}


def numbers(record: RunRecord) -> Iterator[tuple[str, float]]:
    """Scores (`test/accuracy` ...) and costs (`cost/train_seconds` ...); what is not known is left out."""
    sets: dict[str, Scores | None] = {"test": record.test, "validation": record.validation}
    sets |= {f"robustness/{_plain(name)}": scores for name, scores in record.robustness.items()}
    for name, scores in sets.items():
        if scores is not None:
            yield f"{name}/accuracy", scores.accuracy
            yield f"{name}/macro_f1", scores.macro_f1
            if scores.loss is not None:
                yield f"{name}/loss", scores.loss
    if record.best_epoch is not None:
        yield "best_epoch", float(record.best_epoch)
    if record.cost is not None:
        for name, value in _flat("cost", asdict(record.cost), "/"):
            if isinstance(value, int | float):
                yield name, float(value)


def curves(steps: list[StepPoint], epochs: list[EpochPoint]) -> list[Point]:
    """A run's curves by step: training loss and rate, and what each look at validation found."""
    found: dict[int, dict[str, float]] = {}
    for point in steps:
        found.setdefault(point.step, {}).update(
            {"train/loss": point.loss, "train/learning_rate": point.learning_rate, "train/epoch": point.epoch}
        )
    for look in epochs:
        values = {
            "train/accuracy": look.train_accuracy,
            "curve/validation_loss": look.validation_loss,
            "curve/validation_accuracy": look.validation_accuracy,
            "curve/validation_macro_f1": look.validation_macro_f1,
        }
        found.setdefault(look.step, {}).update({name: value for name, value in values.items() if value is not None})
    return [Point(step, values) for step, values in sorted(found.items())]


def live(at: RunProgress | RunLooked) -> Point | None:
    """What a run under way says of itself, or finds on validation; None where that is nothing new.

    Of rates that are tried each has curves of its own, as each counts its steps from 0.
    """
    place = "live" if at.tried_rate is None else f"live/rate_{at.tried_rate:g}"
    values: dict[str, float | None]
    if isinstance(at, RunLooked):
        scores = ("validation_loss", "validation_accuracy", "validation_macro_f1")
        values = {"train_loss": at.train_loss, **{name: getattr(at, name) for name in scores}}
        return Point(at.step, {f"{place}/{name}": float(value) for name, value in values.items() if value is not None})
    if at.stage != "training" or at.step is None or at.loss is None:
        return None
    values = {"loss": at.loss, "samples_per_second": at.samples_per_second, "memory_bytes": at.memory_bytes}
    return Point(at.step, {f"{place}/{name}": float(value) for name, value in values.items() if value is not None})


def folder_of(run_id: str, name: str) -> str:
    """What a run's folder is called: letters, digits and hyphens."""
    return f"{ascii_name(name)}-{run_id[:SHORT]}"


def _flat(name: str, value: Any, between: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name}{between}{key}" if name else str(key), inner, between)
    else:
        yield name, value


def _setting(value: Any) -> Setting:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _plain(name: str) -> str:
    """A name as part of what every tracker takes for a number's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-") or "set"
