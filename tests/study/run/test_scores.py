import numpy as np
import pytest
from sklearn.metrics import f1_score

from thriftune.results.scores import Scores
from thriftune.study.run.scores import score


def scored(labels: list[int], predicted: list[int], classes: int = 4) -> Scores:
    return score(np.array(labels), np.eye(classes)[predicted], tuple("abcdefgh"[:classes]))


@pytest.mark.parametrize(
    ("labels", "predicted", "absent"),
    [
        ([0, 1, 0, 1], [0, 1, 1, 1], ["c", "d"]),
        ([0, 1, 0, 1], [0, 1, 3, 1], ["c"]),
        ([0, 1, 2, 3], [0, 1, 2, 0], []),
    ],
)
def test_macro_f1_is_over_classes_that_occur_or_are_predicted(
    labels: list[int], predicted: list[int], absent: list[str]
) -> None:
    found = scored(labels, predicted)
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    assert found.absent == absent
    assert list(found.per_class) == list("abcd")


def test_perfect_predictions_score_one_though_a_class_is_absent() -> None:
    assert scored([0, 1, 1], [0, 1, 1]).macro_f1 == 1
