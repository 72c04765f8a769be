import json
from pathlib import Path

import numpy as np
import pytest
from tests.tiny_data import pairs

from thriftune.methods.base import Labelled
from thriftune.methods.ngrams import choose
from thriftune.methods.tfidf import GRID, FittedTfidf, Tfidf

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


@pytest.mark.parametrize("features", ["auto", "word", "character"])
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


def test_the_strength_is_chosen_on_validation(tmp_path: Path) -> None:
    _, train, labels = pairs(150, seed=3)
    _, held_out, truth = pairs(100, seed=4)
    method = Tfidf(ngrams=2)
    found = method.fit(Labelled([train], labels), 3, 0, Labelled([held_out], truth))
    assert isinstance(found, FittedTfidf)
    alone = {}
    for strength in GRID:
        each = Tfidf(regularization=strength, ngrams=2).fit(
            Labelled([train], labels), 3, 0, Labelled([held_out], truth)
        )
        alone[strength] = (each.predict([held_out]).argmax(axis=1) == truth).mean()
        assert each.notes == found.notes[:1]
    assert alone[found.strength] == max(alone.values())
    assert f"C {found.strength:g} and the n-grams were chosen by validation accuracy" in found.notes[1]
    found.save(tmp_path)
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings == {"columns": [{"features": "word", "ngrams": 2}], "regularization": found.strength}
    np.testing.assert_array_equal(
        found.predict([held_out]),
        Tfidf(regularization=found.strength, ngrams=2).fit(Labelled([train], labels), 3, 0).predict([held_out]),
    )


def test_without_validation_it_says_that_nothing_was_chosen() -> None:
    _, train, labels = pairs(60)
    assert "not chosen" in Tfidf().fit(Labelled([train], labels), 3, 0).notes[1]


def test_the_longest_ngram_is_chosen_too() -> None:
    """Where the order of two words gives the label, single words do not tell."""
    texts = ["big cat", "cat big", "red hat", "hat red"] * 20
    labels = np.array([0, 1, 0, 1] * 20)
    fitted_both = Tfidf().fit(Labelled([texts], labels), 2, 0, Labelled([texts[:20]], labels[:20]))
    assert "up to 2" in fitted_both.notes[0]
    given = Tfidf(regularization=1.0).fit(Labelled([texts], labels), 2, 0, Labelled([texts[:20]], labels[:20]))
    assert "up to 2" in given.notes[0]
    assert "C 1 and the n-grams were chosen" in given.notes[1]
