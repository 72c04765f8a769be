"""Trains the word embeddings of those words alone that the texts contain.

A word that occurs in no text of a run has a gradient of zero in every step, so AdamW does nothing to it but decay.
Gradients and optimiser state for such words, most of the table, are left out; their decay is made up for at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from thriftune.data.large.arrays import blocks, distinct, room_for
from thriftune.engine.examples import Examples
from thriftune.engine.forward import packs
from thriftune.engine.hooks import Hook, Progress
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier

if TYPE_CHECKING:
    from thriftune.engine.loop import Task


@contextmanager
def used_words(task: Task, hooks: Sequence[Hook]) -> Iterator[tuple[Task, Sequence[Hook]]]:
    """A training, and its hooks, of the words alone that its texts contain; all words are there again afterwards.

    However it ends, the words that did not occur then have the decay of the steps that led to the present weights.
    """
    vocabulary, (train, validation) = narrow(task.classifier, [task.train, task.validation], task.protocol)
    if vocabulary is None or train is None:
        yield task, hooks
        return
    decay = _MissedDecay(task.protocol.optimizer.weight_decay)
    try:
        yield replace(task, train=train, validation=validation), [decay, *hooks]
    finally:
        vocabulary.restore(decay.now)


class _MissedDecay(Hook):
    """What AdamW would have scaled a weight by that has no gradient."""

    def __init__(self, weight_decay: float) -> None:
        self.now = self._kept = 1.0
        self._weight_decay = weight_decay

    def stepped(self, progress: Progress) -> None:
        self.now *= 1.0 - progress.learning_rate * self._weight_decay

    def kept(self) -> None:
        self._kept = self.now

    def put_back(self) -> None:
        self.now = self._kept

    def state(self) -> dict[str, Any]:
        return {"now": self.now, "kept": self._kept}

    def restore(self, state: dict[str, Any]) -> None:
        self.now, self._kept = state["now"], state["kept"]


@dataclass(frozen=True)
class Vocabulary:
    """A word embedding that holds some of its rows for a while."""

    module: nn.Embedding
    whole: Any
    """(words, hidden), all rows."""
    used: torch.Tensor
    """(used words,) their ids, ascending."""
    padding: int | None
    """The id whose row gets no gradient."""

    def restore(self, decay: float) -> None:
        """Puts the whole table back: used rows as trained, the others scaled by the `decay` that they missed."""
        with torch.no_grad():
            trained = self.module.weight
            self.whole.mul_(decay)
            self.whole[self.used] = trained.to(self.whole.dtype)
        self.module.weight, self.module.num_embeddings = self.whole, len(self.whole)
        self.module.padding_idx = self.padding
        del self.module.whole


def narrow(
    classifier: Classifier, splits: list[Examples | None], protocol: Protocol
) -> tuple[Vocabulary | None, list[Examples | None]]:
    """The splits with token ids that count the used words, and the embedding with their rows alone.

    Where the words are not trained, or share their table with something else, nothing changes and the vocabulary
    is None.
    """
    module = _trained_words(classifier)
    texts = [examples.tokens.ids for examples in splits if examples is not None]
    if module is None or not packs(classifier, protocol):
        return None, splits
    used = distinct(texts)
    if len(used) == len(module.weight):
        return None, splits
    places = np.zeros(len(module.weight), dtype=texts[0].dtype)
    places[used] = np.arange(len(used))
    rows = torch.from_numpy(used.astype(np.int64)).to(module.weight.device)
    renumbered = [examples and _renumbered(examples, places) for examples in splits]
    vocabulary, narrowed = Vocabulary(module, module.weight, rows, module.padding_idx), module.weight.detach()[rows]
    # A buffer, so that what counts memory sees the table while it waits.
    module.register_buffer("whole", module.weight.detach(), persistent=False)
    module.weight, module.num_embeddings = nn.Parameter(narrowed), len(used)
    module.padding_idx = int(places[module.padding_idx]) if module.padding_idx in used else None
    return vocabulary, renumbered


def _renumbered(examples: Examples, places: np.ndarray) -> Examples:
    ids = examples.tokens.ids
    renumbered = room_for(ids.shape, ids.dtype)
    for part in blocks(len(ids)):
        renumbered[part] = places[ids[part]]
    return replace(examples, tokens=replace(examples.tokens, ids=renumbered))


def _trained_words(classifier: Classifier) -> nn.Embedding | None:
    module: Any = classifier.encoder.get_input_embeddings()
    if type(module) is not nn.Embedding or not module.weight.requires_grad or module.max_norm is not None:
        return None
    owners = [part for part in classifier.root.modules() if getattr(part, "weight", None) is module.weight]
    return module if len(owners) == 1 and not module.sparse else None
