"""The record types of a study's results, `schema_version` 1 (field list: docs/results-format.md).

Numbers are numbers and units are in the name. An unknown number is `None`, and `reasons` says why;
on disk it becomes `NAME: null` beside `NAME_reason: "..."`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

SCHEMA_VERSION = 1

Status = Literal["done", "failed", "out_of_memory", "diverged", "interrupted"]


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of one class, and how many texts truly have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """Classification scores of one run on one split."""

    accuracy: float
    macro_f1: float
    loss: float | None
    """Mean cross-entropy in nats; None where a method gives no probabilities."""
    per_class: dict[str, ClassScores]
    confusion: list[list[int]]
    """Counts, rows = true label, columns = predicted label, both in label order."""

    @property
    def texts(self) -> int:
        """How many texts were scored."""
        return sum(sum(row) for row in self.confusion)


@dataclass(frozen=True)
class Memory:
    """Bytes alive at the training step's peak, by what they are for; the parts add up to the peak."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    cache: int
    other: int


@dataclass(frozen=True)
class Cost:
    """What a run cost, measured (definitions: docs/how-cost-is-measured.md)."""

    train_seconds: float
    """Optimisation steps only, synchronised; a learning-rate search is included."""
    prefix_seconds: float
    prefix_reused: bool
    evaluate_seconds: float
    load_seconds: float
    samples_per_second: float | None
    """Training samples over train_seconds + prefix_seconds; None where there are no steps (baselines)."""
    peak_memory_bytes: int | None
    peak_reserved_bytes: int | None
    """CUDA only: what the allocator reserved."""
    peak_process_bytes: int | None
    """Largest resident set of the run's process (CPU side)."""
    prefix_peak_memory_bytes: int | None
    memory: Memory | None
    trained_parameters: int
    """All trained parameters, the head's included."""
    head_parameters: int
    total_parameters: int
    stored_bytes: int
    """Weight bytes in model/."""
    delta_bytes: int
    """Bytes of the trained tensors alone."""
    energy_joules: float | None
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a number above is None, by its field name."""


@dataclass(frozen=True)
class SearchPoint:
    """One candidate of a learning-rate search."""

    learning_rate: float
    validation_accuracy: float
    validation_loss: float
    train_seconds: float


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
    """As named in the study file; None for baselines without a transformer."""
    method: dict[str, Any]
    """Flat: {"name": "lora", "rank": 8, ...}."""
    seed: int
    protocol: dict[str, Any]
    head: dict[str, Any]
    learning_rate: float | None
    """The one used (the search's best, where there was one)."""
    best_epoch: int | None
    """1-based epoch whose weights were kept."""
    test: Scores | None
    validation: Scores | None
    cost: Cost | None
    search: list[SearchPoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """The run as `run.json` holds it: scores under `metrics`, unknown numbers with their reason."""
        out = asdict(self)
        out["metrics"] = {"test": out.pop("test"), "validation": out.pop("validation")}
        if self.cost is not None:
            cost = out["cost"]
            for name, reason in cost.pop("reasons").items():
                cost[f"{name}_reason"] = reason
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunRecord:
        """Reads what `to_json` wrote; raises `KeyError` or `TypeError` on a file of another shape."""
        known = {f.name for f in fields(cls)} - {"test", "validation", "cost", "search"}
        cost = dict(data["cost"]) if data["cost"] is not None else None
        if cost is not None:
            names = [key for key in cost if key.endswith("_reason")]
            cost["reasons"] = {key.removesuffix("_reason"): cost.pop(key) for key in names}
            cost["memory"] = Memory(**cost["memory"]) if cost["memory"] is not None else None
        return cls(
            **{key: value for key, value in data.items() if key in known},
            test=_scores(data["metrics"]["test"]),
            validation=_scores(data["metrics"]["validation"]),
            cost=Cost(**cost) if cost is not None else None,
            search=[SearchPoint(**point) for point in data["search"]],
        )


def _scores(data: dict[str, Any] | None) -> Scores | None:
    if data is None:
        return None
    per_class = {label: ClassScores(**scores) for label, scores in data["per_class"].items()}
    return Scores(**{**data, "per_class": per_class})


@dataclass(frozen=True)
class StepPoint:
    """A line of `history.jsonl`: training loss, averaged since the point before."""

    step: int
    epoch: float
    """Fractional: 1.5 is the middle of the second epoch."""
    loss: float
    learning_rate: float
    """Of the first parameter group."""
    kind: Literal["step"] = "step"


@dataclass(frozen=True)
class EpochPoint:
    """A line of `history.jsonl`: the state at the end of an epoch (training scores are running means)."""

    epoch: int
    """1-based."""
    step: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    validation_macro_f1: float | None
    learning_rate: float
    train_seconds: float
    """Of this epoch's steps."""
    kind: Literal["epoch"] = "epoch"


@dataclass(frozen=True)
class Histogram:
    """Counts between consecutive edges (numpy's convention: the last bin is closed)."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class Box:
    """A Tukey box plot: whiskers end at the last point within 1.5 interquartile ranges."""

    low: float
    q1: float
    median: float
    q3: float
    high: float
    minimum: float
    maximum: float
    mean: float
    outliers: list[float]
    """A sample, for drawing."""
    outlier_count: int


@dataclass(frozen=True)
class Lengths:
    """Distribution of a text's length over all splits."""

    histogram: Histogram
    box: Box


@dataclass(frozen=True)
class TokenLengths:
    """Length in tokens as one model sees the texts, and the share that max_tokens cut, by split."""

    model: str
    max_tokens: int
    lengths: Lengths
    truncated_share: dict[str, float]


@dataclass(frozen=True)
class Dropped:
    """Rows of the source that could not be used."""

    split: str
    reason: str
    count: int


@dataclass(frozen=True)
class SharedText:
    """Texts that two splits share."""

    first: str
    second: str
    exact: int
    """Rows of `second` whose whole text also stands in `first`."""
    first_column: int | None
    """Pairs: rows of `second` whose first text (the premise) stands in `first`; None for single texts."""
    rows: int
    """Rows of `second`."""


@dataclass(frozen=True)
class DataProfile:
    """What the data looks like: shown in the report, and never needed for training."""

    name: str
    fingerprint: str
    """SHA-256 over the used rows and labels of all splits."""
    text_columns: list[str]
    label_column: str
    labels: list[str]
    rows: dict[str, int]
    """By split: train, validation, test."""
    label_counts: dict[str, dict[str, int]]
    """By split, then label."""
    sample: list[dict[str, str]]
    """A few training rows: the text columns and the label."""
    characters: dict[str, Lengths]
    """By text column; for pairs also under "all" (both texts)."""
    tokens: list[TokenLengths]
    dropped: list[Dropped]
    shared: list[SharedText]
    notes: list[str]


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
    statistics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the analysis found, by panel (`verdicts`, `overlap`, ...); on disk each is a key of its own."""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """The study as `results.json` holds it; raises `ValueError` where a panel bears the name of a field."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        statistics = out.pop("statistics")
        if taken := sorted(statistics.keys() & out.keys()):
            raise ValueError(f"results.json has these keys already: {', '.join(taken)}")
        out |= statistics
        out["profile"] = asdict(self.profile)
        out["runs"] = [run.to_json() for run in self.runs]
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StudyResults:
        """Reads what `to_json` wrote; raises `KeyError` or `TypeError` on a file of another shape."""
        known = {f.name for f in fields(cls)} - {"runs", "profile", "statistics"}
        return cls(
            **{key: value for key, value in data.items() if key in known},
            statistics={key: value for key, value in data.items() if key not in {*known, "runs", "profile"}},
            profile=_profile(data["profile"]),
            runs=[RunRecord.from_json(run) for run in data["runs"]],
        )


def _lengths(data: dict[str, Any]) -> Lengths:
    return Lengths(histogram=Histogram(**data["histogram"]), box=Box(**data["box"]))


def _profile(data: dict[str, Any]) -> DataProfile:
    return DataProfile(
        **{
            **data,
            "characters": {name: _lengths(value) for name, value in data["characters"].items()},
            "tokens": [TokenLengths(**{**t, "lengths": _lengths(t["lengths"])}) for t in data["tokens"]],
            "dropped": [Dropped(**d) for d in data["dropped"]],
            "shared": [SharedText(**s) for s in data["shared"]],
        }
    )
