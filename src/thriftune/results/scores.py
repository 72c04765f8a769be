"""How well a run classifies a split."""

from __future__ import annotations

from dataclasses import dataclass, field


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
