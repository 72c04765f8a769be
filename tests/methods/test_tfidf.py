import json
from pathlib import Path

import numpy as np
import pytest
from tests.tiny_data import pairs

from thriftune.methods.base import Labelled
from thriftune.methods.linear import choice as tfidf_choice
from thriftune.methods.linear import trials
from thriftune.methods.linear.choice import GRID
from thriftune.methods.linear.classifier import Kind, Linear
from thriftune.methods.linear.features import features_of
from thriftune.methods.linear.ngrams import choose
from thriftune.methods.tfidf import FittedTfidf, Tfidf, load

GOOD, BAD = ["喜欢", "满意", "优秀", "高兴"], ["讨厌", "失望", "糟糕", "生气"]


def fitted(method: Tfidf, texts: list[str], labels: np.ndarray, held_out: Labelled | None = None) -> FittedTfidf:
    found = method.fit(Labelled([texts], labels), 2, 0, held_out)
    assert isinstance(found, FittedTfidf)
    return found


def unspaced(rows: int, seed: int, around: str = "今天电影手机他们我们觉得昨天非常") -> tuple[list[str], np.ndarray]:
    """Texts without blanks whose label is one word among others."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    fill = ["".join(rng.choice(list(around), 8)) for _ in range(rows)]
    words = [str(rng.choice(GOOD if label else BAD)) for label in labels]
    return [
        f"{text[:k]}{word}{text[k:]}" for text, word, k in zip(fill, words, rng.integers(0, 8, rows), strict=True)
    ], labels


def test_texts_without_blanks_are_told_apart_by_characters() -> None:
    train, labels = unspaced(200, 0)
    test, truth = unspaced(100, 1)
    found = fitted(Tfidf(), train, labels)
    assert "character n-grams up to 3 (100% of the letters are of scripts without blanks" in found.notes[0]
    assert (found.predict([test]).argmax(axis=1) == truth).mean() > 0.9
    words = fitted(Tfidf(features="word"), train, labels)
    assert (words.predict([test]).argmax(axis=1) == truth).mean() < 0.7


@pytest.mark.parametrize(
    ("texts", "features"),
    [
        (["a good film", "was für ein Donaudampfschifffahrtskapitän"], "word"),
        (["좋은 영화였다 다시 보고 싶다", "별로였다"], "word"),
        (["فيلم جميل جدا", "هذا سيئ"], "word"),
        (["ภาพยนตร์เรื่องนี้ดีมาก", "ไม่ชอบเลย"], "character"),
        (["この映画は最高でした", "二度と見たくない"], "character"),
        (["ACGTACGTTAGCCGATAGGCTAACG", "TTGACCAGTTACGGATCCAGGATTA"], "character"),
        (["😀😀", "😡!!"], "character"),
        (["!!!", "ok"] * 1 + ["..."] * 3, "character"),
        (["", " "], "character"),
    ],
)
def test_features_follow_the_texts(texts: list[str], features: str) -> None:
    assert choose(texts)[0] == features


@pytest.mark.parametrize("features", ["auto", "word", "character", "both"])
def test_texts_without_words_do_not_fail(features: str) -> None:
    train, labels = ["😀😀", "😡", "😀!", "😡😡 ?"] * 10, np.array([1, 0, 1, 0] * 10)
    found = fitted(Tfidf(features=features), train, labels)  # type: ignore[arg-type]
    assert found.predict([["😀", "😡", "words"]]).argmax(axis=1)[:2].tolist() == [1, 0]


def test_blank_texts_get_the_label_shares(tmp_path: Path) -> None:
    found = fitted(Tfidf(), ["", " ", ""], np.array([1, 1, 0]))
    np.testing.assert_allclose(found.predict([["a", ""]]), [[1 / 3, 2 / 3]] * 2)
    assert found.trained_parameters == 0
    assert "No training text has a word" in found.notes[0]
    assert found.save(tmp_path) > 0


def test_a_pair_may_have_one_column_without_features() -> None:
    labels = np.array([0, 1] * 10)
    found = Tfidf().fit(Labelled([["bad", "good"] * 10, ["", ""] * 10], labels), 2, 0)
    assert found.predict([["good", "bad"], ["", "?"]]).argmax(axis=1).tolist() == [1, 0]


@pytest.mark.parametrize(("classifier", "grid"), list(GRID.items()))
def test_the_strength_is_chosen_on_validation(classifier: Kind, grid: tuple[float, ...], tmp_path: Path) -> None:
    _, texts, labels = pairs(150, seed=3)
    _, held_out, truth = pairs(100, seed=4)
    train, validation = Labelled([texts], labels), Labelled([held_out], truth)
    fixed = {"ngrams": 2, "features": "word", "classifier": classifier}
    found = Tfidf(**fixed).fit(train, 3, 0, validation)
    assert isinstance(found, FittedTfidf)
    assert found.linear is not None
    alone = {}
    for strength in grid:
        each = Tfidf(**fixed, regularization=strength).fit(train, 3, 0, validation)
        alone[strength] = each.predict([held_out])
        assert not any("chosen" in note for note in each.notes)
    right = {strength: alone[strength].argmax(axis=1) == truth for strength in grid}
    top = max(right.values(), key=np.mean)
    chosen = right[found.linear.strength]
    assert (top & ~chosen).sum() - (chosen & ~top).sum() <= np.sqrt((top != chosen).sum())
    np.testing.assert_array_equal(found.predict([held_out]), alone[found.linear.strength])
    assert f"C {found.linear.strength:g} was chosen by validation accuracy" in found.notes[1]
    found.save(tmp_path)
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["ngrams"] == [{"column": 0, "analyzer": "word", "shortest": 1, "longest": 2}]
    assert settings["classifier"] == classifier
    assert settings["regularization"] == found.linear.strength
    assert settings["scale"] == found.linear.scale


def test_without_validation_it_says_that_nothing_was_chosen() -> None:
    _, train, labels = pairs(60)
    notes = Tfidf().fit(Labelled([train], labels), 3, 0).notes
    assert "word n-grams up to 2 and character n-grams of 2 to 4 within words" in notes[0]
    assert "linear SVM with C 1 were not chosen" in notes[1]
    assert "thirds of the training texts" in notes[2]
    given = Tfidf(features="word", ngrams=1, classifier="logistic", regularization=1.0)
    assert len(given.fit(Labelled([train], labels), 3, 0).notes) == 1


def test_the_longest_ngram_is_chosen_too() -> None:
    """Where the order of two words gives the label, single words do not tell."""
    texts = ["big cat", "cat big", "red hat", "hat red"] * 20
    labels = np.array([0, 1, 0, 1] * 20)
    fitted_both = Tfidf().fit(Labelled([texts], labels), 2, 0, Labelled([texts[:20]], labels[:20]))
    assert "up to 2" in fitted_both.notes[0]
    given = Tfidf(regularization=1.0).fit(Labelled([texts], labels), 2, 0, Labelled([texts[:20]], labels[:20]))
    assert "up to 2" in given.notes[0]
    assert "with C 1 was chosen" in given.notes[2]


def misspelled(rows: int, seed: int) -> Labelled:
    """Texts whose label is in the first letters of a word that is never the same."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    ends = ["".join(rng.choice(list("abcdefghijklm"), 6)) for _ in range(rows)]
    return Labelled(
        [[f"this is {'pay' if label else 'tax'}{end}" for label, end in zip(labels, ends, strict=True)]], labels
    )


def test_validation_chooses_characters_where_words_do_not_tell() -> None:
    found = Tfidf().fit(misspelled(200, 0), 2, 0, misspelled(100, 1))
    assert "character n-grams of 2 to 4 within words" in found.notes[0]
    assert (
        "The n-grams were chosen by validation accuracy of a linear SVM with C 1 (word n-grams up to 1"
        in found.notes[1]
    )
    test = misspelled(100, 2)
    assert (found.predict(test.texts).argmax(axis=1) == test.labels).all()


@pytest.mark.parametrize(
    ("features", "blocks"), [("word", ["word"]), ("character", ["char_wb"]), ("both", ["word", "char_wb"])]
)
def test_the_study_file_may_say_which_ngrams(features: str, blocks: list[str]) -> None:
    found = Tfidf(features=features).fit(misspelled(100, 0), 2, 0, misspelled(50, 1))  # type: ignore[arg-type]
    assert isinstance(found, FittedTfidf)
    assert [ngrams.analyzer for _, ngrams in found.blocks] == blocks
    assert "as the study file says" in found.notes[0]


def test_each_column_of_a_pair_has_its_own_ngrams() -> None:
    texts, labels = unspaced(120, 0)
    words = ["good film" if label else "bad film" for label in labels]
    found = Tfidf().fit(Labelled([words, texts], labels), 2, 0, Labelled([words[:40], texts[:40]], labels[:40]))
    assert isinstance(found, FittedTfidf)
    kinds = {position: {n.analyzer for at, n in found.blocks if at == position} for position in (0, 1)}
    assert kinds[1] == {"char"}
    assert "char" not in kinds[0]


def noisy(rows: int, classes: int, seed: int) -> Labelled:
    """Texts with a word of their class, or of another one in three of ten."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    said = np.where(rng.random(rows) < 0.3, rng.integers(0, classes, rows), labels)
    return Labelled([[f"class{word} {rng.choice(['and', 'or', 'but'])} more" for word in said]], labels)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("validated", [True, False])
def test_probabilities_of_an_svm_are_calibrated_and_rank_as_its_margins(classes: int, validated: bool) -> None:
    train, test = noisy(600, classes, 0), noisy(2000, classes, 2)
    found = Tfidf(classifier="svm").fit(train, classes, 0, noisy(300, classes, 1) if validated else None)
    assert isinstance(found, FittedTfidf)
    assert found.linear is not None
    probabilities = found.predict(test.texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    margins = found.linear.scores(features_of(found.blocks, found.vectorizers, test.texts))
    assert margins.shape == probabilities.shape
    assert (np.take_along_axis(probabilities, margins.argsort(axis=1), axis=1) >= 0).all()
    assert (np.diff(np.take_along_axis(probabilities, margins.argsort(axis=1), axis=1), axis=1) >= 0).all()
    accuracy = (probabilities.argmax(axis=1) == test.labels).mean()
    assert abs(probabilities.max(axis=1).mean() - accuracy) < 0.06
    assert "softmax of" in found.notes[-1]


@pytest.mark.parametrize("classifier", ["logistic", "svm"])
@pytest.mark.parametrize("classes", [2, 4])
def test_classifiers_are_scikit_learns(classifier: str, classes: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    train = noisy(200, classes, 0)
    method = Tfidf(classifier=classifier, features="word", ngrams=1, regularization=1.0)  # type: ignore[arg-type]
    found = method.fit(train, classes, 3)
    assert isinstance(found, FittedTfidf)
    assert found.linear is not None
    features = found.vectorizers[0].transform(train.texts[0])
    if classifier == "logistic":
        theirs = LogisticRegression(C=1.0, max_iter=300).fit(features, train.labels)
        np.testing.assert_allclose(found.predict(train.texts), theirs.predict_proba(features), atol=1e-6)
    else:
        svm = LinearSVC(C=1.0, random_state=3).fit(features, train.labels).decision_function(features)
        ours = found.linear.scores(features)
        np.testing.assert_allclose(ours[:, 1] - ours[:, 0] if classes == 2 else ours, svm, atol=1e-6)


@pytest.mark.parametrize("method", [Tfidf(classifier="svm"), Tfidf(classifier="logistic"), Tfidf(features="both")])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_reloaded_model_predicts_the_same(method: Tfidf, classes: int, tmp_path: Path) -> None:
    first, second, labels = pairs(120)
    train = Labelled([first, [*second[:119], "😀 ſtrange"]], labels % classes)
    found = method.fit(train, classes, 0, train)
    size = found.save(tmp_path)
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())
    texts = [[*first, "", "never seen"], [*second, "words", ""]]
    np.testing.assert_array_equal(load(tmp_path).predict(texts), found.predict(texts))
    assert load(tmp_path).trained_parameters == found.trained_parameters


def test_a_model_without_ngrams_reloads_too(tmp_path: Path) -> None:
    found = fitted(Tfidf(), ["", " ", ""], np.array([1, 1, 0]))
    found.save(tmp_path)
    np.testing.assert_array_equal(load(tmp_path).predict([["a"]]), found.predict([["a"]]))


@pytest.mark.parametrize("classifier", ["auto", "logistic", "svm"])
def test_classes_may_be_missing_or_rare(classifier: str) -> None:
    """Class 1 is in validation alone, class 4 has one text, class 5 none at all."""
    texts = ["red hat"] * 6 + ["big cat"] * 6 + ["old dog"] * 6 + ["one bird"]
    labels = np.array([0] * 6 + [2] * 6 + [3] * 6 + [4])
    held_out = Labelled([["red hat", "a fish", "big cat", "old dog"]], np.array([0, 1, 2, 3]))
    for validation in (held_out, None):
        found = Tfidf(classifier=classifier).fit(Labelled([texts], labels), 6, 0, validation)  # type: ignore[arg-type]
        probabilities = found.predict([["red hat", "old dog", "one bird", "nothing"]])
        assert probabilities.shape == (4, 6)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        assert (probabilities[:, [1, 5]] == 0).all()
        assert probabilities.argmax(axis=1)[:3].tolist() == [0, 3, 4]


def test_two_texts_are_enough_and_one_label_is_not() -> None:
    found = fitted(Tfidf(), ["good", "bad"], np.array([1, 0]))
    assert found.predict([["good", "bad"]]).argmax(axis=1).tolist() == [1, 0]
    same = fitted(Tfidf(), ["good", "bad"], np.array([1, 1]), Labelled([["good"]], np.array([0])))
    np.testing.assert_array_equal(same.predict([["good"]]), [[0, 1]])
    assert "one label" in same.notes[0]


def test_a_search_on_many_texts_draws_some_and_trains_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "TRAINED_WORK", 30_000)
    monkeypatch.setattr(trials, "SCORED_TEXTS", 50)
    monkeypatch.setattr(tfidf_choice, "LOGISTIC_WORK", 10)
    train, held_out = noisy(600, 3, 0), noisy(200, 3, 1)
    found = Tfidf().fit(train, 3, 0, held_out)
    notes = " ".join(found.notes)
    assert "each trained on" in notes
    assert "Logistic regression was not tried" in notes
    again = Tfidf().fit(train, 3, 0, held_out)
    np.testing.assert_array_equal(again.predict(held_out.texts), found.predict(held_out.texts))
    assert again.notes == found.notes


def test_long_texts_are_not_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    train, held_out = noisy(100, 3, 0), noisy(50, 3, 1)
    monkeypatch.setattr(tfidf_choice, "SPELLED_CHARACTERS", 100)
    found = Tfidf().fit(train, 3, 0, held_out)
    assert "Character n-grams were not tried: the texts have" in found.notes[1]
    assert isinstance(found, FittedTfidf)
    assert {ngrams.analyzer for _, ngrams in found.blocks} == {"word"}
    monkeypatch.setattr(tfidf_choice, "PAIRED_CHARACTERS", 100)
    assert "Character n-grams, nor words in pairs, were not tried" not in found.notes[1]
    assert "word n-grams up to 1" in Tfidf().fit(train, 3, 0, held_out).notes[0]


def trial(right: list[int], loss: float) -> trials.Trial:
    nothing = Linear("svm", 1.0, np.zeros((1, 1)), np.zeros(1), np.arange(2))
    return trials.Trial(nothing, np.array(right, dtype=bool), loss)


def test_noise_is_no_reason_to_choose() -> None:
    good = trial([1] * 90 + [0] * 10, 0.5)
    assert trials.best([trial([1] * 80 + [0] * 20, 0.1), good]) == 1, "ten texts more, none less: no noise"
    assert trials.best([trial([0] + [1] * 89 + [0] * 10, 0.1), good]) == 0, "one text"
    assert trials.best([good, good]) == 0, "of equals the first"
