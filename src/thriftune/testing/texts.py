"""Small labelled texts with something to learn in them."""

from __future__ import annotations

import numpy as np

from thriftune.data.tokens import encode
from thriftune.engine.examples import Examples
from thriftune.models.classifier import Classifier
from thriftune.testing.tokenizers import WORDS

LABELS = ("entailment", "neutral", "contradiction")


def pairs(count: int, seed: int = 0) -> tuple[list[str], list[str], np.ndarray]:
    """Premises, hypotheses and label ids; the hypothesis's first word gives the label away."""
    rng = np.random.default_rng(seed)
    words = np.array([*WORDS, "big", "red", "hat"])
    labels = rng.integers(0, 3, count)
    first = [" ".join(rng.choice(words, rng.integers(1, 12))) for _ in range(count)]
    second = [f"{WORDS[label]} " + " ".join(rng.choice(words, rng.integers(0, 7))) for label in labels]
    return first, second, labels.astype(np.int64)


def examples(classifier: Classifier, count: int, seed: int = 0, max_tokens: int = 32) -> Examples:
    """Tokenised pairs for a classifier."""
    first, second, labels = pairs(count, seed)
    types = classifier.family.uses_token_types(classifier.config)
    return Examples(encode(classifier.tokenizer, [first, second], max_tokens, "segments", token_types=types), labels)
