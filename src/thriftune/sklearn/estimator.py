"""Every method of Thriftune as an estimator of scikit-learn, for lists of texts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from thriftune.data.readers.in_memory import listed
from thriftune.errors import InputError
from thriftune.methods.base import Method

if TYPE_CHECKING:
    from typing import Self

    from sklearn.utils import Tags

    from thriftune.results.cost import Cost
    from thriftune.sklearn.fitting import Texts
    from thriftune.use.classifier import Classifier

METHOD = (
    "learning_rate",
    "head_learning_rate",
    "head_start",
    "rank",
    "alpha",
    "dropout",
    "targets",
    "layers",
    "type",
    "config",
    "features",
    "ngrams",
    "classifier",
    "regularization",
    "class_weight",
    "pooling",
    "normalize",
)
"""Parameters that are a method's settings."""
PROTOCOL = ("epochs", "batch_size", "max_tokens", "precision", "device", "select")
"""Parameters that are keys of the protocol."""


class _Saved:
    """The folder of a saved model, which goes with this object, and the classifier in it once that was needed."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="thriftune-classifier-")
        self.classifier: Classifier | None = None

    @property
    def model(self) -> Path:
        return Path(self.folder.name) / "model"


class TextError(InputError, ValueError):
    """What was given cannot be used; a `ValueError` too, as scikit-learn has it."""


class ThriftuneClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A text classifier: any of Thriftune's methods, fine-tuned or not, fitted to texts and their labels.

    `X` is a list, array or Series of texts; for pairs a list of 2-tuples, or an array or table with two columns. `y`
    holds labels of any kind, which `predict` returns as they were. A parameter that is None is what `thriftune init`
    would propose for the texts; one that does not belong to the method is an error.
    """

    def __init__(
        self,
        method: str | Method = "lora",
        model: str = "demo:minilm",
        *,
        learning_rate: float | Literal["auto"] | list[float] | None = None,
        head_learning_rate: float | None = None,
        head_start: Literal["random", "solved"] | None = None,
        rank: int | None = None,
        alpha: float | None = None,
        dropout: float | None = None,
        targets: list[str] | None = None,
        layers: int | str | None = None,
        type: str | None = None,
        config: Mapping[str, Any] | None = None,
        features: str | None = None,
        ngrams: int | None = None,
        classifier: str | None = None,
        regularization: float | Literal["auto"] | None = None,
        class_weight: str | None = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        epochs: int | Literal["auto"] | None = None,
        batch_size: int | None = None,
        max_tokens: int | None = None,
        precision: Literal["fp32", "tf32", "bf16", "auto"] | None = None,
        device: Literal["auto", "cpu", "cuda"] | None = None,
        select: Literal["loss", "accuracy", "macro_f1"] | None = None,
        protocol: Mapping[str, Any] | None = None,
        validation: float = 0.1,
        seed: int = 0,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.model = model
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.head_start = head_start
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = targets
        self.layers = layers
        self.type = type
        self.config = config
        self.features = features
        self.ngrams = ngrams
        self.classifier = classifier
        self.regularization = regularization
        self.class_weight = class_weight
        self.pooling = pooling
        self.normalize = normalize
        self.settings = settings
        self.epochs = epochs
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self.precision = precision
        self.device = device
        self.select = select
        self.protocol = protocol
        self.validation = validation
        self.seed = seed
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on texts (texts,) or pairs (texts, 2) and their labels (texts,), and keeps the saved model.

        Raises `TextError`, an `InputError` and a `ValueError`, for what cannot be used.
        """
        from thriftune.python.watching import watched
        from thriftune.sklearn import fitting

        with _as_text_error():
            texts, classes = self._texts(X, y)
            if not (isinstance(self.validation, int | float) and 0 <= self.validation < 1):
                raise InputError(f"validation is a share from 0 to below 1; {self.validation!r} is given.")
            if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer) or self.seed < 0:
                raise InputError(f"seed is a whole number from 0; {self.seed!r} is given.")
            name, settings = self._method()
            study = fitting.study_of(name, settings, self.model, self._protocol(), texts, self.validation)
            saved = _Saved()
            with watched(None, self.verbose) as listener:
                quiet = listener or (lambda event: None)
                record = fitting.train(study, texts, self.validation, int(self.seed), saved.model.parent, quiet)
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        self.classes_ = classes
        self.n_features_in_ = len(texts.columns)
        names = _table_names(X)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        self.cost_: Cost | None = record.cost
        self.notes_: list[str] = record.notes
        self.learning_rate_: float | None = record.learning_rate
        self.best_epoch_: int | float | None = record.best_epoch
        self._columns, self._names = tuple(texts.columns), texts.names
        self._saved, self._base = saved, fitting.base_of(saved.model)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each text, (texts,), of the labels' own type."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (texts, classes), columns in the order of `classes_`."""
        check_is_fitted(self)
        with _as_text_error():
            return self.loaded.predict_proba(self._rows(X))

    def embed(self, X: Any) -> np.ndarray:
        """The vector of each text that the head reads, (texts, hidden); for methods with an encoder."""
        check_is_fitted(self)
        with _as_text_error():
            return self.loaded.embed(self._rows(X))

    @property
    def loaded(self) -> Classifier:
        """The fitted classifier as Thriftune loads it; its labels are called as `classes_` are written."""
        check_is_fitted(self)
        if self._saved.classifier is None:
            from thriftune.use.classifier import Classifier
            from thriftune.use.loading import load_model
            from thriftune.use.source import Source

            folder = self.model_path_
            model = load_model(folder, self._names, self._columns, self.device or "auto", None)
            self._saved.classifier = Classifier(model, Source(folder, str(self.method), None, None, None), None)
        return self._saved.classifier

    @property
    def model_path_(self) -> Path:
        """The saved model: Hugging Face and PEFT formats, or a baseline's own; it goes with this object."""
        check_is_fitted(self)
        return self._saved.model

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classes_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """The parameters and the files of the saved model: no tensor and no code is pickled."""
        from thriftune.sklearn.fitting import files_of

        state = dict(self.__dict__)
        if state.pop("_saved", None) is not None:
            state["_files"] = files_of(self.model_path_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        from thriftune.sklearn.fitting import put_files, rebase

        state = dict(state)
        files = state.pop("_files", None)
        self.__dict__.update(state)
        if files is not None:
            self._saved = _Saved()
            put_files(files, self.model_path_)
            if self._base is not None:
                rebase(self.model_path_, self._base)

    def _method(self) -> tuple[str, dict[str, Any]]:
        """The method's name and the settings that are given for it."""
        own = {key: getattr(self, key) for key in METHOD}
        given = {key: value for key, value in own.items() if value is not None} | dict(self.settings or {})
        if not isinstance(self.method, Method):
            return str(self.method), given
        if given:
            raise InputError(f"{', '.join(given)}: the method is given with its settings, so set them there.")
        from thriftune.study.file.reader import public_fields

        return self.method.NAME, {key: getattr(self.method, key) for key in public_fields(type(self.method))}

    def _protocol(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in PROTOCOL}
        return {key: value for key, value in own.items() if value is not None} | dict(self.protocol or {})

    def _texts(self, X: Any, y: Any) -> tuple[Texts, np.ndarray]:
        from thriftune.sklearn.fitting import Texts, label_names
        from thriftune.use.rows import rows_of

        rows = rows_of(listed(X), None)
        if not rows:
            raise InputError("Found 0 sample(s): there are no texts to fit.")
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        labels = column_or_1d(_plain(y), warn=True)
        check_classification_targets(labels)
        if len(labels) != len(rows):
            raise InputError(f"Found input variables with inconsistent numbers of samples: {[len(rows), len(labels)]}")
        classes, ids = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"y has one class only, {classes[0]!r}; a classifier needs two at least.")
        names = _column_names(X, len(rows[0]))
        columns = dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))
        return Texts(columns, ids.astype(np.int64), label_names(list(classes))), classes

    def _rows(self, X: Any) -> Any:
        names = self.__dict__.get("feature_names_in_")
        rows = listed(X, None if names is None else list(names))
        return [] if len(rows) == 0 else rows


def _plain(y: Any) -> np.ndarray:
    """Labels as an array; of objects that are all numbers or all texts one of that kind."""
    array = np.asarray(y)
    return np.array(array.tolist()) if array.dtype == object and all(not isinstance(v, str) for v in array) else array


def _table_names(X: Any) -> list[str] | None:
    names = getattr(X, "column_names", None) or getattr(X, "columns", None)
    return None if names is None or not all(isinstance(name, str) for name in names) else list(names)


def _column_names(X: Any, count: int) -> list[str]:
    """The table's own names where the data have no such columns of their own; else text, or first and second."""
    names = _table_names(X)
    if names is not None and len(names) == count and not {"example", "label"} & set(names):
        return names
    return ["text"] if count == 1 else ["first", "second"]


@contextmanager
def _as_text_error() -> Iterator[None]:
    try:
        yield
    except TextError:
        raise
    except InputError as error:
        raise TextError(str(error)) from error
