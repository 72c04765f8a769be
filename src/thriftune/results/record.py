"""The records of a run and of a study, `schema_version` 1 (field list: docs/results-format.md).

Numbers are numbers and units are in the name. An unknown number is `None`, and `reasons` says why;
on disk it becomes `NAME: null` beside `NAME_reason: "..."`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from thriftune.results.cost import Cost
from thriftune.results.plain import SCHEMA_VERSION, record_from, with_reasons, without_reasons
from thriftune.results.prediction import Prediction
from thriftune.results.profile import DataProfile, RobustnessProfile
from thriftune.results.scores import Scores
from thriftune.results.search import Searched
from thriftune.results.training import SearchPoint, Training

Status = Literal["done", "failed", "out_of_memory", "diverged", "interrupted"]


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
    """Scores on further test sets, by name."""
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
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """The run as `run.json` holds it: scores under `metrics`, unknown numbers with their reason."""
        # A copy of a confusion matrix of hundreds of classes would take seconds: scores are taken as they are.
        out = asdict(replace(self, test=None, validation=None, robustness={}))
        for name in ("test", "validation", "robustness"):
            del out[name]
        out["metrics"] = {
            "test": _scores_json(self.test),
            "validation": _scores_json(self.validation),
            "robustness": {name: _scores_json(scores) for name, scores in self.robustness.items()},
        }
        if self.cost is not None:
            out["cost"] = with_reasons(out["cost"])
        if self.predicted is not None:
            out["predicted"] = self.predicted.to_json()
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunRecord:
        """Reads what `to_json` wrote; raises `KeyError`, `TypeError` or `ValueError` on a file of another shape."""
        return record_from(cls, _run_values(data))


def _scores_json(scores: Scores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {**vars(scores), "per_class": {label: dict(vars(each)) for label, each in scores.per_class.items()}}


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
    """The further test sets by name."""
    statistics: dict[str, Any] = field(default_factory=dict)
    """What the analysis found, by panel (`verdicts`, `overlap`, ...), None beside NAME_reason where a panel does not
    apply; on disk each is a key of its own."""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """The study as `results.json` holds it; raises `ValueError` where a panel bears the name of a field."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        statistics = out.pop("statistics")
        if taken := sorted(statistics.keys() & out.keys()):
            raise ValueError(f"results.json has these keys already: {', '.join(taken)}")
        out |= statistics
        out["profile"] = asdict(self.profile)
        out["robustness"] = {name: asdict(profile) for name, profile in self.robustness.items()}
        out["runs"] = [run.to_json() for run in self.runs]
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StudyResults:
        """Reads what `to_json` wrote; raises `KeyError`, `TypeError` or `ValueError` on a file of another shape."""
        own = {f.name for f in fields(cls)}
        missing = {key for key in data if key not in own and f"{key}_reason" in data}
        kept = missing | {f"{key}_reason" for key in missing}
        statistics = {k: v for k, v in data.items() if k in kept or (k not in own and isinstance(v, dict))}
        runs = [_run_values(run) for run in data["runs"]]
        return record_from(cls, {**data, "statistics": statistics, "runs": runs})
