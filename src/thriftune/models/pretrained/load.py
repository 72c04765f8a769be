"""Loads a pretrained model with a fresh classification head."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from thriftune.errors import InputError, first_line
from thriftune.models.classifier import Classifier
from thriftune.models.families import family_of
from thriftune.models.families.base import Family
from thriftune.models.families.guess import guess_family
from thriftune.models.head import HeadSettings, linear_head
from thriftune.models.padding import is_causal, settle_padding
from thriftune.models.pretrained.checkpoint import Checkpoint, read_checkpoint
from thriftune.models.pretrained.folder import check_config, check_folder, identity, read_config
from thriftune.models.pretrained.placeholders import Placeholders, load_network
from thriftune.models.pretrained.quiet import quiet
from thriftune.models.pretrained.selection import Origin, Outline, Selection, outline_of, require_all, select
from thriftune.models.pretrained.tokenizer import load_tokenizer
from thriftune.models.weights import StoredTensor


def load_config(folder: Path) -> PretrainedConfig:
    """The architecture's configuration.

    Raises `InputError` where transformers does not know it, or where it asks for code or quantised weights.
    """
    check_config(folder, read_config(folder), CONFIG_MAPPING)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        return config
    except Exception as error:  # a wrong type in config.json raises whatever the first to read it raises
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: Exception) -> InputError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return InputError(f"{folder / 'config.json'} cannot be used: {said[:300]}")


def load_classifier(
    folder: Path,
    labels: tuple[str, ...],
    head: HeadSettings | None = None,
    name: str | None = None,
    seed: int = 0,
    without: int | None = None,
    stored_head: bool = False,
) -> Classifier:
    """A classifier from pretrained weights in float32, everything frozen but its head.

    The head is drawn from `seed`, unless the checkpoint's has the same labels: then its rows are put in their order.
    A pooler inside the encoder, and layers below the output that a pretraining left, are kept where they are stored.
    With `stored_head` (a folder that `save_classifier` wrote) the head is taken as it is.

    `without` leaves out the embeddings and so many of the lowest layers (shapes without weights, which `stored`
    reads), where the checkpoint's tensors can be told apart; else all is loaded. Raises `InputError` where the folder
    holds no usable weights, or not all of the encoder's.
    """
    head = head or HeadSettings()
    check_folder(folder)
    target = _target(folder, labels, head)
    checkpoint = read_checkpoint(folder)
    selection = select(checkpoint, _outline(target), target.origin, None if stored_head else labels)
    classifier = None if without is None else _without_lowest(checkpoint, target, selection, name, seed, without)
    if classifier is None:
        classifier = _whole(checkpoint, target, selection, name, seed)
    selection.order(classifier.network)
    classifier.tokenizer = load_tokenizer(folder)
    settle_padding(classifier)
    return classifier


@dataclass(frozen=True)
class _Target:
    """What a checkpoint is loaded into."""

    folder: Path
    labels: tuple[str, ...]
    head: HeadSettings
    auto: Any
    cls: type[PreTrainedModel]
    config: PretrainedConfig
    origin: Origin
    options: dict[str, Any]


def used_tensors(folder: Path, labels: tuple[str, ...], head: HeadSettings | None = None) -> list[StoredTensor]:
    """The tensors of a model's files that a classifier takes; raises `InputError` as `load_classifier` does."""
    check_folder(folder)
    target = _target(folder, labels, head or HeadSettings())
    checkpoint = read_checkpoint(folder)
    selection = select(checkpoint, _outline(target), target.origin, labels)
    network, info = _placed(Placeholders(selection.tensors), target, seed=0)
    return require_all(checkpoint, selection, network, info)[0]


def _target(folder: Path, labels: tuple[str, ...], head: HeadSettings) -> _Target:
    config = load_config(folder)
    stored = {int(row): name for row, name in (config.id2label or {}).items()}
    architectures = config.architectures or []
    if not isinstance(architectures, list) or not all(isinstance(name, str) for name in architectures):
        raise InputError(f"{folder / 'config.json'} has architectures: {architectures}, a list of names is needed.")
    origin = Origin(stored, tuple(architectures))
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    auto: Any = AutoModel if head.bare else AutoModelForSequenceClassification
    classes = auto._model_mapping.get(type(config), None)
    if classes is None:
        raise InputError(
            f'The model in {folder} cannot be loaded: the architecture "{config.model_type}" has no '
            f"{'encoder' if head.bare else 'classifier of texts'} in transformers, and code from a model's "
            "folder is never run. Use a text encoder such as BERT, RoBERTa, ELECTRA, DistilBERT or DeBERTa."
        )
    if isinstance(classes, tuple):
        classes = next((cls for cls in classes if cls.__name__ in origin.architectures), classes[0])
    options = _without_pooler(classes) if head.bare else {}
    return _Target(folder, labels, head, auto, classes, config, origin, options)


def _outline(target: _Target) -> Outline:
    config = target.folder / "config.json"
    return _outline_of(target.folder, target.labels, target.head, *identity(config))


@lru_cache(maxsize=32)
def _outline_of(folder: Path, labels: tuple[str, ...], head: HeadSettings, *_: int) -> Outline:
    target = _target(folder, labels, head)
    with quiet(), _loading(target), torch.device("meta"):
        return outline_of(_from_config(target))


def _placed(placeholders: Placeholders, target: _Target, seed: int) -> tuple[PreTrainedModel, dict[str, Any]]:
    with quiet(), _loading(target), _seeded(seed):
        return placeholders.network(target.cls, target.config, target.options)


def _without_lowest(
    checkpoint: Checkpoint, target: _Target, selection: Selection, name: str | None, seed: int, layers: int
) -> Classifier | None:
    """The classifier without its embeddings and lowest layers; None where the checkpoint does not allow it."""
    if not checkpoint.has_headers:
        return None
    placeholders = Placeholders(selection.tensors)
    network, info = _placed(placeholders, target, seed)
    _, notes = require_all(checkpoint, selection, network, info)
    with _seeded(seed):
        classifier = _classifier(target, network, name, (*selection.notes, *notes))
    below = classifier.family.below(classifier.encoder, layers)
    classifier.stored = placeholders.fill(classifier.network, below)
    return None if classifier.stored is None else classifier


def _whole(checkpoint: Checkpoint, target: _Target, selection: Selection, name: str | None, seed: int) -> Classifier:
    keys = {name: tensor.key for name, tensor in selection.tensors.items()}
    with quiet(), _loading(target), _seeded(seed), checkpoint.opened(keys.values()) as values:
        tensors = {name: values[key] for name, key in keys.items()}
        network, info = load_network(target.cls, target.config, target.options, tensors)
    _, notes = require_all(checkpoint, selection, network, info)
    with _seeded(seed):
        return _classifier(target, network, name, (*selection.notes, *notes))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def _loading(target: _Target) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    # An architecture fails in its own way over a value that its configuration should not have.
    except Exception as error:
        raise InputError(f"The model in {target.folder} cannot be loaded: {first_line(error)}") from error


def skeleton(
    folder: Path,
    labels: tuple[str, ...],
    head: HeadSettings | None = None,
    name: str | None = None,
    device: str = "meta",
) -> Classifier:
    """The same classifier from config.json alone: on the meta device, which has shapes without weights.

    On another device its weights are random. It has no tokenizer. Raises `InputError` where the configuration cannot
    be used.
    """
    target = _target(folder, labels, head or HeadSettings())
    with quiet(), _loading(target), torch.device(device):
        return _classifier(target, _from_config(target), name, ())


def _from_config(target: _Target) -> PreTrainedModel:
    config = copy.deepcopy(target.config)
    try:
        network: PreTrainedModel = target.auto.from_config(
            config, dtype=torch.float32, trust_remote_code=False, **target.options
        )
    except Exception as error:  # nothing but config.json is read here
        raise _unusable(target.folder, error) from error
    return network


def _classifier(target: _Target, made: PreTrainedModel, name: str | None, notes: tuple[str, ...]) -> Classifier:
    """The classifier around a network of the target's class, with a new head where that is a bare encoder."""
    head, config = target.head, made.config
    network: nn.Module = made
    encoder: PreTrainedModel = made
    if head.bare:
        _check_bare_head(config, head)
        network = linear_head(encoder, len(target.labels), head)
    else:
        encoder = made.base_model  # type: ignore[assignment]
    known = family_of(config.model_type)
    family = known or guess_family(made)
    if not head.bare and head.dropout is not None:
        _set_head_dropout(network, encoder, head.dropout)
    classifier = Classifier(
        network=network,
        encoder=encoder,
        family=family,
        head=head,
        head_names=("classifier",) if head.bare else tuple(family.head_paths(made)),
        labels=target.labels,
        name=name or target.folder.name,
        path=target.folder,
        notes=(*_architecture_notes(config, family, known is not None), *notes),
    )
    classifier.freeze()
    return classifier


def _check_bare_head(config: PretrainedConfig, head: HeadSettings) -> None:
    """Raises `InputError` where the first token has not seen the text, or the encoder takes two inputs."""
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f'head.type {head.type} needs an encoder alone; "{kind}" has a decoder too. Use head.type own.'
        )
    if head.type == "mean" and hasattr(config, "block_sizes"):
        raise InputError(
            f'head.type mean reads every token, which "{kind}" pools. Use head.type own or linear; with embeddings, '
            "pooling: first."
        )
    if head.type == "linear" and (is_causal(config) or getattr(config, "is_decoder", False)):
        raise InputError(
            f'head.type linear reads the first token, which in a decoder ("{kind}") has seen no other. '
            "Use head.type own, which reads the last one, or mean, which reads all."
        )


def _architecture_notes(config: PretrainedConfig, family: Family, known: bool) -> Iterator[str]:
    """What was guessed of an architecture, and what a packed family cannot pack."""
    if not known:
        layers = f"its layers are {family.layers}"
        if family.layers is None:
            layers = f"its layers are not known: {family.why_no_layers}"
        kind = config.model_type
        yield f'The architecture "{kind}" is not known by name; it trains through its own forward ({layers}).'
    elif family.shared_dropout:
        yield "Dropout is on in frozen layers too, wherever one is trained: the model's forward treats them alike."
    elif family.packs and not family.can_pack(config):
        yield "The configuration says is_decoder, so the model trains through its own forward, with its own mask."


def _without_pooler(cls: type[PreTrainedModel]) -> dict[str, Any]:
    """The option that leaves out a pooler which a linear head would not read, where the model has one."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(cls).parameters else {}


def _set_head_dropout(network: nn.Module, encoder: nn.Module, rate: float) -> None:
    encoder_parts = {id(part) for part in encoder.modules()}
    for part in network.modules():
        if isinstance(part, nn.Dropout) and id(part) not in encoder_parts:
            part.p = rate
