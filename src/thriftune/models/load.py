"""Loads a pretrained model with a fresh classification head."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from thriftune.errors import InputError
from thriftune.models.classifier import Classifier
from thriftune.models.families import family_of
from thriftune.models.families.base import guess_family
from thriftune.models.head import HeadSettings, linear_head
from thriftune.models.sources import weight_files
from thriftune.models.stored import Placeholders, safetensors_files

TOKENIZER_FILES = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken")


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers' loading notices (a new head is expected here) from the user's screen."""
    before = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        if bars:
            transformers_logging.enable_progress_bar()


def load_config(folder: Path) -> PretrainedConfig:
    """The architecture's configuration; raises `InputError` where transformers does not know it."""
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder)
        return config
    except Exception as error:  # a wrong type in config.json raises whatever the first to read it raises
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: Exception) -> InputError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return InputError(f"{folder / 'config.json'} cannot be used: {said[:300]}")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The model's fast tokenizer; raises `InputError` where the folder has none."""
    # Without any of its files transformers makes a tokenizer that knows no word.
    if not has_tokenizer(folder):
        raise InputError(f"{folder} has no tokenizer. Save tokenizer.json (or the files it is made from) there.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    except Exception as error:
        raise InputError(
            f"The tokenizer in {folder} cannot be loaded: {_line(error)}. "
            "The folder needs tokenizer.json (or the files it is made from)."
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"The tokenizer in {folder} has no fast version; save a tokenizer.json beside it.")
    return tokenizer


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer's files."""
    return any(path.is_file() for pattern in TOKENIZER_FILES for path in folder.glob(pattern))


def token_types(config: PretrainedConfig) -> bool:
    """Whether models of this configuration tell segments apart by token type ids."""
    family = family_of(config.model_type)
    if family is None:
        return getattr(config, "type_vocab_size", 0) > 1
    return family.uses_token_types(config)


def longest_text(config: PretrainedConfig) -> int | None:
    """The most tokens that the model's position table allows; None where there is no limit."""
    family = family_of(config.model_type)
    return family.max_tokens(config) if family is not None else getattr(config, "max_position_embeddings", None)


def load_classifier(
    folder: Path,
    labels: tuple[str, ...],
    head: HeadSettings | None = None,
    name: str | None = None,
    seed: int = 0,
    without: int | None = None,
) -> Classifier:
    """A classifier from pretrained weights in float32, everything frozen but its head.

    New head weights are drawn from `seed`. `without` leaves out the embeddings and so many of the lowest layers
    (shapes without weights, which `stored` reads), where the checkpoint's tensors can be told apart; else all is
    loaded. Raises `InputError` where the folder holds no usable weights.
    """
    if not weight_files(folder):
        raise InputError(f"{folder} has a config.json but no weights (model.safetensors). Add the weight file.")
    head = head or HeadSettings()
    classifier = None if without is None else _without_lowest(folder, labels, head, name, seed, without)
    if classifier is None:
        classifier = _whole(folder, labels, head, name, seed)
    classifier.tokenizer = load_tokenizer(folder)
    return classifier


def _whole(folder: Path, labels: tuple[str, ...], head: HeadSettings, name: str | None, seed: int) -> Classifier:

    def make(auto: Any, config: PretrainedConfig, options: dict[str, Any]) -> Any:
        return auto.from_pretrained(folder, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, **options)

    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build(folder, labels, head, name, make)


def _without_lowest(
    folder: Path, labels: tuple[str, ...], head: HeadSettings, name: str | None, seed: int, layers: int
) -> Classifier | None:
    """The classifier without its embeddings and lowest layers; None where the checkpoint does not allow it."""
    files = safetensors_files(folder)
    if not files:
        return None
    placeholders = Placeholders(files)

    def make(auto: Any, config: PretrainedConfig, options: dict[str, Any]) -> Any:
        return placeholders.network(auto._model_mapping[type(config)], config, options)

    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = _build(folder, labels, head, name, make)
    return classifier if placeholders.fill(classifier, layers) else None


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

    def make(auto: Any, config: PretrainedConfig, options: dict[str, Any]) -> Any:
        try:
            return auto.from_config(config, dtype=torch.float32, **options)
        except Exception as error:  # nothing but config.json is read here
            raise _unusable(folder, error) from error

    with quiet(), torch.device(device):
        return _build(folder, labels, head or HeadSettings(), name, make)


Make = Callable[[Any, PretrainedConfig, dict[str, Any]], Any]
"""Makes a model: (auto class, configuration, constructor options) -> model."""


def _build(folder: Path, labels: tuple[str, ...], head: HeadSettings, name: str | None, make: Make) -> Classifier:
    config = load_config(folder)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    try:
        if head.type == "own":
            network = make(AutoModelForSequenceClassification, config, {})
            encoder = network.base_model
        else:
            encoder = make(AutoModel, config, _without_pooler(config))
            network = linear_head(encoder, len(labels), 0.1 if head.dropout is None else head.dropout)
    except (ValueError, OSError, RuntimeError, KeyError, SafetensorError) as error:
        raise InputError(f"The model in {folder} cannot be loaded: {_line(error)}") from error
    known = family_of(config.model_type)
    family = known or guess_family(network if head.type == "own" else encoder)
    if head.type == "own" and head.dropout is not None:
        _set_head_dropout(network, encoder, head.dropout)
    classifier = Classifier(
        network=network,
        encoder=encoder,
        family=family,
        head=head,
        head_names=tuple(family.head_paths(network)) if head.type == "own" else ("classifier",),
        labels=labels,
        name=name or folder.name,
        path=folder,
        notes=() if known else (_unknown_note(config),),
    )
    classifier.freeze()
    return classifier


def _unknown_note(config: PretrainedConfig) -> str:
    return f'The architecture "{config.model_type}" is not known by name; it trains through its own forward.'


def _without_pooler(config: PretrainedConfig) -> dict[str, Any]:
    """The option that leaves out a pooler which a linear head would not read, where the model has one."""
    model_class: Any = AutoModel._model_mapping.get(type(config), None)
    if model_class is None or "add_pooling_layer" not in inspect.signature(model_class).parameters:
        return {}
    return {"add_pooling_layer": False}


def _set_head_dropout(network: nn.Module, encoder: nn.Module, rate: float) -> None:
    encoder_parts = {id(part) for part in encoder.modules()}
    for part in network.modules():
        if isinstance(part, nn.Dropout) and id(part) not in encoder_parts:
            part.p = rate


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
