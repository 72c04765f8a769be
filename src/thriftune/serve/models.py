"""The classifiers of a service by name, one or many."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thriftune.engine.stored.onnx.choice import Engine, Route, engine_of
from thriftune.engine.stored.transformer import Transformer
from thriftune.errors import InputError
from thriftune.paths import status, user_path
from thriftune.use.classifier import Classifier
from thriftune.use.loading import Model
from thriftune.use.many.classifiers import Classifiers
from thriftune.use.source import find

Say = Callable[[str], None]
Asked = tuple[str, list[list[str]]]
"""A classifier's name, and checked texts, one list for each text column."""
BYTES_PER_TOKEN = 4
OWN = "Our own engine computes all requests."
SHARED = "Our own engine computes all requests: several classifiers share memory and computation there."


class Predicts(Protocol):
    """What computes."""

    def __call__(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        """Probabilities (texts, labels) for each; rows that are no numbers have no token."""


@dataclass(frozen=True)
class Served:
    """One classifier of a service."""

    name: str
    source: str
    """The run or folder that it was loaded from."""
    model: Model
    calibrated: bool
    most_tokens: int | None
    """Of a text; None where it reads no tokens."""
    engine: str
    """Who computes what, in a sentence."""

    @property
    def route(self) -> Route | None:
        """What goes to onnxruntime; None where that is nothing."""
        return self.model.route if isinstance(self.model, Transformer) else None

    def tokens(self, texts: list[list[str]]) -> int:
        """About how many tokens some texts have, at least one each."""
        if self.most_tokens is None:
            return len(texts[0])
        sizes = (sum(len(part.encode("utf-8", "replace")) for part in row) for row in zip(*texts, strict=True))
        return sum(min(self.most_tokens, 2 + size // BYTES_PER_TOKEN) for size in sizes)


@dataclass(frozen=True)
class Models:
    """All of them; the first one answers requests that name none."""

    served: dict[str, Served]
    predict: Predicts

    @property
    def default(self) -> str:
        """The name of the first one."""
        return next(iter(self.served))

    @property
    def routes(self) -> list[Route]:
        """What goes to onnxruntime of each classifier of which something does."""
        return [served.route for served in self.served.values() if served.route is not None]


def named(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Names and sources of the command's arguments, MODEL or NAME=MODEL; a source without a name has its run's.

    Raises `InputError` where there is no classifier, or two of one name.
    """
    found: list[tuple[str, str]] = []
    for argument in arguments:
        name, equals, source = argument.partition("=")
        if not equals or status(user_path(argument)) is not None or not re.fullmatch(r"[\w.: -]*", name):
            name, source = "", argument
        elif not name.strip() or not source:
            raise InputError(f'"{argument}" is given; write NAME=MODEL, or MODEL alone.')
        name = name.strip() or find(source).name
        if name in dict(found):
            raise InputError(f'Two classifiers are called "{name}". Name them: {name}-2={source}.')
        found.append((name, source))
    return found


def load(
    sources: Sequence[tuple[str, str]],
    *,
    calibrate: bool,
    device: str,
    threads: int | None,
    say: Say,
    engine: Engine = "own",
) -> Models:
    """Loads what is to be served; one alone takes the fastest way, several share what is equal in them.

    `engine` says who computes, as for `Classifier.load`. With "onnx" each of several has a graph of its own, and they
    share nothing; with "auto" they share and stay with the engine. `say` is told.
    """
    engine_of(engine)
    if len(sources) == 1 or engine == "onnx":
        return _apart(sources, calibrate=calibrate, device=device, threads=threads, say=say, engine=engine)
    together = Classifiers(calibrated=None if calibrate else False, device=device, threads=threads)
    for name, source in sources:
        together.add(name, source)
    if engine == "auto":
        say(SHARED)
    served = {}
    for name, loaded in together.loaded.items():
        served[name] = _served(name, loaded.source.name, loaded.model, loaded.temperature, SHARED)
        _say_calibration(served[name], calibrate, say)
    return Models(served, together.probabilities)


def _apart(
    sources: Sequence[tuple[str, str]],
    *,
    calibrate: bool,
    device: str,
    threads: int | None,
    say: Say,
    engine: Engine,
) -> Models:
    """Classifiers that share nothing."""
    from thriftune.use.predict import Options, calibrated

    loaded: dict[str, Classifier] = {}
    served: dict[str, Served] = {}
    for name, source in sources:
        said = [OWN]

        def tell(text: str, name: str = name, said: list[str] = said) -> None:
            said.append(text)
            say(f"{name}: {text}")

        classifier = Classifier.load(source, device=device, threads=threads, engine=engine, say=tell)
        loaded[name] = classifier = calibrated(classifier, Options(calibrate=calibrate), lambda text: None)
        served[name] = _served(name, classifier.source.name, classifier.model, classifier.temperature, said[-1])
        _say_calibration(served[name], calibrate, say)

    def predict(asked: Sequence[Asked]) -> list[np.ndarray]:
        out: list[np.ndarray] = [np.empty(0)] * len(asked)
        for name, classifier in loaded.items():
            own = [index for index, (wanted, _) in enumerate(asked) if wanted == name]
            if own:
                parts = [asked[index][1] for index in own]
                joined = [[text for texts in parts for text in texts[column]] for column in range(len(parts[0]))]
                ends = np.cumsum([len(texts[0]) for texts in parts])
                for index, found in zip(own, np.split(classifier.probabilities(joined), ends[:-1]), strict=True):
                    out[index] = found
        return out

    return Models(served, predict)


def _served(name: str, source: str, model: Model, temperature: float | None, engine: str) -> Served:
    most = model.reader.usage.max_tokens if isinstance(model, Transformer) else None
    return Served(name, source, model, temperature is not None, most, engine)


def _say_calibration(served: Served, wanted: bool, say: Say) -> None:
    if wanted and not served.calibrated:
        say(f"{served.name}: confidences are as trained; there are no validation predictions to calibrate on.")
