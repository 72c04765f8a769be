"""Loads a stored transformer: a whole model, or an adapter or regression on its base."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.engine.stored.reader import Reader
from thriftune.engine.stored.transformer import BATCH_SIZE, Transformer
from thriftune.results.files import read_json

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier
    from thriftune.models.trained.usage import Usage


def load_transformer(folder: Path, device: str, base: Path | None = None, merge: bool = True) -> Transformer:
    """The transformer that a run stored in a folder, on a device, cpu or cuda; with `merge` a LoRA update is merged.

    An adapter's base is `base` where that is given, else what the folder refers to. Raises `InputError` where files
    are missing or not what a run stores.
    """
    from thriftune.engine.gpu.precision import use_precision
    from thriftune.engine.protocol import Protocol
    from thriftune.models.pretrained.tokenizer import load_tokenizer, token_types
    from thriftune.models.trained.usage import Usage

    usage = Usage.read(folder)
    network = _network(folder, usage, base, merge)
    network.tokenizer = tokenizer = load_tokenizer(folder)
    network.padding_side = "left" if tokenizer.padding_side == "left" else "right"
    network.reads_padding = usage.alone
    network.move(device)
    precision = "fp32" if usage.precision == "tf32" and device == "cpu" else usage.precision
    protocol = Protocol(max_tokens=usage.max_tokens, precision=precision, batch_size=BATCH_SIZE)
    use_precision(protocol)
    return Transformer(
        network, Reader(tokenizer, usage, token_types(network.config, tokenizer)), protocol, usage.columns
    )


def _network(folder: Path, usage: Usage, base: Path | None, merge: bool) -> Classifier:
    """The encoder and the trained head: from the folder alone, or as an adapter of its base."""
    from safetensors.torch import load_file

    from thriftune.models.head import HeadSettings
    from thriftune.models.pretrained.load import load_classifier
    from thriftune.models.trained.reload import _base

    names = read_json(folder / "config.json")["id2label"]
    labels = tuple(str(names[key]) for key in sorted(names, key=int))
    head = HeadSettings(type=usage.head)
    if usage.base is None:
        network = load_classifier(folder, labels, head, stored_head=True)
    else:
        network = load_classifier(base or Path(_base(usage.base, folder)), labels, head)
        if not usage.frozen:
            _adapt(network, folder, merge and usage.precision == "fp32")
    if head.bare:
        network.network.get_submodule("classifier").load_state_dict(load_file(folder / "head.safetensors"))
    if usage.normalize:
        network.network.dropout = _unit_length()  # between what the head reads and its Linear
    network.network.requires_grad_(False)
    return network


def _adapt(network: Classifier, folder: Path, merge: bool) -> None:
    """Adds the stored adapter; a LoRA update is added to its matrices, so that it costs nothing."""
    from peft import PeftModel, PromptLearningConfig

    from thriftune.models.pretrained.quiet import quiet

    target: Any = network.encoder if network.head.bare else network.network
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is going away
        wrapped: Any = PeftModel.from_pretrained(target, str(folder))
        network.peft = wrapped
        network.input_tuner = isinstance(wrapped.peft_config["default"], PromptLearningConfig)
        if merge:
            merge_update(network)


def merge_update(network: Classifier) -> None:
    """Adds a LoRA update to its matrices, so that it costs nothing; other tuners stay."""
    wrapped: Any = network.peft
    if wrapped is not None and wrapped.peft_config["default"].peft_type == "LORA":
        wrapped.merge_and_unload()
        network.peft = None


def _unit_length() -> Any:
    import torch

    class UnitLength(torch.nn.Module):
        def forward(self, read: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.normalize(read, dim=-1)

    return UnitLength()
