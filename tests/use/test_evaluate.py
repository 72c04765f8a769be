"""Scores on a labelled file, against scikit-learn."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support
from tests.study.small_study import write_pairs
from tests.use.trained import study

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.panels.performance import further_tests
from thriftune.errors import InputError
from thriftune.results.scores import FurtherTest
from thriftune.results.store import Store
from thriftune.use import rows as rows_module
from thriftune.use.classifier import Classifier
from thriftune.use.evaluate import evaluate_file
from thriftune.use.evaluated.study import add_to_study, check_name, further_name, study_of


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


def test_a_further_test_set(tmp_path: Path) -> None:
    """Scores of several runs on one file, of the study's own test texts, and of the file after it changed."""
    store = Store(Path(shutil.copytree(study().store.path, tmp_path / "out")))
    assert isinstance(further_tests.build(store.load()), NotApplicable)

    def added(run: str, path: Path, name: str | None = None) -> FurtherTest:
        classifier, into = Classifier.load(f"{store.path}:{run}"), tmp_path / "rows.parquet"
        assert study_of(classifier.source) is not None
        return add_to_study(classifier.source, evaluate_file(classifier, path, into=into), into, name)

    new = write_pairs(tmp_path / "new.csv", 40)
    assert added("tfidf", new).name == "new"
    assert [each.run for each in added("majority", new).runs] == ["tfidf", "majority"]
    assert [each.run for each in added("tfidf", new).runs] == ["majority", "tfidf"]
    own = tmp_path / "own.csv"
    store.load().test.select("premise", "hypothesis", "label").write_csv(own)
    added("tfidf", own, "same")
    panel = further_tests.build(store.load())
    assert isinstance(panel, Panel)
    first, second = panel.statistics["sets"]
    assert (first["name"], second["name"]) == ("new", "same")
    assert [run["paired"] for run in second["runs"]] == [True]
    assert second["runs"][0]["drop_interval_95"] == [0, 0]
    assert "not shown to differ" in panel.sentences[-1]
    scored = store.evaluated_rows("new", Classifier.load(f"{store.path}:tfidf").source.record.run_id)  # type: ignore[union-attr]
    assert scored.columns[:3] == ["row", "text_premise", "text_hypothesis"]
    assert scored["row"].to_list() == list(range(40))
    write_pairs(new, 30)
    changed = added("tfidf", new)
    assert [(each.run, each.rows) for each in changed.runs] == [("tfidf", 30)]  # the other run saw other rows
    assert len(list(store.evaluations_path.glob("new-*.parquet"))) == 1


def test_names_of_test_sets(tmp_path: Path) -> None:
    taken = [FurtherTest(name="a", file="/x/a.csv", fingerprint="", columns=[], label="", runs=[])]
    found = [further_name(file, taken) for file in ("/x/a.csv", "/y/a.csv", "/y/Ä b!.csv.gz", "-", "/x/...")]
    assert found == ["a", "a-2", "Ä-b", "stdin", "file"]
    check_name("july-2026_b")
    for wrong in ("", "a/b", "../a", ".a", "-a", "a b", "a" * 81):
        with pytest.raises(InputError, match="a name has letters"):
            check_name(wrong)


def test_says_which_rows_were_trained_on(tmp_path: Path, classifier: Classifier) -> None:
    results = study()
    assert results.train is not None
    known, new = results.train.head(3), results.test.head(2)
    trained = set(zip(*(results.train[name].to_list() for name in results.study.profile.text_columns), strict=True))
    path = tmp_path / "mixed.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["premise", "hypothesis", "label"])
        for frame in (known, new):
            writer.writerows(frame[["premise", "hypothesis", "label"]].rows())
    seen = 3 + sum((row["premise"], row["hypothesis"]) in trained for row in new.iter_rows(named=True))
    found = evaluate_file(classifier, path)
    assert found.seen == seen
    assert f"{seen} of the 5 rows stand among the texts that it was trained on" in " ".join(found.sentences())
    unseen = tmp_path / "unseen.csv"
    unseen.write_text("premise,hypothesis,label\nnever written before,not at all,neutral\n")
    found = evaluate_file(classifier, unseen)
    assert found.seen == 0
    assert "trained on" not in " ".join(found.sentences())
