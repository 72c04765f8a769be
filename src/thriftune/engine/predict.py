"""Prediction: logits of any number of texts, in input order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from thriftune.data.large.arrays import blocks, room_for
from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import token_batches
from thriftune.engine.examples import Examples
from thriftune.engine.forward import logits_of, packs
from thriftune.engine.parallel.passes import Part, part_of
from thriftune.engine.protocol import Protocol
from thriftune.metrics import sign
from thriftune.models.classifier import Classifier
from thriftune.models.padding import is_causal, sorted_batches

SAMPLED_TEXTS = 5000
"""Vectors are kept of at most so many texts."""
TEXTS_AT_ONCE = 1 << 16
"""Whose logits become probabilities together."""


@dataclass(frozen=True)
class QuickScores:
    """What training needs to know about a split; the study computes the full scores with scikit-learn."""

    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    macro_f1: float
    """Mean F1 of the classes that occur or are predicted."""
    logits: np.ndarray = field(compare=False, repr=False)
    """What they were computed from, (texts, classes): the kept weights' need not be computed again."""


def predict(classifier: Classifier, examples: Examples, protocol: Protocol) -> np.ndarray:
    """Logits of shape (texts, classes), float32, in input order; dropout is off.

    Texts run in batches of similar length, so that little is padded; packed, of about `ROWS_PER_BATCH` tokens. Where
    the model reads padding, texts of one length run together and nothing is padded, whatever the protocol says.
    """
    keep_freed_memory()
    part = part_of(classifier, examples)
    out = part.blank(room_for((len(examples), len(classifier.labels)), np.float32))
    for indices, logits in logit_batches(classifier, examples, protocol, part):
        out[indices] = logits
    return part.join(out)


def predict_and_embed(
    classifier: Classifier, examples: Examples, protocol: Protocol, texts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The logits of all examples as `predict` gives them, and the vectors that the head read for some of them.

    Such a vector is the first token's last hidden state (a decoder's last token's; the tokens' mean, where the
    architecture's head averages). The vectors have the shape (len(texts), hidden) and are float16, larger numbers cut
    to its range.
    """
    part = part_of(classifier, examples, texts)
    out = part.blank(room_for((len(examples), len(classifier.labels)), np.float32))
    place = np.full(len(examples), -1)
    place[texts] = np.arange(len(texts))
    vectors = np.empty((len(texts), 0), dtype=np.float16)
    limit = float(np.finfo(np.float16).max)
    lengths = np.asarray(examples.tokens.lengths)
    with _head_inputs(classifier) as seen:
        for indices, logits in logit_batches(classifier, examples, protocol, part):
            out[indices] = logits
            rows = np.flatnonzero(place[indices] >= 0)
            read = seen.pop()[torch.from_numpy(rows).to(classifier.device)]
            if read.ndim == 3:
                read = read[torch.arange(len(rows)), token_read(classifier, lengths[indices[rows]])]
            if not vectors.shape[1]:
                vectors = np.zeros((len(texts), read.shape[-1]), dtype=np.float16)
            vectors[place[indices[rows]]] = read.float().clamp(-limit, limit).cpu().numpy()
    return part.join(out), part.join_vectors(vectors)


def sampled_texts(count: int) -> np.ndarray:
    """Which of `count` texts have their vectors kept, in order; it depends on the count alone."""
    if count <= SAMPLED_TEXTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, SAMPLED_TEXTS, replace=False))


def logit_batches(
    classifier: Classifier, examples: Examples, protocol: Protocol, part: Part | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of text indices, longest first (which is how the packed path orders them too), and their logits.

    Packed, they have as many tokens as is fast, whatever number of texts a training step takes. `part`: those of
    this process, where several predict together.
    """
    classifier.eval_mode()
    lengths = np.asarray(examples.tokens.lengths)
    if packs(classifier, protocol):
        batches = token_batches(lengths)
    else:
        batches = sorted_batches(lengths, protocol.batch_size, equal=classifier.reads_padding)
        protocol = replace(protocol, padding="longest") if classifier.reads_padding else protocol
    for indices in batches if part is None else part.of(batches):
        with torch.inference_mode():
            logits = logits_of(classifier, examples, indices, protocol)
        yield indices, logits.float().cpu().numpy()


@contextmanager
def _head_inputs(classifier: Classifier) -> Iterator[list[torch.Tensor]]:
    """A list that holds, after each forward, what the head's first module read: (texts, hidden), or for each token."""
    seen: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if not seen:
            seen.append(next(each for each in (*inputs, *named.values()) if isinstance(each, torch.Tensor)))

    hooks = [module.register_forward_pre_hook(keep, with_kwargs=True) for module in classifier.head_modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def token_read(classifier: Classifier, lengths: np.ndarray) -> torch.Tensor:
    """Which token of each text the head reads, (texts,): the first one, a decoder's the last one."""
    if not is_causal(classifier.config):
        return torch.zeros(len(lengths), dtype=torch.int64)
    return torch.from_numpy(lengths - 1) if classifier.padding_side == "right" else torch.full((len(lengths),), -1)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities of shape (texts, classes), float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def quick_scores(classifier: Classifier, examples: Examples, protocol: Protocol) -> QuickScores:
    """Loss, accuracy and macro F1 of a classifier on labelled texts."""
    logits = predict(classifier, examples, protocol)
    labels, classes = examples.labels, logits.shape[1]
    predicted, loss = logits.argmax(axis=1), np.empty(len(labels))
    for part in blocks(len(labels), TEXTS_AT_ONCE):
        loss[part] = -log_softmax(logits[part])[np.arange(part.stop - part.start), labels[part]]
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    hits = confusion.diagonal()
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = 2 * hits[total > 0] / total[total > 0]
    return QuickScores(
        loss=float(loss.mean()),
        accuracy=float((predicted == labels).mean()),
        macro_f1=float(f1.mean()),
        logits=logits,
    )


def score_of(scores: QuickScores, metric: str) -> float:
    """A validation score of which more is better: accuracy, macro F1, or the negative loss."""
    return sign(metric) * float(getattr(scores, metric))
