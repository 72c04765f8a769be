"""The record types of a study's results, `schema_version` 1 (field list: docs/results-format.md).

Numbers are numbers and units are in the name. An unknown number is `None`, and `reasons` says why;
on disk it becomes `NAME: null` beside `NAME_reason: "..."`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

from thriftune.results.search import Searched
from thriftune.results.training import Training

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
    """Mean F1 of the classes that occur or are predicted, as scikit-learn's `f1_score(average="macro")`."""
    loss: float | None
    """Mean cross-entropy in nats; None where a method gives no probabilities."""
    per_class: dict[str, ClassScores]
    confusion: list[list[int]]
    """Counts, rows = true label, columns = predicted label, both in label order."""
    absent: list[str] = field(default_factory=list)
    """Labels that neither occur nor are predicted: no part of macro F1."""

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
class StepSeconds:
    """Seconds of one training step on a typical batch, by what they are for; the parts add up to the step."""

    data: float
    """Making the batch."""
    forward: float
    backward: float
    optimizer: float
    """Clipping and updating."""


@dataclass(frozen=True)
class PassSeconds:
    """The same step's forward and backward, by how far gradients go; the parts add up to the two."""

    head: float
    """Without the method: forward through every layer that runs, backward through the head alone."""
    reach: float
    """What backward down to the lowest trained layer adds, still without the method's own work."""
    own: float
    """The rest, the method's own: the adapters' products, the gradients of the trained weights."""


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
    """Why a number is None, by its field name."""
    step_seconds: StepSeconds | None = None
    pass_seconds: PassSeconds | None = None
    layers: int | None = None
    """Encoder layers of the model."""
    gradient_layers: int | None = None
    """Encoder layers that gradients go through: those from the lowest trained one up."""
    pretrained_bytes: int | None = None
    """Weight files of the pretrained model that the run started from."""
    adapter: bool | None = None
    """Whether model/ holds an adapter, which needs the pretrained model beside it."""
    train_cpu_seconds: float | None = None
    """What the run's threads used of the processors during train_seconds, summed over them."""
    train_waited_seconds: float | None = None
    """What they were ready to run in that time and did not, because others ran."""
    load_at_start: float | None = None
    """The machine's load average over the minute before the run began."""


@dataclass(frozen=True)
class AxisPoint:
    """What one method is predicted to cost at one place of an axis (tokens per batch, depth, model size)."""

    axis: str
    method: str
    x: float
    """Padded tokens per batch, layers with gradients, or parameters of the model."""
    label: str
    """The place, for people."""
    peak_memory_bytes: int
    flops_per_sample: float
    """Of training; the frozen layers' single pass spread over the epochs."""
    seconds_per_sample: float | None = None
    """The same; None where this machine was not probed for a model of that width."""


@dataclass(frozen=True)
class Crossovers:
    """What `thriftune crossovers` estimated, as `crossovers.json` holds it."""

    setting: str
    """What does not vary along an axis, in a sentence."""
    points: dict[str, list[AxisPoint]]
    """By axis."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Crossovers:
        """Reads `crossovers.json`; raises `KeyError` or `TypeError` on a file of another shape."""
        axes = {axis: [AxisPoint(**point) for point in found["points"]] for axis, found in data["axes"].items()}
        return cls(data["setting"], axes)


@dataclass(frozen=True)
class Prediction:
    """What a run was predicted to cost before it began, from its model's configuration."""

    peak_memory_bytes: int
    memory: Memory
    trained_parameters: int
    head_parameters: int
    total_parameters: int
    stored_bytes: int
    delta_bytes: int
    flops_per_sample: float
    """Of training, on an ordinary batch; the frozen layers' single pass counts apart."""
    prefix_flops_per_sample: float
    train_seconds: float | None
    prefix_seconds: float | None
    samples_per_second: float | None
    """Training samples over train_seconds + prefix_seconds."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a number is None, by its field name."""
    train_samples: float | None = None
    """Training texts, of all learning rates that are tried, that train_seconds is predicted for; with epochs auto a
    guess. None without data, and in results of earlier versions."""

    def to_json(self) -> dict[str, Any]:
        """The prediction as `run.json` holds it under `predicted`."""
        return _with_reasons(asdict(self))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Prediction:
        """Reads what `to_json` wrote."""
        values = _without_reasons(data)
        return cls(**{**values, "memory": Memory(**values["memory"])})


@dataclass(frozen=True)
class Forecast:
    """What one cell of a study would cost, and whether it fits into some memory."""

    name: str
    model: str
    method: dict[str, Any]
    batch_size: int
    device: str
    predicted: Prediction
    memory_limit_bytes: int | None
    fits: bool | None
    """None where no limit is given."""
    largest_batch_size: int | None
    guessed_epochs: float | None = None
    """Epochs that the time is predicted for where validation decides when training ends; None where it does not."""

    def to_json(self) -> dict[str, Any]:
        """One element of `cells` in what `thriftune estimate --json` prints."""
        return {**self.__dict__, "predicted": self.predicted.to_json()}


@dataclass(frozen=True)
class SearchPoint:
    """One candidate of a learning-rate search."""

    learning_rate: float
    validation_accuracy: float
    validation_loss: float
    train_seconds: float
    steps: int | None = None
    """Optimiser steps that it was tried with; None in results of earlier versions."""


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
            out["cost"] = _with_reasons(out["cost"])
        if self.predicted is not None:
            out["predicted"] = self.predicted.to_json()
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunRecord:
        """Reads what `to_json` wrote; raises `KeyError` or `TypeError` on a file of another shape."""
        known = {f.name for f in fields(cls)} - {
            *("test", "validation", "robustness", "cost", "predicted", "search", "training", "baseline", "searched")
        }
        cost = _without_reasons(data["cost"]) if data["cost"] is not None else None
        predicted = data.get("predicted")
        if cost is not None:
            for name, part in {"memory": Memory, "step_seconds": StepSeconds, "pass_seconds": PassSeconds}.items():
                cost[name] = part(**cost[name]) if cost.get(name) is not None else None
        return cls(
            **{key: value for key, value in data.items() if key in known},
            test=_scores(data["metrics"]["test"]),
            validation=_scores(data["metrics"]["validation"]),
            robustness={name: _full_scores(scores) for name, scores in data["metrics"].get("robustness", {}).items()},
            cost=Cost(**cost) if cost is not None else None,
            predicted=Prediction.from_json(predicted) if predicted is not None else None,
            search=[SearchPoint(**point) for point in data["search"]],
            training=Training(**data["training"]) if data.get("training") is not None else None,
            baseline=data.get("baseline", data["model"] is None),
            searched=Searched(**data["searched"]) if data.get("searched") is not None else None,
        )


def check_types(record: Any) -> None:
    """Raises `ValueError` where a field of a record, or of a record in it, does not have the type that it declares."""
    from pydantic import TypeAdapter

    adapter = _adapters.get(type(record))
    if adapter is None:
        adapter = _adapters[type(record)] = TypeAdapter(type(record))
    adapter.validate_json(json.dumps(_checkable(record)), strict=True)  # JSON mode takes mappings for records


_adapters: dict[type, Any] = {}


def _checkable(value: Any) -> Any:
    """A record as plain values; a confusion matrix, which is large, is looked at here and left out."""
    if isinstance(value, Scores):
        rows = value.confusion
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(rows) for row in rows):
            raise ValueError("a confusion matrix is no square of numbers")
        if not all(set(map(type, row)) <= {int} for row in rows):
            raise ValueError("a confusion matrix holds something else than whole numbers")
        return {**vars(value), "confusion": [], "per_class": _checkable(value.per_class)}
    if is_dataclass(value):
        return {f.name: _checkable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {key: _checkable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_checkable(item) for item in value]
    return value


def _scores_json(scores: Scores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    return {**vars(scores), "per_class": {label: dict(vars(each)) for label, each in scores.per_class.items()}}


def _with_reasons(values: dict[str, Any]) -> dict[str, Any]:
    """Each reason beside the number that is not known."""
    return {**values, **{f"{name}_reason": reason for name, reason in values.pop("reasons").items()}}


def _without_reasons(values: dict[str, Any]) -> dict[str, Any]:
    """The reverse of `_with_reasons`."""
    names = [key for key in values if key.endswith("_reason")]
    kept = {key: value for key, value in values.items() if key not in names}
    return {**kept, "reasons": {key.removesuffix("_reason"): values[key] for key in names}}


def _scores(data: dict[str, Any] | None) -> Scores | None:
    return None if data is None else _full_scores(data)


def _full_scores(data: dict[str, Any]) -> Scores:
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
    """A line of `history.jsonl`: a look at validation, at the end of an epoch or within one.

    Training scores are means over the steps since the look before.
    """

    epoch: int | float
    """Epochs done: 1 after the first, 1.5 in the middle of the second."""
    step: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    validation_macro_f1: float | None
    learning_rate: float
    train_seconds: float
    """Of the steps since the look before."""
    changed: float | None = None
    """Share of the validation texts that changed their answer since about an epoch before; None at the first look."""
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
class DataWarning:
    """Something in the data that makes scores say less than they seem to, and what to do about it."""

    kind: Literal[
        "label_variants",
        "missing_label",
        "few_rows",
        "absent_label",
        "dominant_label",
        "numeric_labels",
        "shared_texts",
        "repeated_texts",
        "conflicting_labels",
        "truncation",
    ]
    message: str
    """What was found, in a sentence."""
    remedy: str
    """What to do, in a sentence; settings are written as in the study file."""

    @property
    def text(self) -> str:
        """Both sentences."""
        return f"{self.message} {self.remedy}"


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
    warnings: list[DataWarning] = field(default_factory=list)


@dataclass(frozen=True)
class RobustnessProfile:
    """One further test set."""

    source: str
    """As the study file names it."""
    rows: int
    label_counts: dict[str, int]
    dropped: list[Dropped]
    notes: list[str]
    fingerprint: str
    """SHA-256 over its name, used rows and labels."""


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
        """Reads what `to_json` wrote; raises `KeyError` or `TypeError` on a file of another shape."""
        known = {f.name for f in fields(cls)} - {"runs", "profile", "robustness", "statistics"}
        return cls(
            **{key: value for key, value in data.items() if key in known},
            statistics={
                key: value for key, value in data.items() if key not in {*known, "runs", "profile", "robustness"}
            },
            profile=_profile(data["profile"]),
            runs=[RunRecord.from_json(run) for run in data["runs"]],
            robustness={name: _robustness(profile) for name, profile in data.get("robustness", {}).items()},
        )


def _robustness(data: dict[str, Any]) -> RobustnessProfile:
    return RobustnessProfile(**{**data, "dropped": [Dropped(**d) for d in data["dropped"]]})


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
            "warnings": [DataWarning(**w) for w in data.get("warnings", [])],
        }
    )
