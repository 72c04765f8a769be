"""A tiny study of every kind of method, trained once for all tests of this folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.study.small_study import small_study

from thriftune.results.store import Results
from thriftune.study.execute import compare

METHODS: list[Any] = [
    "majority",
    {"tfidf": {"features": "word", "ngrams": 1, "classifier": "logistic", "regularization": 1.0}},
    {"embeddings": {"regularization": 1.0, "class_weight": "none"}},
    {"head_only": {"learning_rate": 0.01}},
    {"top_layers": {"layers": 1, "learning_rate": 0.003}},
    {"lora": {"learning_rate": 0.01}},
    {"lora": {"layers": "top 1", "learning_rate": 0.01, "text": ["hypothesis"]}},
    {"full": {"learning_rate": 0.003}},
    "bitfit",
    {"peft": {"type": "IA3"}},
]
"""In the order of the results' runs."""
PROTOCOL = {"epochs": 1, "batch_size": 32, "max_tokens": 32, "device": "cpu"}


@cache
def study() -> Results:
    """Its results, in a folder that lasts as long as the test run."""
    folder = Path(mkdtemp(prefix="thriftune-use-"))
    return compare(small_study(folder, methods=METHODS, protocol=PROTOCOL), folder / "out", isolate=False)
