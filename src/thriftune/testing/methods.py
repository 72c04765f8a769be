"""The contract of a method: how it is described and stored in a study, what it trains, and what it leaves on disk."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.train import Task, fit
from thriftune.errors import InputError
from thriftune.methods.base import Baseline, Labelled, Method, TransformerMethod, flaw
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier, skeleton
from thriftune.models.trained.save import delta_bytes, save_classifier
from thriftune.study.file.config import study_from_dict, study_to_dict
from thriftune.testing.check import Check, expect, run
from thriftune.testing.models import KINDS, tiny_model
from thriftune.testing.texts import LABELS, examples, pairs

PROTOCOL = Protocol(epochs=2, batch_size=8, max_tokens=32)


def check_method(method: Method, kinds: Sequence[str] = KINDS, refused: Sequence[str] = ()) -> None:
    """Runs every check of `method_checks`; raises `AssertionError` that says what is broken."""
    run(method_checks(method, kinds, refused))


def method_checks(method: Method, kinds: Sequence[str] = KINDS, refused: Sequence[str] = ()) -> Iterator[Check]:
    """The checks of a method with its settings, such as `MyMethod(rank=4)`.

    A method that trains a model is tried on tiny models of `kinds` (`thriftune.testing.models.KINDS`); those in
    `refused` it must refuse by `InputError`.
    """
    yield Check(f"{method.NAME} is described", partial(described, method))
    yield Check(f"{method.NAME} stands in a study", partial(in_a_study, method))
    if isinstance(method, Baseline):
        yield Check(f"{method.NAME} predicts", partial(predicts, method))
    if isinstance(method, TransformerMethod):
        fitting = [kind for kind in kinds if kind not in refused]
        yield Check(f"{method.NAME} learns: {fitting[0]}", partial(learns, method, fitting[0]))
        yield Check(f"{method.NAME} follows its generator: {fitting[0]}", partial(follows_rng, method, fitting[0]))
        for kind in fitting:
            yield Check(f"{method.NAME} fits: {kind}", partial(fits, method, kind))
            yield Check(f"{method.NAME} is stored: {kind}", partial(is_stored, method, kind))
        for kind in refused:
            yield Check(f"{method.NAME} refuses: {kind}", partial(refuses, method, kind))


def described(method: Method) -> None:
    """A study can name it, and `thriftune methods` has something to print."""
    if isinstance(method, TransformerMethod | Baseline):
        why = flaw(type(method))
        expect(why is None, f"it {why}")
    expect(method.flat()["name"] == method.NAME, "flat() does not hold its name")
    expect(bool(method.label), "its label is empty")


def in_a_study(method: Method) -> None:
    """Written into a study file and read again it is the same; so it is in another process."""
    entry = {method.NAME: {key: value for key, value in method.flat().items() if key != "name"}}
    model = {"models": [str(tiny_model())]} if method.NEEDS_MODEL else {}
    data = {"source": "a.csv", "text": "text"}
    study = study_from_dict({"name": "s", "data": data, "methods": [entry], **model}, Path())
    expect(study.methods == (method,), f"read from a study file it is {study.methods[0]}")
    again = study_from_dict(json.loads(json.dumps(study_to_dict(study))), Path())
    expect(again.methods == (method,), f"written and read again it is {again.methods[0]}")
    expect(pickle.loads(pickle.dumps(method)) == method, "pickled it is another")  # noqa: S301 - our own bytes


def applied(method: Method, kind: str) -> Classifier:
    """A tiny classifier with the method applied."""
    classifier = load_classifier(tiny_model(kind), LABELS)
    assert isinstance(method, TransformerMethod)
    method.apply(classifier, torch.Generator().manual_seed(0))
    return classifier


def fits(method: TransformerMethod, kind: str) -> None:
    """It trains the head, and on shapes alone marks the same as on weights."""
    classifier = applied(method, kind)
    counts = classifier.counts()
    expect(counts.head == load_classifier(tiny_model(kind), LABELS).counts().head, "the head is another")
    expect(counts.total >= counts.trained >= counts.head > 0, f"it does not train the head: {counts}")
    expect(sum(p.numel() for _, p in classifier.trained()) == counts.trained, "what is trained is counted otherwise")
    on_shapes = skeleton(tiny_model(kind), LABELS)
    method.apply(on_shapes, torch.Generator())
    expect(on_shapes.counts() == counts, f"on shapes alone it trains {on_shapes.counts()}, on weights {counts}")
    expect(on_shapes.cut == classifier.cut, "on shapes alone it has another depth")


def follows_rng(method: TransformerMethod, kind: str) -> None:
    """New weights come from the generator alone: two classifiers are alike."""
    first, second = (dict(applied(method, kind).root.named_parameters()) for _ in range(2))
    different = [name for name, parameter in first.items() if not torch.equal(parameter, second[name])]
    expect(not different, f"two applications with one generator differ in {', '.join(different[:3])}")


def learns(method: TransformerMethod, kind: str) -> None:
    """Training gives finite losses, moves what it marks as trained and nothing else."""
    classifier = applied(method, kind)
    marked = {name for name, _ in classifier.trained()}
    before = {name: p.detach().clone() for name, p in classifier.root.named_parameters()}
    with TemporaryDirectory() as folder:
        task = Task(
            classifier,
            examples(classifier, 32),
            examples(classifier, 16, seed=9),
            PROTOCOL,
            method.learning_rates[0],
            0,
            Path(folder) / "best.safetensors",
            method.watch(classifier),
        )
        losses = [point.loss for point in fit(task).steps]
    expect(bool(np.isfinite(losses).all()), f"losses are {losses}")
    after = dict(classifier.root.named_parameters())
    moved = {name for name, value in before.items() if name in after and not torch.equal(value, after[name])}
    expect(bool(moved), "training moved nothing")
    expect(moved <= marked, f"training moved {', '.join(sorted(moved - marked)[:3])}, which is not marked as trained")


def is_stored(method: TransformerMethod, kind: str) -> None:
    """What is stored predicts the same where transformers or PEFT alone load it."""
    classifier = applied(method, kind)
    with torch.no_grad():
        for index, (_, parameter) in enumerate(classifier.trained()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)), alpha=0.05)
    with TemporaryDirectory() as name:
        stored_alike(classifier, tiny_model(kind), Path(name))


def stored_alike(classifier: Classifier, base: Path, folder: Path) -> None:
    """Stores a classifier with its own head in the folder, and loads it with transformers or PEFT alone."""
    stored = save_classifier(classifier, folder)
    expect(stored == sum(path.stat().st_size for path in folder.glob("*.safetensors")), "stored bytes are others")
    expect(stored >= delta_bytes(classifier), "less is stored than was trained")
    if classifier.peft is not None:
        expect(stored < delta_bytes(classifier) + 20_000, "an adapter stores more than what was trained")
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(LABELS))
        model = PeftModel.from_pretrained(model, folder)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
    labels = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"]
    expect(list(labels.values()) == list(LABELS), f"config.json has the labels {labels}")
    first, second, _ = pairs(12)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(first, second, truncation=True, max_length=32, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**inputs).logits.numpy()
    expected = predict(classifier, examples(classifier, 12), PROTOCOL)
    np.testing.assert_allclose(logits, expected, atol=2e-5)
    expect(float(expected.std()) > 1e-3, "all texts have the same logits")


def refuses(method: TransformerMethod, kind: str) -> None:
    """A model that it cannot train is refused by `InputError`."""
    try:
        applied(method, kind)
    except InputError:
        return
    expect(False, f"it takes a {kind} model, which it should refuse")


def predicts(method: Baseline) -> None:
    """Probabilities for every class, the same from the same seed; a folder without pickles, of the bytes it says."""
    first, second, labels = pairs(200)
    train = Labelled([first, second], labels)
    fitted = method.fit(train, 4, seed=0)
    probabilities = fitted.predict([first, second])
    expect(probabilities.shape == (200, 4), f"200 texts of 4 classes give the shape {probabilities.shape}")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, err_msg="probabilities of a text do not sum to 1")
    expect(bool((probabilities[:, 3] == 0).all()), "a class that training never saw has a probability")
    again = method.fit(train, 4, seed=0).predict([first, second])
    np.testing.assert_array_equal(probabilities, again, err_msg="fitted twice with one seed it predicts otherwise")
    with TemporaryDirectory() as folder:
        size = fitted.save(Path(folder))
        files = list(Path(folder).iterdir())
        expect(size == sum(path.stat().st_size for path in files), "save() returns other bytes than it writes")
        expect(not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib")], "it writes a pickle")
