"""How well a run classifies a split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


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

    def __post_init__(self) -> None:
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("a confusion matrix is no square of numbers")

    @property
    def texts(self) -> int:
        """How many texts were scored."""
        return sum(sum(row) for row in self.confusion)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One run's scores on such a file."""

    run_id: str
    run: str
    """Its name."""
    rows: int
    """Those that were scored."""
    accuracy: float
    accuracy_interval_95: tuple[float, float]
    macro_f1: float
    not_scored: dict[str, int]
    """Rows that were left out, by reason."""
    seen: int | None = None
    """Rows whose texts are among the study's training texts, word for word; None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class FurtherTest:
    """`evaluations/NAME.json`: a file that runs were scored on after the study.

    Their predictions on it are in `evaluations/NAME-RUN_ID.parquet`.
    """

    name: str
    file: str
    """Its path, or "-" for standard input."""
    fingerprint: str
    """SHA-256 of its bytes."""
    columns: list[str]
    """Its text columns, in the order of those that were trained on."""
    label: str
    """The column of its labels."""
    runs: list[Evaluated]

    def of(self, run_id: str) -> Evaluated | None:
        """One run's scores; None where it was not scored."""
        return next((each for each in self.runs if each.run_id == run_id), None)

    def added_to(self, earlier: FurtherTest | None) -> FurtherTest:
        """With the other runs' scores of an earlier one, where that was of the same bytes and columns."""
        if earlier is None or not self.is_like(earlier):
            return self
        own = {each.run_id for each in self.runs}
        return replace(self, runs=[*(each for each in earlier.runs if each.run_id not in own), *self.runs])

    def is_like(self, other: FurtherTest) -> bool:
        """Whether two are of the same rows."""
        return (self.fingerprint, self.columns, self.label) == (other.fingerprint, other.columns, other.label)


def text_column(name: str) -> str:
    """What a text column is called among the predictions, where it can be no other column's name."""
    return f"text_{name}"
