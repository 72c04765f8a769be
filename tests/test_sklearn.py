"""The estimator: scikit-learn's own checks, its tools, every method, and what is pickled."""

from __future__ import annotations

import copy
import pickle
import pickletools
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data
from tests.tiny_data import pairs
from tests.tiny_models import model_folder, save_tiny

from thriftune.errors import InputError
from thriftune.methods import built_in
from thriftune.methods.lora import Lora
from thriftune.sklearn import TextError, ThriftuneClassifier
from thriftune.sklearn.estimator import METHOD
from thriftune.sklearn.fitting import held_out, label_names

FIRST, SECOND, TRUTH = pairs(90)
PAIRS = list(zip(FIRST, SECOND, strict=True))
MOODS = np.array(["dull", "fine", "open"])[TRUTH]
WORDS: dict[str, Any] = {
    "method": "tfidf",
    "features": "word",
    "ngrams": 1,
    "classifier": "logistic",
    "regularization": 1,
}
TINY = {"max_tokens": 32, "device": "cpu"}
STEPS = {"epochs": 1, "learning_rate": 3e-3, "validation": 0}
SETTINGS: dict[str, dict[str, Any]] = {
    "majority": {},
    "tfidf": {},
    "embeddings": TINY,
    **{name: TINY | STEPS for name in built_in() if name not in ("majority", "tfidf", "embeddings")},
    "peft": TINY | STEPS | {"type": "IA3"},
}


def words(**changes: Any) -> ThriftuneClassifier:
    return ThriftuneClassifier(**WORDS | changes)


def tiny(**changes: Any) -> ThriftuneClassifier:
    return ThriftuneClassifier(**{"model": str(model_folder("bert")), **TINY, **STEPS, **changes})


@cache
def fitted() -> ThriftuneClassifier:
    return tiny().fit(PAIRS, MOODS)


class OfNumbers(ThriftuneClassifier):
    """It takes scikit-learn's own data: a row of numbers becomes a text, a word for each rounded number.

    So scikit-learn's checks, which give numbers, reach fitting, labels, parameters and pickling.
    """

    def fit(self, X: Any, y: Any) -> OfNumbers:
        """Writes the numbers as words and fits these."""
        X = validate_data(self, X)
        names = self.n_features_in_
        super().fit(_written(X), y)
        self.n_features_in_ = names
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Of the same words."""
        if self.__sklearn_is_fitted__():
            X = _written(validate_data(self, X, reset=False))
        return super().predict_proba(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, False, True
        return tags


def _written(X: np.ndarray) -> list[str]:
    return [" ".join(f"n{place}x{round(2 * value)}" for place, value in enumerate(row)) for row in X.tolist()]


EXPECTED = {
    "check_class_weight_classifiers": "class_weight is a setting of embeddings: auto, none or balanced",
}


def expected(estimator: Any) -> dict[str, str]:
    return EXPECTED if isinstance(estimator, OfNumbers) else {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [ThriftuneClassifier(), OfNumbers(**WORDS, validation=0)], expected_failed_checks=expected, xfail_strict=True
)
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    assert check(estimator) is None


def test_parameters_are_the_methods_settings() -> None:
    known = {field.name for method in built_in().values() for field in fields(method)} - {"text"}
    assert set(METHOD) == known
    assert set(METHOD) <= set(ThriftuneClassifier().get_params())


@pytest.mark.parametrize("name", ["majority", "tfidf", *[pytest.param(n, marks=pytest.mark.slow) for n in SETTINGS]])
def test_every_method(name: str, tmp_path: Path) -> None:
    made = ThriftuneClassifier(name, str(model_folder("bert")), **SETTINGS[name])
    assert_one_and_the_same(made.fit(PAIRS, MOODS), tmp_path)


def test_what_is_pickled(tmp_path: Path) -> None:
    assert_one_and_the_same(fitted(), tmp_path)
    words = [str(argument) for _, argument, _ in pickletools.genops(pickle.dumps(fitted())) if argument is not None]
    assert "thriftune.sklearn.estimator" in words
    assert not [word for word in words if word.startswith(("torch", "transformers", "peft"))]
    assert len(pickle.dumps(fitted())) < 100_000  # the adapter and the tokenizer, not the base


def assert_one_and_the_same(made: ThriftuneClassifier, folder: Path) -> None:
    expected = made.predict_proba(PAIRS)
    assert expected.shape == (90, 3)
    assert made.predict(PAIRS).tolist() == made.classes_[expected.argmax(axis=1)].tolist()
    assert made.n_features_in_ == 2
    assert made.cost_ is not None
    joblib.dump(made, folder / "made.joblib")
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), joblib.load(folder / "made.joblib")):
        assert again.model_path_ != made.model_path_
        np.testing.assert_array_equal(again.predict_proba(PAIRS), expected)
    assert not clone(made).__sklearn_is_fitted__()


def test_an_adapters_base_is_found_where_it_was(tmp_path: Path) -> None:
    save_tiny("bert", tmp_path / "deep" / "er" / "base")
    made = tiny(model=str(tmp_path / "deep" / "er" / "base")).fit(FIRST, MOODS)
    expected = made.predict_proba(FIRST)
    state = pickle.dumps(made)
    (tmp_path / "deep" / "er" / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(TextError, match="needs its base model"):
        pickle.loads(state).predict(FIRST)
    (tmp_path / "elsewhere").rename(tmp_path / "deep" / "er" / "base")
    np.testing.assert_array_equal(pickle.loads(state).predict_proba(FIRST), expected)


@pytest.mark.parametrize(
    "labels",
    [
        np.where(TRUTH == 0, -1, 1),
        np.array(TRUTH) == 0,
        np.array(TRUTH, dtype=np.float64),
        np.array(MOODS, dtype=object),
        pd.Series(MOODS, dtype="category"),
        pd.Series(TRUTH, dtype="Int64"),
        pl.Series(MOODS),
        [" ", "", "x"] * 30,
        list(TRUTH),
    ],
    ids=lambda labels: f"{type(labels).__module__}-{getattr(labels, 'dtype', 'list')}",
)
def test_labels_come_back_as_they_were(labels: Any) -> None:
    made = words().fit(FIRST, labels)
    plain = np.asarray(labels)
    assert set(made.predict(FIRST).tolist()) <= set(plain.tolist())
    assert made.classes_.tolist() == sorted(set(plain.tolist()))
    if plain.dtype != object:
        assert made.predict(FIRST).dtype == plain.dtype
    assert 0 <= made.score(FIRST, plain.tolist()) <= 1


def test_texts_of_every_kind() -> None:
    made = words().fit(FIRST, MOODS)
    expected = made.predict_proba(FIRST)
    one_column = (
        np.array(FIRST),
        np.array(FIRST, dtype=object),
        np.array(FIRST).reshape(-1, 1),
        pd.Series(FIRST),
        pl.Series(FIRST),
        pl.Series(FIRST).to_arrow(),
        pd.DataFrame({"said": FIRST}),
        tuple(FIRST),
    )
    for texts in one_column:
        np.testing.assert_array_equal(made.predict_proba(texts), expected)
    for texts in one_column[2:7:4]:
        np.testing.assert_array_equal(words().fit(texts, MOODS).predict_proba(texts), expected)
    frame = pd.DataFrame({"premise": FIRST, "hypothesis": SECOND})
    of_pairs = words().fit(frame, MOODS)
    assert of_pairs.feature_names_in_.tolist() == ["premise", "hypothesis"]
    expected = of_pairs.predict_proba(frame)
    for texts in (PAIRS, np.array(PAIRS), pl.from_pandas(frame), pl.from_pandas(frame).to_arrow()):
        np.testing.assert_array_equal(of_pairs.predict_proba(texts), expected)
    reordered = frame.assign(further=1)[["further", "hypothesis", "premise"]]
    np.testing.assert_array_equal(of_pairs.predict_proba(reordered), expected)
    assert made.predict([]).shape == (0,)


def test_tools_of_scikit_learn() -> None:
    scores = cross_val_score(words(validation=0), np.array(FIRST), MOODS, cv=3)
    assert scores.shape == (3,)
    pipe = make_pipeline(FunctionTransformer(lambda texts: [text.upper() for text in texts]), words())
    assert pipe.fit(FIRST, MOODS).predict(FIRST).shape == (90,)
    grid = GridSearchCV(words(ngrams=None), {"ngrams": [1, 2]}, cv=2, error_score="raise").fit(FIRST, MOODS)
    assert grid.best_params_["ngrams"] in (1, 2)
    assert grid.predict_proba(FIRST).shape == (90, 3)


def test_seeds_and_refits() -> None:
    made = tiny(seed=3)
    first = made.fit(FIRST, MOODS).predict_proba(FIRST)
    np.testing.assert_array_equal(clone(made).fit(FIRST, MOODS).predict_proba(FIRST), first)
    assert not np.array_equal(made.set_params(seed=4).fit(FIRST, MOODS).predict_proba(FIRST), first)
    assert made.embed(FIRST[:3]).shape == (3, 32)
    made.set_params(**WORDS, max_tokens=None, device=None, learning_rate=None, epochs=None)
    assert made.fit(PAIRS, TRUTH).predict(PAIRS).dtype.kind == "i"


@pytest.mark.parametrize(
    ("changes", "texts", "labels", "said"),
    [
        ({"rank": 4}, FIRST, MOODS, "rank: unknown key"),
        ({"method": "lorra"}, FIRST, MOODS, "is not known"),
        ({"validation": 1}, FIRST, MOODS, "share from 0 to below 1"),
        ({"seed": -1}, FIRST, MOODS, "whole number"),
        ({"epochs": 5}, FIRST, MOODS, "has no effect"),
        ({}, "one text", MOODS, "not a list of texts"),
        ({}, [*FIRST[:-1], None], MOODS, "Item 89"),
        ({}, FIRST, MOODS[:-1], "inconsistent"),
        ({}, FIRST, None, "requires y"),
        ({}, FIRST, ["a"] * 90, "one class only"),
        ({}, FIRST, np.linspace(0, 1, 90), "Unknown label type"),
        ({}, [], [], r"0 sample\(s\)"),
        ({}, pd.DataFrame({"a": FIRST, "b": FIRST, "c": FIRST}), MOODS, "3 columns"),
        ({"method": Lora(), "rank": 3}, FIRST, MOODS, "set them there"),
        ({"method": "embeddings", "validation": 0}, FIRST, MOODS, "features: unknown key"),
    ],
)
def test_what_cannot_be_used(changes: Any, texts: Any, labels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        words(**changes).fit(texts, labels)
    assert issubclass(TextError, InputError)


def test_a_search_needs_validation() -> None:
    with pytest.raises(InputError, match=r"Give validation=0.1"):
        tiny(epochs=None).fit(FIRST, MOODS)


def test_rows_held_out() -> None:
    labels = np.array([0] * 50 + [1] * 30 + [2] * 19 + [3])
    held = held_out(labels, 0.2, seed=0)
    assert len(held) == 20
    assert np.bincount(labels[held], minlength=4).tolist() in (
        [10, 6, 4, 0],
        [10, 7, 3, 0],
        [11, 6, 3, 0],
        [10, 6, 3, 0],
    )
    assert held_out(labels, 0.0, 0).size == 0
    assert held_out(np.array([0, 1]), 0.5, 0).size == 0  # a text of each class stays


def test_names_of_labels() -> None:
    assert label_names([1, "a b", True]) == ("1", "a b", "True")
    assert label_names(["", "x"]) == label_names(["1", 1]) == ("class 0", "class 1")
