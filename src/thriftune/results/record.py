"""The records of a run and of a study, `schema_version` 1 (field list: docs/results-format.md).

Numbers are numbers and units are in the name. An unknown number is `None`, and `reasons` says why;
on disk it becomes `NAME: null` beside `NAME_reason: "..."`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from thriftune.results.cost import Cost
from thriftune.results.plain import SCHEMA_VERSION, record_from, values_of, without_reasons
from thriftune.results.prediction import Prediction
from thriftune.results.profile import DataProfile, RobustnessProfile
from thriftune.results.scores import Scores
from thriftune.results.search import Searched
from thriftune.results.training import FittedBatch, SearchPoint, Training

Status = Literal["done", "failed", "out_of_memory", "killed", "diverged", "interrupted"]
"""killed: its process was ended from outside, and the kernel does not say that it was for want of memory."""


@dataclass(frozen=True)
class RunRecord:
    """One trained and tested model: its settings, scores and cost."""

    run_id: str
    name: str
    """Unique within the study, for people: method, and model and seed where the study has several."""
    cell: str
    """The name without the seed: runs of one cell differ by seed alone."""
    status: Status
    message: str | None
    """Why a run is not `done`; None otherwise."""
    model: str | None
    """As named in the study file; None for methods without a transformer."""
    method: dict[str, Any]
    """Flat: {"name": "lora", "rank": 8, ...}."""
    seed: int
    protocol: dict[str, Any]
    head: dict[str, Any]
    learning_rate: float | None
    """The one used (the search's best, where there was one)."""
    best_epoch: int | float | None
    """Epochs done when the weights that were kept were looked at; fractional within an epoch."""
    test: Scores | None
    validation: Scores | None
    cost: Cost | None
    predicted: Prediction | None = None
    """None for baselines, and where a note says why."""
    robustness: dict[str, Scores] = field(default_factory=dict)
    """Scores on robustness sets, by name."""
    robustness_fingerprints: dict[str, str] = field(default_factory=dict)
    """Which rows those sets held: `RobustnessProfile.fingerprint` when they were scored."""
    search: list[SearchPoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`bytes` and `sha256` of every file that the run left, by its path in the run's folder."""
    training: Training | None = None
    """How training ended; None for baselines, and in results of earlier versions."""
    baseline: bool = False
    """Whether the method fine-tunes nothing."""
    searched: Searched | None = None
    """How its settings were found; None where the study has no search, or the method nothing to search."""
    fitted_batch: FittedBatch | None = None
    """The batches that it ran with where those of its protocol ran out of memory; None: those of its protocol."""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """The run as `run.json` holds it: scores under `metrics`, unknown numbers with their reason."""
        values: dict[str, Any] = values_of(self)
        metrics = {name: values.pop(name) for name in ("test", "validation", "robustness")}
        return {**values, "metrics": metrics}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunRecord:
        """Reads what `to_json` wrote; raises `KeyError`, `TypeError` or `ValueError` on a file of another shape."""
        return record_from(cls, _run_values(data))


def _run_values(data: dict[str, Any]) -> dict[str, Any]:
    """What `RunRecord.to_json` wrote, under the names of the record."""
    metrics = data["metrics"]
    return {
        "baseline": data["model"] is None,  # in results of earlier versions
        **data,
        "test": metrics["test"],
        "validation": metrics["validation"],
        "robustness": metrics.get("robustness", {}),
        "cost": without_reasons(data["cost"]),
        "predicted": without_reasons(data.get("predicted")),
    }


@dataclass(frozen=True)
class StudyResults:
    """`results.json`: the whole study."""

    name: str
    study: dict[str, Any]
    """The resolved study file."""
    profile: DataProfile
    runs: list[RunRecord]
    margin: float
    """Accuracy points within which two methods count as equivalent."""
    published: dict[str, dict[str, Any]]
    """Published numbers by run or cell name: keys as in `metrics.test` and `cost`."""
    environment: dict[str, Any]
    robustness: dict[str, RobustnessProfile] = field(default_factory=dict)
    """The robustness sets by name."""
    statistics: dict[str, Any] = field(default_factory=dict)
    """What the analysis found, by panel (`verdicts`, `overlap`, ...), None beside NAME_reason where a panel does not
    apply; on disk each is a key of its own."""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """The study as `results.json` holds it; raises `ValueError` where a panel bears the name of a field."""
        values = {**values_of(replace(self, runs=[], statistics={})), "runs": [run.to_json() for run in self.runs]}
        del values["statistics"]
        if taken := sorted(self.statistics.keys() & values.keys()):
            raise ValueError(f"results.json has these keys already: {', '.join(taken)}")
        return values | self.statistics

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StudyResults:
        """Reads what `to_json` wrote; raises `KeyError`, `TypeError` or `ValueError` on a file of another shape."""
        own = {f.name for f in fields(cls)}
        missing = {key for key in data if key not in own and f"{key}_reason" in data}
        kept = missing | {f"{key}_reason" for key in missing}
        statistics = {k: v for k, v in data.items() if k in kept or (k not in own and isinstance(v, dict))}
        runs = [_run_values(run) for run in data["runs"]]
        return record_from(cls, {**data, "statistics": statistics, "runs": runs})
