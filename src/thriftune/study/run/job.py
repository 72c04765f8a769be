"""What a run's process is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thriftune.engine.protocol import deciding
from thriftune.results.cost import Cost
from thriftune.results.files import read_parquet
from thriftune.results.prediction import Prediction
from thriftune.results.record import RunRecord, Status
from thriftune.results.scores import Scores
from thriftune.results.search import Searched
from thriftune.results.training import FittedBatch
from thriftune.study.events import RunTold
from thriftune.study.file.plan import PlannedRun

if TYPE_CHECKING:
    import polars as pl

    from thriftune.engine.examples import Examples

Emit = Callable[[RunTold], None]
EVALUATED = ("validation", "test")


@dataclass(frozen=True)
class Job:
    """What a run's process needs to know; it can be pickled."""

    planned: PlannedRun
    run_id: str
    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    splits: dict[str, Path]
    """Parquet files of the splits and robustness sets."""
    tokens: dict[str, Path]
    """Folders of tokens by split; empty without a model."""
    model: Path | None
    device: str
    """cpu or cuda."""
    out: Path
    """The run's folder."""
    robustness: dict[str, str]
    """Fingerprints of the robustness sets by name; their files are among splits and tokens."""
    predicted: Prediction | None = None
    unpredicted: str | None = None
    """Why there is no prediction, where there should be one."""
    pair: Literal["segments", "one_segment"] = "segments"
    """How two text columns become one input."""
    margin: float = 0.5
    """The study's: accuracy points below which a gain over the last epoch is none."""
    searched: Searched | None = None
    """How a search chose the settings, where one did."""
    checkout: Mapping[str, Any] = field(default_factory=dict)
    """The state of this package's source, which goes into the record: see `checkout`."""
    head_c: float | None = None
    """The C of a solved head, where it is known before; None: it is chosen on validation."""
    fitted: FittedBatch | None = None
    """Batches instead of the protocol's, which ran out of memory."""
    threads: int | None = None
    """Processors that it may use, where it shares them with other runs; None: all that its process may."""
    processes: int = 1
    """That train it together, each on a share of every batch."""
    notes: tuple[str, ...] = ()
    """What its record is to say from the start."""
    done: bool = False
    """Whether the run is done but for robustness sets that it has not been scored on."""

    @property
    def batch(self) -> FittedBatch:
        """The batches that it runs with."""
        protocol = self.planned.protocol
        return self.fitted or FittedBatch(protocol.batch_size, protocol.accumulate)

    def with_batch(self, batch: FittedBatch) -> Job:
        """The job with other batches of as many texts per step; its prediction was for those of the protocol."""
        why = f"the batches of its protocol ran out of memory ({batch.words})"
        return replace(self, fitted=batch, predicted=None, unpredicted=why)

    @property
    def executed(self) -> Job:
        """The job whose protocol says what is executed, where smaller batches are to be fitted."""
        if self.fitted is None:
            return self
        size, parts = self.fitted.batch_size, self.fitted.accumulate
        protocol = replace(self.planned.protocol, batch_size=size, accumulate=parts, fit_batch=False)
        return replace(self, planned=replace(self.planned, protocol=protocol))

    @property
    def evaluated(self) -> list[str]:
        """What is predicted and scored, in this order."""
        return [name for name in (*EVALUATED, *self.robustness) if name in self.splits]

    def frames(self, texts: bool = True) -> dict[str, pl.DataFrame]:
        """The splits' label ids and, where they are asked for, texts and kept columns, which may be large."""
        only = None if texts else ("example", "label")
        return {split: read_parquet(path, only=only) for split, path in self.splits.items()}

    def examples(self, frames: dict[str, pl.DataFrame]) -> dict[str, Examples]:
        """The splits' tokens with their labels."""
        from thriftune.data.tokens import Tokens
        from thriftune.engine.examples import Examples

        return {
            split: Examples(Tokens.load(self.tokens[split], mmap=True), label_ids(frame))
            for split, frame in frames.items()
        }


class RunError(Exception):
    """A run ended without results, for a reason that has a status of its own."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def done_record(job: Job, scores: dict[str, Scores], cost: Cost, notes: list[str], **further: Any) -> RunRecord:
    """The record of a run that is done; `further` are fields that not every kind of run has."""
    blank = blank_record(job, "done", None)
    return replace(
        blank,
        validation=scores.get("validation"),
        test=scores.get("test"),
        robustness={name: scores[name] for name in job.robustness},
        robustness_fingerprints=job.robustness,
        cost=cost,
        notes=[*blank.notes, *notes],
        **further,
    )


def blank_record(job: Job, status: Status, message: str | None) -> RunRecord:
    """The record of a run that has no results."""
    planned = job.planned
    return RunRecord(
        run_id=job.run_id,
        name=planned.name,
        cell=planned.cell,
        status=status,
        message=message,
        model=planned.model,
        method=planned.method.flat(),
        seed=planned.seed,
        protocol=deciding(planned.protocol),
        head=asdict(planned.head),
        learning_rate=None,
        best_epoch=None,
        test=None,
        validation=None,
        cost=None,
        predicted=job.predicted,
        baseline=planned.method.BASELINE,
        searched=job.searched,
        notes=[*job.notes, *([] if job.unpredicted is None else [f"Cost was not predicted: {job.unpredicted}"])],
        fitted_batch=job.fitted,
    )


def label_ids(frame: pl.DataFrame) -> np.ndarray:
    """Label ids of shape (texts,)."""
    return frame["label"].to_numpy().astype(np.int64)
