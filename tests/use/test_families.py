"""Architectures and heads as a run stores them: the fast path against transformers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from tests.tiny_data import LABELS, pairs
from tests.tiny_models import model_folder

from thriftune.data.tokens import encode
from thriftune.models.head import HeadSettings
from thriftune.models.packed import can_pack
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.reload import load_saved
from thriftune.models.trained.save import save_classifier
from thriftune.models.trained.usage import Reading
from thriftune.use.classifier import Classifier
from thriftune.use.loading import Transformer

CASES: list[tuple[str, Literal["own", "linear", "mean"], Literal["segments", "one_segment"]]] = [
    ("bert", "own", "one_segment"),
    ("bert", "mean", "segments"),
    ("roberta", "own", "segments"),
    ("electra", "linear", "segments"),
    ("distilbert", "own", "segments"),
    ("deberta-v3", "own", "one_segment"),
    ("modernbert", "own", "segments"),
    ("mpnet", "mean", "segments"),
    ("xlnet", "own", "segments"),
    ("gpt2", "own", "segments"),
    ("funnel", "own", "segments"),
]


@pytest.mark.parametrize(
    ("kind", "head", "pair", "count"), [(*case, 1 + index % 2) for index, case in enumerate(CASES)]
)
def test_as_its_readme_says(tmp_path: Path, kind: str, head: Any, pair: Any, count: int) -> None:
    network = load_classifier(model_folder(kind), LABELS, HeadSettings(type=head))
    network.reads_padding = kind == "funnel"
    reading = Reading(("premise", "hypothesis")[:count], 16, pair)
    save_classifier(network, tmp_path, reading)
    texts = [list(column) for column in pairs(40)[:2]][:count]
    saved, loaded = load_saved(tmp_path), Classifier.load(tmp_path)
    rows = texts[0] if count == 1 else list(zip(*texts, strict=True))
    np.testing.assert_allclose(loaded.predict_proba(rows), saved.probabilities(texts), atol=2e-5)
    if can_pack(network):  # others read how far a batch is padded
        alone = np.concatenate([loaded.predict_proba([row]) for row in rows[:5]])
        np.testing.assert_allclose(alone, loaded.predict_proba(rows)[:5], atol=2e-6)
    assert np.isfinite(loaded.embed(rows)).all()
    assert loaded.labels == LABELS
    model = loaded.model
    assert isinstance(model, Transformer)
    own = encode(network.tokenizer, texts, 16, pair, token_types=model.reader.types)
    again = model.reader(texts)
    np.testing.assert_array_equal(again.ids, own.ids)
    np.testing.assert_array_equal(again.offsets, own.offsets)
    assert (again.types is None) == (own.types is None)
    if own.types is not None and again.types is not None:
        np.testing.assert_array_equal(again.types, own.types)
