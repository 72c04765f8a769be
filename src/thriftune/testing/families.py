"""The contract of a family: where layers and head are, what the cut is, and that its forwards are transformers' own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from thriftune.engine.batches import padded_batch
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.models import families
from thriftune.models.classifier import Classifier
from thriftune.models.families.base import Family
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier, skeleton
from thriftune.testing.check import Check, expect, run
from thriftune.testing.texts import LABELS, examples

Head = Literal["own", "linear", "mean"]
HEADS: tuple[Head, ...] = get_args(Head)


def check_family(family: Family, folder: Path) -> None:
    """Runs every check of `family_checks`; raises `AssertionError` that says what is broken."""
    run(family_checks(family, folder))


def family_checks(family: Family, folder: Path) -> Iterator[Check]:
    """The checks of a family on a model of it: a folder with weights, config.json and tokenizer.

    `thriftune.testing.save_model` writes a tiny one; it needs two layers or more. The family serves its model types
    while a check runs, whether or not it is installed.
    """
    once = {"logits": plain_logits, "seed": seeded_head}
    if not family.shared_layers:
        once |= {"head": head_outside, "cut": cut_follows, "dropout": frozen_dropout}
    for what, work in once.items():
        yield Check(f"{what}: {family.model_types[0]}", partial(_with, family, partial(work, folder)))
    with serving(family):
        heads = heads_of(folder)
    for what, check in {"trained": only_the_head, "shapes": on_shapes, "packed": packed_logits}.items():
        for head in heads:
            yield Check(
                f"{what}: {family.model_types[0]}, {head} head", partial(_with, family, partial(check, folder, head))
            )


def heads_of(folder: Path) -> list[Head]:
    """The heads that a model takes: a decoder's first token has seen no other, some encoders pool their tokens."""
    refused: list[Head] = []
    for head in HEADS:
        try:
            skeleton(folder, LABELS, HeadSettings(type=head))
        except InputError:
            refused.append(head)
    return [head for head in HEADS if head not in refused]


def _with(family: Family, work: partial[None]) -> None:
    with serving(family):
        work()


@contextmanager
def serving(family: Family) -> Iterator[None]:
    """The family serves its model types, as if it were installed."""
    known = families.discover()
    before = dict(known)
    known.update(dict.fromkeys(family.model_types, family))
    try:
        yield
    finally:
        known.clear()
        known.update(before)


def loaded(folder: Path, head: Head = "own", seed: int = 0) -> Classifier:
    """The classifier of a model folder."""
    return load_classifier(folder, LABELS, HeadSettings(type=head), seed=seed)


def only_the_head(folder: Path, head: Head) -> None:
    """A fresh classifier trains its head alone; all layers are found."""
    classifier = loaded(folder, head)
    head_parameters = {id(p) for module in classifier.head_modules for p in module.parameters()}
    expect(bool(head_parameters), "the head has no parameters")
    expect({id(p) for _, p in classifier.trained()} == head_parameters, "something beside the head is trained")
    expect(classifier.cut == len(classifier.layers), "the cut is not above the last layer")
    counts = classifier.counts()
    trained = sum(p.numel() for _, p in classifier.trained())
    expect(counts.trained == counts.head == trained, f"{trained} numbers are trained, {counts} are counted")
    expect(counts.total == sum(p.numel() for p in classifier.network.parameters()), "some parameters are not counted")


def on_shapes(folder: Path, head: Head) -> None:
    """The model without weights has the same parameters."""
    real, meta = loaded(folder, head), skeleton(folder, LABELS, HeadSettings(type=head))
    shapes = {name: (p.shape, p.requires_grad) for name, p in real.network.named_parameters()}
    expect(
        {name: (p.shape, p.requires_grad) for name, p in meta.network.named_parameters()} == shapes,
        "on shapes alone it has other parameters",
    )
    expect(all(p.device.type == "meta" for p in meta.network.parameters()), "on shapes alone it has weights")


def head_outside(folder: Path) -> None:
    """The head is everything outside the encoder, and its pooler."""
    classifier = loaded(folder)
    encoder = sum(p.numel() for name, p in classifier.encoder.named_parameters() if not name.startswith("pooler."))
    expect(classifier.counts().head == classifier.counts().total - encoder, "the head is not all outside the encoder")


def cut_follows(folder: Path) -> None:
    """The cut lies below the lowest trained layer; trained embeddings leave none."""
    classifier = loaded(folder)
    last = len(classifier.layers) - 1
    classifier.layers[last].requires_grad_(True)
    expect(classifier.cut == last, f"with the last layer trained the cut is {classifier.cut}")
    next(classifier.layers[0].parameters()).requires_grad_(True)
    expect(classifier.cut == 0, f"with the first layer trained the cut is {classifier.cut}")
    classifier.encoder.get_input_embeddings().weight.requires_grad_(True)
    expect(classifier.cut is None, f"with the embeddings trained the cut is {classifier.cut}")


def frozen_dropout(folder: Path) -> None:
    """`frozen_dropout: off` leaves dropout on from the cut up, `on` everywhere."""
    classifier = loaded(folder)
    last = len(classifier.layers) - 1
    classifier.layers[last].requires_grad_(True)
    classifier.train_mode(frozen_dropout=False)
    modes = [layer.training for layer in classifier.layers]
    wanted = [classifier.family.shared_dropout] * last + [True]
    expect(modes == wanted, f"the layers' training modes are {modes}, not {wanted}")
    expect(all(module.training for module in classifier.head_modules), "the head's dropout is off")
    if not classifier.family.shared_dropout:
        expect(not classifier.encoder.get_input_embeddings().training, "the embeddings' dropout is on")
    classifier.train_mode(frozen_dropout=True)
    expect(all(layer.training for layer in classifier.layers), "frozen_dropout: on leaves a layer's dropout off")


def plain_logits(folder: Path) -> None:
    """The reference path has the logits of the model as transformers loads it, to the last bit."""
    classifier = loaded(folder, seed=3)
    plain = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(LABELS)).eval()
    plain.config.pad_token_id = classifier.config.pad_token_id  # a decoder may name none
    plain.load_state_dict(classifier.network.state_dict())
    classifier.eval_mode()
    inputs = padded_batch(examples(classifier, 5).tokens, np.arange(5), classifier, Protocol())
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(inputs), plain(**inputs).logits, rtol=0, atol=0)


def packed_logits(folder: Path, head: Head) -> None:
    """The packed forward, where there is one, has the logits of the reference path."""
    classifier = loaded(folder, head)
    protocol = Protocol(max_tokens=32, batch_size=6)
    expected = predict(classifier, examples(classifier, 20), replace(protocol, padding="longest"))
    found = predict(classifier, examples(classifier, 20), protocol)
    np.testing.assert_allclose(found, expected, atol=2e-5, err_msg="packed and padded logits differ")
    expect(float(expected.std()) > 1e-3, "all texts have the same logits")


def seeded_head(folder: Path) -> None:
    """The head's first weights come from the seed alone."""

    def head(seed: int) -> torch.Tensor:
        return torch.cat([p.flatten() for _, p in loaded(folder, seed=seed).trained()])

    expect(torch.equal(head(1), head(1)), "one seed gives two heads")
    expect(not torch.equal(head(1), head(2)), "two seeds give one head")
