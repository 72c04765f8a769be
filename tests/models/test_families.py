"""Contract of every family: where layers and head are, what the cut is, how long a text may be."""

from __future__ import annotations

import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import FURTHER, KINDS, LAYERS, RELATIVES, SHARED, model_folder
from transformers import AutoModelForSequenceClassification

from thriftune.engine.batches import padded_batch
from thriftune.engine.protocol import Protocol
from thriftune.models.families import discover, family_of
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier, skeleton


def test_every_family_has_a_tiny_model() -> None:
    made = {load_classifier(model_folder(kind), LABELS).config.model_type for kind in (*KINDS, *SHARED, *FURTHER)}
    assert {family_of(name) for name in made} == set(discover().values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["own", "linear", "mean"])
def test_only_the_head_is_trained_at_first(kind: str, head: str) -> None:
    classifier = load_classifier(model_folder(kind), LABELS, HeadSettings(type=head))
    head_parameters = {id(p) for module in classifier.head_modules for p in module.parameters()}
    assert head_parameters
    assert {id(p) for _, p in classifier.trained()} == head_parameters
    assert len(classifier.layers) == LAYERS
    assert classifier.cut == LAYERS
    counts = classifier.counts()
    assert counts.trained == counts.head == sum(p.numel() for _, p in classifier.trained())
    assert counts.total == sum(p.numel() for p in classifier.network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_head_holds_everything_outside_the_encoder_and_its_pooler(kind: str) -> None:
    classifier = load_classifier(model_folder(kind), LABELS)
    encoder = {name for name, _ in classifier.encoder.named_parameters() if not name.startswith("pooler.")}
    outside = classifier.counts().total - sum(
        p.numel() for name, p in classifier.encoder.named_parameters() if name in encoder
    )
    assert classifier.counts().head == outside


@pytest.mark.parametrize("kind", KINDS)
def test_cut_follows_the_gradients(kind: str) -> None:
    classifier = load_classifier(model_folder(kind), LABELS)
    classifier.layers[2].requires_grad_(True)
    assert classifier.cut == 2
    next(classifier.layers[0].parameters()).requires_grad_(True)
    assert classifier.cut == 0
    classifier.encoder.get_input_embeddings().weight.requires_grad_(True)
    assert classifier.cut is None


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_dropout_off_leaves_dropout_above_the_cut(kind: str) -> None:
    classifier = load_classifier(model_folder(kind), LABELS)
    classifier.layers[2].requires_grad_(True)
    classifier.train_mode(frozen_dropout=False)
    assert [layer.training for layer in classifier.layers] == [False, False, True]
    assert not classifier.encoder.get_input_embeddings().training
    assert all(module.training for module in classifier.head_modules)
    classifier.train_mode(frozen_dropout=True)
    assert all(layer.training for layer in classifier.layers)


@pytest.mark.parametrize("kind", [*KINDS, *RELATIVES, *SHARED])
def test_logits_are_those_of_transformers_alone(kind: str) -> None:
    classifier = load_classifier(model_folder(kind), LABELS, seed=3)
    plain = AutoModelForSequenceClassification.from_pretrained(model_folder(kind), num_labels=3).eval()
    plain.load_state_dict(classifier.network.state_dict())
    classifier.eval_mode()
    inputs = padded_batch(examples(classifier, 5).tokens, torch.arange(5).numpy(), classifier, Protocol())
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(inputs), plain(**inputs).logits, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [*KINDS, *RELATIVES, *SHARED])
@pytest.mark.parametrize("head", ["own", "linear", "mean"])
def test_skeleton_has_the_same_parameters_without_weights(kind: str, head: str) -> None:
    settings = HeadSettings(type=head)
    real, meta = load_classifier(model_folder(kind), LABELS, settings), skeleton(model_folder(kind), LABELS, settings)
    shapes = {name: (p.shape, p.requires_grad) for name, p in real.network.named_parameters()}
    assert {name: (p.shape, p.requires_grad) for name, p in meta.network.named_parameters()} == shapes
    assert all(p.device.type == "meta" for p in meta.network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_head_weights_follow_the_seed(kind: str) -> None:
    def head(seed: int) -> torch.Tensor:
        classifier = load_classifier(model_folder(kind), LABELS, seed=seed)
        return torch.cat([p.flatten() for _, p in classifier.trained()])

    torch.testing.assert_close(head(1), head(1), rtol=0, atol=0)
    assert not torch.equal(head(1), head(2))


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        *((kind, 64) for kind in ("bert", "roberta", "electra", "distilbert", "modernbert", "mpnet", "albert")),
        *((kind, 64) for kind in RELATIVES),
        ("deberta-v2", None),
    ],
)
def test_longest_text(kind: str, limit: int | None) -> None:
    classifier = load_classifier(model_folder(kind), LABELS)
    assert classifier.family.max_tokens(classifier.config) == limit
