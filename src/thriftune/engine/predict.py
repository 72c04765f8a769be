"""Prediction: logits of any number of texts, in input order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import Examples, sorted_batches
from thriftune.engine.forward import logits_of
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier


@dataclass(frozen=True)
class QuickScores:
    """What training needs to know about a split; the study computes the full scores with scikit-learn."""

    loss: float
    """Mean cross-entropy in nats."""
    accuracy: float
    macro_f1: float
    """Mean F1 over all classes; a class that is neither true nor predicted anywhere counts as 0."""


def predict(classifier: Classifier, examples: Examples, protocol: Protocol) -> np.ndarray:
    """Logits of shape (texts, classes), float32, in input order; dropout is off.

    Texts run in batches of similar length, so that little is padded.
    """
    keep_freed_memory()
    classifier.eval_mode()
    lengths = examples.tokens.lengths
    out = np.empty((len(lengths), len(classifier.labels)), dtype=np.float32)
    with torch.inference_mode():
        for indices in sorted_batches(lengths, protocol.batch_size):
            out[indices] = logits_of(classifier, examples, indices, protocol).float().cpu().numpy()
    return out


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities of shape (texts, classes), float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def quick_scores(classifier: Classifier, examples: Examples, protocol: Protocol) -> QuickScores:
    """Loss, accuracy and macro F1 of a classifier on labelled texts."""
    logits = predict(classifier, examples, protocol)
    labels, classes = examples.labels, logits.shape[1]
    predicted = logits.argmax(axis=1)
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    hits = confusion.diagonal()
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = np.divide(2 * hits, total, out=np.zeros(classes), where=total > 0)
    return QuickScores(
        loss=float(-log_softmax(logits)[np.arange(len(labels)), labels].mean()),
        accuracy=float((predicted == labels).mean()),
        macro_f1=float(f1.mean()),
    )
