"""Scores on a labelled file, against scikit-learn."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support
from tests.study.small_study import write_pairs
from tests.use.trained import study

from thriftune.errors import InputError
from thriftune.use import rows as rows_module
from thriftune.use.classifier import Classifier
from thriftune.use.evaluate import evaluate_file


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(f"{study().store.path}:tfidf")


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "WINDOW", 7)


def test_scores(tmp_path: Path, classifier: Classifier) -> None:
    path = write_pairs(tmp_path / "pairs.csv", 80)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("a") as file:
        file.write('0,a,b,no label of it\n0,,b,neutral\n0,a,b,\n0,a"b",c\n')
    found = evaluate_file(classifier, path)
    predicted = classifier.predict([(row["premise"], row["hypothesis"]) for row in rows])
    truth, labels = [row["label"] for row in rows], list(classifier.labels)
    assert found.rows == 80
    assert found.accuracy == pytest.approx(sum(a == b for a, b in zip(truth, predicted, strict=True)) / 80)
    assert found.accuracy_interval_95[0] < found.accuracy < found.accuracy_interval_95[1]
    assert found.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    scores = precision_recall_fscore_support(truth, predicted, labels=labels)
    for index, each in enumerate(found.classes):
        assert [each.precision, each.recall, each.f1, each.rows] == pytest.approx([part[index] for part in scores])
    assert found.not_scored == {
        'with the label "no label of it", which it does not know': 1,
        'no text in "premise"': 1,
        "without a label": 1,
        "malformed": 1,
    }
    text = " ".join(found.sentences())
    assert "80 rows" in text
    assert "study's own test texts" in text
    assert len(found.table()) == 3


def test_other_columns_and_label_names(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"one": "a b", "two": "c", "gold": " Neutral "}\n')
    found = evaluate_file(classifier, path, text=("one", "two"), label="gold")
    assert found.rows == 1
    with pytest.raises(InputError, match='column "label"'):
        evaluate_file(classifier, path, text=("one", "two"))
    with pytest.raises(InputError, match=r'No row .* can be scored .1 with the label "a b"'):
        evaluate_file(classifier, path, text=("one", "two"), label="one")
