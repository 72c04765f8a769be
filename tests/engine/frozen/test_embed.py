"""One pass of a frozen encoder gives the vectors that sentence-transformers' encode gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, pairs
from tests.tiny_models import KINDS, model_folder
from transformers import AutoModel, AutoTokenizer

from thriftune.cost.measured.memory import peak_of
from thriftune.data.tokens import encode
from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.embed import Embedded, embed
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.protocol import Protocol
from thriftune.engine.sides import settle_side
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.study.run.embeddings_run import vectors

REFERENCE = ("mpnet", "albert", "longformer", "gpt2", "xlnet", "fnet")
"""Architectures of every kind of padding, through transformers' own forward."""
MAX_TOKENS = 32
PROTOCOL = Protocol(max_tokens=MAX_TOKENS)


def encoder(folder: Path, head: str = "mean", without: int | None = None) -> Classifier:
    return load_classifier(folder, LABELS, HeadSettings(type=head), without=without)  # type: ignore[arg-type]


def tokenised(classifier: Classifier, texts: list[list[str]]) -> Examples:
    types = token_types(classifier.config, classifier.tokenizer)
    tokens = encode(classifier.tokenizer, texts, MAX_TOKENS, token_types=types)
    return Examples(tokens, np.zeros(len(tokens), dtype=np.int64))


def embedded(folder: Path, texts: list[list[str]], head: str = "mean", **changes: Any) -> np.ndarray:
    """The engine's vectors, of length 1."""
    classifier = encoder(folder, head)
    examples = tokenised(classifier, texts)
    protocol = Protocol(max_tokens=MAX_TOKENS, **changes)
    settle_side(classifier, examples.tokens, protocol)
    return vectors(embed(classifier, {"test": examples}, protocol, PrefixCache(None))["test"].values, normalize=True)


def reference(folder: Path, texts: list[list[str]], head: str) -> np.ndarray:
    """What `encode(texts, normalize_embeddings=True)` computes, one text at a time."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    out = []
    for text in zip(*texts, strict=True):
        inputs = tokenizer(*text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**inputs).last_hidden_state[0]
        out.append(torch.nn.functional.normalize(hidden.mean(dim=0) if head == "mean" else hidden[0], dim=-1))
    return torch.stack(out).numpy()


CASES = [(kind, "mean") for kind in (*KINDS, *REFERENCE)] + [(kind, "linear") for kind in (*KINDS, "mpnet", "funnel")]


@pytest.mark.parametrize(("kind", "head"), CASES)
def test_vectors_are_those_of_plain_transformers(kind: str, head: str) -> None:
    texts = [pairs(40)[0]]
    expected = reference(model_folder(kind), texts, head)
    assert expected.std(axis=0).max() > 1e-3
    np.testing.assert_allclose(embedded(model_folder(kind), texts, head), expected, atol=1e-5)


@pytest.mark.parametrize("padding", ["longest", "max"])
def test_a_protocol_that_pads_changes_no_vector(padding: Any) -> None:
    texts = list(pairs(20)[:2])
    expected = reference(model_folder("bert"), texts, "mean")
    found = embedded(model_folder("bert"), texts, padding=padding, precision="bf16", frozen_dropout="on")
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["tiny", "minilm"])
def test_vectors_are_those_of_the_library(kind: str, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    texts = pairs(60)[0]
    if kind == "minilm":
        folder = resolve_model("demo:minilm")
        model = library.SentenceTransformer(str(folder), device="cpu")
    else:
        folder = model_folder("roberta")
        parts = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
        transformer = parts.Transformer(str(folder))
        pooling = parts.Pooling(32, pooling_mode="mean")
        model = library.SentenceTransformer(modules=[transformer, pooling], device="cpu")
    model.max_seq_length = MAX_TOKENS
    expected = model.encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(embedded(folder, [texts]), expected, atol=1e-5)


def passed(cache: PrefixCache, head: str = "mean", without: int | None = None) -> Embedded:
    classifier = encoder(model_folder("bert"), head, without)
    return embed(classifier, {"train": tokenised(classifier, [pairs(40)[0]])}, PROTOCOL, cache, peak_of=peak_of)[
        "train"
    ]


def test_the_pass_is_the_prefix_of_a_head_alone(tmp_path: Path) -> None:
    """In both orders: one file, and the second to come pays what the first one did."""
    cache = PrefixCache(tmp_path)
    first = passed(cache)
    assert not first.reused
    assert first.peak_memory_bytes
    classifier = encoder(model_folder("bert"))
    method: Any = find("head_only")()
    method.apply(classifier, torch.Generator())
    examples = {"train": tokenised(classifier, [pairs(40)[0]])}
    prefix = run_prefix(classifier, examples, PROTOCOL, cache, peak_of=peak_of)["train"].prefix
    assert prefix is not None
    assert prefix.reused
    np.testing.assert_array_equal(prefix.values, first.values)
    again = passed(cache, without=3)  # nothing is read of the encoder's weights
    assert again.reused
    assert (again.seconds, again.peak_memory_bytes) == (first.seconds, first.peak_memory_bytes)
    assert len(list(tmp_path.glob("*.npy"))) == 1
    assert not passed(cache, "linear").reused


def test_the_pass_goes_on_from_layers_that_ran_before(tmp_path: Path) -> None:
    cache = PrefixCache(tmp_path)
    classifier = encoder(model_folder("bert"))
    method: Any = find("top_layers")(layers=1)
    method.apply(classifier, torch.Generator())
    run_prefix(classifier, {"train": tokenised(classifier, [pairs(40)[0]])}, PROTOCOL, cache, peak_of=peak_of)
    continued = passed(cache)
    np.testing.assert_array_equal(continued.values, passed(PrefixCache(None)).values)
    assert sorted(len(np.load(path, mmap_mode="r")) for path in tmp_path.glob("*.npy"))[0] == 40


def test_without_room_in_the_cache_the_vectors_stay_in_memory(tmp_path: Path) -> None:
    cramped = passed(PrefixCache(tmp_path, limit_bytes=10), without=3)
    np.testing.assert_array_equal(cramped.values, passed(PrefixCache(None)).values)
    assert not cramped.reused
    assert not list(tmp_path.glob("*.npy"))


def test_hidden_states_that_are_no_tokens_have_no_mean() -> None:
    with pytest.raises(InputError, match=r'every token, which "funnel" pools.*pooling: first'):
        embedded(model_folder("funnel"), [["the " * 23]])


def test_an_own_head_is_refused() -> None:
    classifier = load_classifier(model_folder("bert"), LABELS)
    with pytest.raises(ValueError, match="own head"):
        embed(classifier, {"train": tokenised(classifier, [["a"]])}, PROTOCOL, PrefixCache(None))
