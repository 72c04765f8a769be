"""Who computes what: the engine alone, onnxruntime alone, or onnxruntime the requests of which it is faster."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from thriftune.engine.stored.onnx.crossover import Crossover, find
from thriftune.errors import InputError, first_line, unknown_name
from thriftune.wording import size

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens
    from thriftune.engine.stored.onnx.session import Session
    from thriftune.engine.stored.transformer import Transformer

Engine = Literal["auto", "own", "onnx"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
NEEDED = ("onnxruntime", "onnx", "onnxscript")
TOLERANCE = 1e-5
"""By which a probability may differ."""
TEXTS = (
    "a",
    "A man is playing a guitar.",
    "Two hours that I will not get back, and 12.50 at the door!",
    "naïve café, straße, Ελλάδα, 東京, [SEP] </s> <mask>",
    "The card that I ordered has not arrived yet, and I am worried that somebody else has it. " * 40,
)
"""On which both must agree: short and long ones, alone and together."""


class _NoGraphError(Exception):
    """Why onnxruntime cannot compute a model."""


@dataclass
class Route:
    """onnxruntime beside the engine: what goes there, and how much went."""

    session: Session
    crossover: Crossover | None
    """None: everything goes there."""
    bytes: int
    """Of memory that it takes beside the engine's."""
    texts: int = 0
    """That it computed."""

    def takes(self, tokens: Tokens) -> bool:
        """Whether a request goes to onnxruntime."""
        return self.crossover is None or self.crossover.takes(tokens)

    def sentence(self) -> str:
        """What goes where, for people."""
        if self.crossover is None:
            return f"onnxruntime computes all requests (about {size(self.bytes)} of memory more)"
        texts, tokens = self.crossover.texts, self.crossover.tokens
        what = "one text" if texts == 1 else f"up to {texts} texts"
        return (
            f"onnxruntime computes requests of {what} with up to {tokens} tokens, where it is faster "
            f"(about {size(self.bytes)} of memory more); larger ones and several at once run on our own engine"
        )


@dataclass(frozen=True)
class Chosen:
    """A model, and who computes it."""

    model: Transformer
    sentence: str


def engine_of(word: str) -> Engine:
    """The engine of that name; raises `InputError` where there is none."""
    for engine in ENGINES:
        if engine == word:
            return engine
    raise unknown_name("The engine", str(word), ENGINES)


def choose(model: Transformer, folder: Path, engine: Engine, say: Callable[[str], None]) -> Chosen:
    """The model with its route to onnxruntime, where that is wanted and gives the same numbers.

    `folder` holds the stored model. `auto` stays with the engine where onnxruntime cannot compute the model or is never
    faster, and says why; `onnx` raises `InputError` where it cannot.
    """
    if engine == "own":
        return Chosen(model, "our own engine computes all requests")
    try:
        session, held = _session(model, folder, say)
    except _NoGraphError as error:
        if engine == "onnx":
            raise InputError(f"onnxruntime cannot compute this model: {error}. Use the engine auto or own.") from error
        return Chosen(model, f"our own engine computes all requests: {error}")
    if engine == "onnx":
        route = Route(session, None, held)
        return Chosen(replace(model, route=route), route.sentence())
    crossover = _crossover(model, session)
    if crossover.texts == 0:
        return Chosen(model, "our own engine computes all requests: onnxruntime is not faster with a single text")
    route = Route(session, crossover, held)
    return Chosen(replace(model, route=route), route.sentence())


def _session(model: Transformer, folder: Path, say: Callable[[str], None]) -> tuple[Session, int]:
    """The model's graph in memory, and the bytes that it takes there; raises `_NoGraphError`."""
    from thriftune.engine.allocator import give_back
    from thriftune.engine.stored.onnx.kept import MakeError, graph_of

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise _NoGraphError(f"{' and '.join(missing)} would be needed (pip install 'thriftune[onnx]')")
    if model.network.device.type != "cpu":
        raise _NoGraphError("it runs on a GPU")
    if model.protocol.precision != "fp32":
        raise _NoGraphError(f"it predicts in {model.protocol.precision}, and its graph would in fp32")
    if model.network.input_tuner:
        raise _NoGraphError("its method changes the input, not the weights")
    try:
        path = graph_of(model, folder, say)
    except MakeError as error:
        raise _NoGraphError(str(error)) from error
    _check(model, _opened(path))
    give_back()
    before = _resident()
    session = _opened(path)  # a new one: that which was checked keeps the memory of its largest batch
    session.logits(model.network, _sample(model))
    return session, max(0, _resident() - before)


def _opened(path: Path) -> Session:
    import torch

    from thriftune.engine.stored.onnx.session import Session

    try:
        return Session.open(path, torch.get_num_threads())
    except Exception as error:  # onnxruntime's own kinds
        raise _NoGraphError(f"onnxruntime cannot load its graph ({first_line(error)})") from error


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _sample(model: Transformer) -> Tokens:
    """A text as long as the model reads."""
    return model.reader([list(TEXTS[-1:])] * model.count)


def _check(model: Transformer, session: Session) -> None:
    """Raises `_NoGraphError` where both do not give the same probabilities."""
    whole = replace(model, route=Route(session, None, 0))
    for texts in ([TEXTS[1]], [TEXTS[-1]], list(TEXTS)):
        columns = [texts[place:] + texts[:place] for place in range(model.count)]
        own = model.probabilities(columns)
        try:
            other = whole.probabilities(columns)
        except Exception as error:  # onnxruntime's own kinds, as for a graph of one size
            raise _NoGraphError(f"onnxruntime cannot run its graph ({first_line(error)})") from error
        largest = float(np.nanmax(np.abs(own - other), initial=0.0))
        same = np.array_equal(np.isnan(own), np.isnan(other)) and largest <= TOLERANCE
        if not same:
            raise _NoGraphError(f"its probabilities differ by {largest:.2g}, and at most {TOLERANCE:g} is allowed")


def _crossover(model: Transformer, session: Session) -> Crossover:
    sample = _sample(model)
    longest = int(sample.lengths.max())
    return find(model.own_logits, lambda tokens: session.logits(model.network, tokens), sample, longest)
