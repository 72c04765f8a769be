"""Several classifiers in Python, by name: `Classifier.load_many` makes them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.engine.allocator import give_back
from thriftune.engine.stored.transformer import Transformer
from thriftune.errors import InputError, unknown_name
from thriftune.use.calibration import fit_temperature, scaled
from thriftune.use.loading import Model, load_model
from thriftune.use.rows import rows_of
from thriftune.use.source import Source, find

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens
    from thriftune.use.many.plan import Member, Plan
    from thriftune.use.many.readers import SharedReaders
    from thriftune.use.many.shared import SharedTensors

WINDOW = 8192
"""Texts that are tokenised and sorted together."""
Items = Iterable[tuple[str, str | tuple[str, str]]]
"""The name of a classifier, and a text for it, or a pair where it was trained on two columns."""


@dataclass(frozen=True)
class Loaded:
    """One of them."""

    source: Source
    model: Model
    temperature: float | None
    """What its logits are divided by; None where its probabilities are as trained."""
    member: Member | None
    """Where its texts run beside those of others; None where it predicts alone."""


@dataclass
class Classifiers:
    """Trained classifiers by name; texts of different ones go through what they share side by side.

    Tensors that are equal are in memory once. Those whose architecture runs packed share computation too: the
    embeddings and layers that are the same, with each one's LoRA update added to its own rows, and then each one's
    layers and head. Others are served by the same calls, each by itself. Threads may call it; they take turns.
    """

    calibrated: bool | None = False
    """None: those that have validation predictions to calibrate on."""
    device: str = "auto"
    threads: int | None = None
    _loaded: dict[str, Loaded] = field(default_factory=dict)
    _shared: tuple[SharedTensors, SharedReaders] | None = None
    _plan: Plan | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they came."""
        return tuple(self._loaded)

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Each one's label names, in the order of its probabilities."""
        return {name: loaded.model.labels for name, loaded in self._loaded.items()}

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        """What is known of each, by name."""
        return self._loaded

    def add(self, name: str, path: str | Path) -> None:
        """Loads one more; raises `InputError` as `Classifier.load` does, and where the name is taken."""
        from thriftune.use.many.readers import SharedReaders
        from thriftune.use.many.shared import SharedTensors

        with self._lock:
            if not isinstance(name, str) or not name.strip():
                raise InputError(f"A classifier's name is a text; {name!r} is given.")
            if name in self._loaded:
                raise InputError(f'A classifier called "{name}" is loaded already. Take another name, or remove it.')
            source = find(path)
            model = load_model(source.model, source.labels, source.columns, self.device, self.threads, merge=False)
            temperature = None
            if self.calibrated is not False:
                temperature = None if source.run is None else fit_temperature(source.run, model.labels)
                if temperature is None and self.calibrated:
                    raise InputError(
                        f"{source.name} cannot be calibrated: there are no validation predictions beside it."
                    )
            member = None
            if isinstance(model, Transformer):
                model, member = _member(name, model)
                self._shared = self._shared or (SharedTensors(), SharedReaders())
                tensors, readers = self._shared
                tensors.share(model.network.root)
                model = replace(model, reader=readers.shared(source.model, model.reader))
                model.network.tokenizer = model.reader.tokenizer
                member = None if member is None else replace(member, model=model)
            self._loaded[name] = Loaded(source, model, temperature, member)
            self._arrange()
            give_back()  # what was loaded although it is there already

    def remove(self, name: str) -> None:
        """Lets one go, with the memory that it alone needed; raises `InputError` where there is none of that name."""
        with self._lock:
            self._known(name)
            del self._loaded[name]
            self._arrange()
            give_back()

    def predict(self, items: Items) -> list[str]:
        """The most probable label of each text, as its classifier names it."""
        rows = list(items)
        labels = self.labels
        return [labels[row[0]][found.argmax()] for row, found in zip(rows, self.predict_proba(rows), strict=True)]

    def predict_proba(self, items: Items) -> list[np.ndarray]:
        """The probabilities of each text, (its classifier's labels,), float64, in the order given.

        Raises `InputError` for a name that is none, and for what is no text.
        """
        with self._lock:
            places: dict[str, list[int]] = {}
            texts: list[str | tuple[str, str]] = []
            for index, (name, text) in enumerate(_pairs(items)):
                places.setdefault(self._known(name), []).append(index)
                texts.append(text)
            rows: list[tuple[str, ...]] = [()] * len(texts)
            for name, own in places.items():
                given: Any = [texts[place] for place in own]
                checked = rows_of(given, self._loaded[name].model.count, own)
                for place, row in zip(own, checked, strict=True):
                    rows[place] = row
            out: list[np.ndarray] = [np.empty(0)] * len(texts)
            for window in _windows(places):
                columns = [[list(each) for each in zip(*(rows[at] for at in own), strict=True)] for _, own in window]
                asked = [(name, column) for (name, _), column in zip(window, columns, strict=True)]
                for (_, own), found in zip(window, self.probabilities(asked), strict=True):
                    for place, row in zip(own, found, strict=True):
                        out[place] = row
        wrong = next((index for index, row in enumerate(out) if not np.isfinite(row).all()), None)
        if wrong is not None:
            raise InputError(f"The model gives no numbers for item {wrong}: it has no token, or the model is damaged.")
        return out

    def probabilities(self, asked: Sequence[tuple[str, list[list[str]]]]) -> list[np.ndarray]:
        """(texts, labels), float64, for each name and its checked texts (one list for each text column).

        A name may come several times. A row that is not a number has no token.
        """
        with self._lock:
            columns: dict[str, list[list[str]]] = {}
            for name, texts in asked:
                held = columns.setdefault(self._known(name), [[] for _ in texts])
                for whole, part in zip(held, texts, strict=True):
                    whole.extend(part)
            found = self._together(columns)
            out, taken = [], dict.fromkeys(columns, 0)
            for name, texts in asked:
                start = taken[name]
                taken[name] = stop = start + len(texts[0])
                out.append(found[name][start:stop])
            return out

    def _together(self, columns: dict[str, list[list[str]]]) -> dict[str, np.ndarray]:
        """Each name's texts, once."""
        from thriftune.engine.predict import log_softmax
        from thriftune.use.many.forward import logits_of

        out: dict[str, np.ndarray] = {}
        tokens: dict[str, Tokens] = {}
        for name, texts in columns.items():
            loaded = self._loaded[name]
            if not texts[0]:
                out[name] = np.empty((0, len(loaded.model.labels)))
            elif loaded.member is None:
                out[name] = loaded.model.probabilities(texts)
            else:
                tokens[name] = loaded.member.model.reader(texts)
        if tokens:
            assert self._plan is not None
            out |= {name: np.exp(log_softmax(logits)) for name, logits in logits_of(self._plan, tokens).items()}
        for name, found in out.items():
            temperature = self._loaded[name].temperature
            if temperature is not None:
                out[name] = scaled(found, temperature)
        return out

    def _arrange(self) -> None:
        from thriftune.use.many.plan import Plan

        if self._plan is not None:
            self._plan.undo()
        members = [loaded.member for loaded in self._loaded.values() if loaded.member is not None]
        self._plan = Plan.of(members) if members else None

    def _known(self, name: str) -> str:
        if name not in self._loaded:
            raise unknown_name("The classifier", str(name), self._loaded)
        return name


def _member(name: str, model: Transformer) -> tuple[Transformer, Member | None]:
    """The model as it is served, and as one whose texts run beside those of others where they can."""
    from thriftune.engine.stored.load import merge_update
    from thriftune.use.many.plan import Member, shares
    from thriftune.use.many.updates import take_updates

    updates = take_updates(model.network) if shares(model) else None
    if updates is None and model.reader.usage.precision == "fp32":
        merge_update(model.network)
    model.network.eval_mode()
    return model, Member(name, model, updates or {}) if shares(model) else None


def _pairs(items: Items) -> Iterator[tuple[str, str | tuple[str, str]]]:
    for index, item in enumerate(items):
        if not isinstance(item, tuple | list) or len(item) != 2 or not isinstance(item[0], str):
            raise InputError(f"Item {index} is no pair of a classifier's name and a text. Give [(name, text), ...].")
        yield item[0], item[1]


def _windows(places: dict[str, list[int]]) -> Iterator[list[tuple[str, list[int]]]]:
    """At most `WINDOW` texts at a time, by name, neighbours of one name together."""
    window: list[tuple[str, list[int]]] = []
    size = 0
    for name, own in places.items():
        start = 0
        while start < len(own):
            part = own[start : start + WINDOW - size]
            window.append((name, part))
            start, size = start + len(part), size + len(part)
            if size == WINDOW:
                yield window
                window, size = [], 0
    if window:
        yield window
