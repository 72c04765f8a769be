"""Which of a checkpoint's tensors a network takes, and whether that is all it needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from thriftune.errors import InputError
from thriftune.models.labels import match_labels, named
from thriftune.models.pretrained.checkpoint import Checkpoint
from thriftune.models.pretrained.wrapper import wrapper_of
from thriftune.models.weights import FLOATS, StoredTensor
from thriftune.wording import first_of

PRETRAINED = ("Model", "ForMaskedLM", "ForPreTraining", "ForCausalLM")
"""Ends of architectures whose files may hold layers below a head's projection that belong to the pretraining."""

SHOWN = 3
"""Tensors that a message names."""


@dataclass(frozen=True)
class Origin:
    """What a checkpoint's config.json says of its head, before the study's labels take its place."""

    labels: Mapping[int, object]
    architectures: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """The tensors that are offered to a network."""

    tensors: dict[str, StoredTensor]
    """By the names that transformers knows."""
    projection: str | None = None
    """Path of the head's output projection where the checkpoint's head is kept."""
    rows: tuple[int, ...] = ()
    """The projection's row of each label."""
    dropped: tuple[str, ...] = ()
    """The head's tensors that the checkpoint has and the network does not take."""
    notes: tuple[str, ...] = ()

    def order(self, network: nn.Module) -> None:
        """Puts the rows of a kept head into the order of the study's labels."""
        if self.projection is None or list(self.rows) == sorted(self.rows):
            return
        module = network.get_submodule(self.projection)
        for parameter in module.parameters():
            parameter.data = parameter.data[list(self.rows)]


@dataclass(frozen=True)
class Outline:
    """The names and shapes of a network's tensors."""

    state: Mapping[str, tuple[int, ...]]
    prefix: str
    """What the names of the encoder's tensors begin with; empty for a bare encoder."""
    base: str
    """The name that the encoder has in a classification network."""
    projection: str | None
    """Path of the head's output layer."""


def outline_of(network: PreTrainedModel) -> Outline:
    """The outline of a network, be it on the meta device."""
    state = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    prefix = encoder_prefix(network)
    projection = output_projection(network, prefix, int(network.config.num_labels or 0))
    return Outline(state, prefix, str(network.base_model_prefix), projection)


def encoder_prefix(network: PreTrainedModel) -> str:
    """What the names of the encoder's tensors begin with; empty for a bare encoder."""
    prefix = str(network.base_model_prefix)
    return f"{prefix}." if prefix and network.base_model is not network else ""


def select(checkpoint: Checkpoint, outline: Outline, origin: Origin, labels: tuple[str, ...] | None) -> Selection:
    """Names without their wrapper, and the stored head where its labels are the study's.

    `labels` None: the head is kept as it is stored.
    """
    state, prefix, projection = outline.state, outline.prefix, outline.projection
    encoder = {name.removeprefix(prefix) for name in state if name.startswith(prefix)}
    wrapper = wrapper_of(checkpoint.tensors.keys(), encoder, outline.base)
    tensors = {key.removeprefix(wrapper): tensor for key, tensor in checkpoint.tensors.items()}
    if len(tensors) < len(checkpoint.tensors):  # a name with and without the wrapper: two models in one file
        wrapper, tensors = "", dict(checkpoint.tensors)
    _require_size(checkpoint, tensors, state, prefix)
    notes = []
    if wrapper:
        notes.append(f'The names of the checkpoint\'s tensors begin with "{wrapper}", which is left out.')
    outside = {name: shape for name, shape in state.items() if not name.startswith(prefix)}
    # A bare encoder's own tensor may have such a name; transformers puts the prefix before it.
    stored = tuple(name for name in outside if name in tensors and f"{prefix}{name}" not in state)
    if labels is None or not stored:
        return Selection(tensors, projection if labels is None else None, notes=tuple(notes))
    fits = all(name in tensors and tensors[name].shape == shape for name, shape in outside.items())
    rows = match_labels(origin.labels, labels)
    reason = _foreign(origin, labels)
    if projection is None or f"{projection}.weight" not in tensors:
        layers = [name for name in outside if projection is None or not name.startswith(f"{projection}.")]
        own = all(name.endswith(PRETRAINED) for name in origin.architectures)
        if projection is not None and own and all(n in tensors and tensors[n].shape == outside[n] for n in layers):
            return Selection(tensors, notes=tuple(notes))
        reason = reason or "its output layer is not in the file"
    elif fits and rows is not None and reason is None:
        order = "" if list(rows) == sorted(rows) else ", its rows put in the study's order"
        notes.append(f"The checkpoint's classification head is kept: its labels are the study's{order}.")
        return Selection(tensors, projection, rows, (), tuple(notes))
    reason = reason or "its layers are not this architecture's"
    notes.append(f"The checkpoint's classification head is not used, a new one is drawn from the seed: {reason}.")
    kept = {name: tensor for name, tensor in tensors.items() if name not in outside}
    return Selection(kept, dropped=stored, notes=tuple(notes))


def _foreign(origin: Origin, labels: tuple[str, ...]) -> str | None:
    """Why a stored head is not the study's; None where its labels are."""
    other = [name for name in origin.architectures if not name.endswith((*PRETRAINED, "ForSequenceClassification"))]
    if other:
        return f"it belongs to another task ({other[0]})"
    if not named(origin.labels):
        return f"its {len(origin.labels)} labels have no names (LABEL_0, ...)"
    if match_labels(origin.labels, labels) is None:
        names = [str(origin.labels[row]) for row in sorted(origin.labels)]
        return f"its {len(names)} labels ({first_of(names, SHOWN)}) are not the study's"
    return None


def output_projection(network: nn.Module, prefix: str, classes: int) -> str | None:
    """Path of the last Linear outside the encoder with one output for each class."""
    found = [
        path
        for path, module in network.named_modules()
        if prefix and not f"{path}.".startswith(prefix) and isinstance(module, nn.Linear)
        if module.out_features == classes
    ]
    return found[-1] if found else None


def require_all(
    checkpoint: Checkpoint, selection: Selection, network: PreTrainedModel, info: Mapping[str, Any]
) -> tuple[list[StoredTensor], tuple[str, ...]]:
    """What a network took, and notes on what it did not; raises `InputError` where the encoder lacks tensors.

    `info` is transformers' account of the loading. A pooler is part of the head: it may be missing altogether.
    """
    prefix = encoder_prefix(network)
    parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    missing = sorted(name for name in info["missing_keys"] if name in parameters)
    other = {name: (tuple(found), tuple(wanted)) for name, found, wanted in sorted(info["mismatched_keys"])}
    pooler = {name for name in parameters if name.startswith(f"{prefix}pooler.")}
    if pooler <= set(missing):
        missing = [name for name in missing if name not in pooler]
    inside = [name for name in missing if name.startswith(prefix)]
    failed = [f"{name} cannot be converted" for name in sorted(info.get("conversion_errors") or ())]
    shapes = {name: pair for name, pair in other.items() if name.startswith(prefix)}
    unused = sorted(str(name) for name in info["unexpected_keys"])
    # Which a linear head is defined not to read.
    poolers = () if prefix else ("pooler.", f"{network.base_model_prefix}.pooler.")
    said = [name for name in unused if not name.startswith(poolers)]
    if inside or shapes or failed:
        raise InputError(_incomplete(checkpoint, inside, shapes, failed, said))
    inherited = set(selection.dropped) - set(missing) - set(other)
    lost = [name for name in (*missing, *other) if selection.projection is not None]
    if inherited or lost:
        raise InputError(
            f"The classification head in {checkpoint.folder} cannot be told from the encoder "
            f"({first_of(sorted(inherited) or lost, SHOWN)}). Save the model without its head (AutoModel, "
            "save_pretrained)."
        )
    # Buffers that are made anew, such as GPT-2's masks of integers: transformers passes over them in silence.
    buffers = [re.compile(pattern) for pattern in network._keys_to_ignore_on_load_unexpected or ()]
    used = [
        tensor
        for name, tensor in selection.tensors.items()
        if not {name, f"{prefix}{name}"} & set(unused) and not any(pattern.search(name) for pattern in buffers)
    ]
    _require_floats(checkpoint, used)
    if not said:
        return used, ()
    plural = "tensors of the checkpoint are" if len(said) > 1 else "tensor of the checkpoint is"
    return used, (f"{len(said)} {plural} not used (first: {said[0]}).",)


def _require_floats(checkpoint: Checkpoint, used: Iterable[StoredTensor]) -> None:
    leaves = ("weight", "bias", "gamma", "beta")
    wrong = [t for t in used if t.dtype not in FLOATS and t.key.rpartition(".")[2] in leaves]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(
            f"The weights in {checkpoint.folder} are integers or quantised: {wrong[0].key} is {wrong[0].dtype}{more}. "
            "Training needs floating point weights: give the model that was not quantised, in float32, float16 or "
            "bfloat16."
        )


def _require_size(
    checkpoint: Checkpoint, tensors: Mapping[str, StoredTensor], state: Mapping[str, tuple[int, ...]], prefix: str
) -> None:
    """Refuses a network several times the size of its checkpoint before memory is taken for it."""
    sizes = {name: _elements(shape) for name, shape in state.items()}
    if sum(sizes.values()) <= 3 * sum(_elements(tensor.shape) for tensor in tensors.values()) + 10_000_000:
        return
    found = {name: tensors.get(name) or tensors.get(name.removeprefix(prefix)) for name in sizes}
    missing = [name for name, tensor in found.items() if tensor is None and name.startswith(prefix)]
    other = {n: (t.shape, state[n]) for n, t in found.items() if t is not None and t.shape != state[n]}
    unused = [name for name in tensors if name not in state and f"{prefix}{name}" not in state]
    raise InputError(_incomplete(checkpoint, missing, other, [], unused))


def _incomplete(
    checkpoint: Checkpoint,
    missing: list[str],
    other: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    failed: list[str],
    unused: Collection[str],
) -> str:
    faults = []
    if missing:
        faults.append(f"{_tensors(missing)} missing ({first_of(missing, SHOWN)})")
    if other:
        pairs = [f"{name} is {found}, the model has {wanted}" for name, (found, wanted) in other.items()]
        faults.append(f"{_tensors(pairs)} of another shape ({first_of(pairs, SHOWN)})")
    if failed:
        faults.append(first_of(failed, SHOWN))
    if unused:
        faults.append(f"{_tensors(unused)} of the file not the model's ({first_of(list(unused), SHOWN)})")
    remedy = "correct config.json, or save the model again with save_pretrained"
    if any("lora_" in key or ".base_layer." in key for key in checkpoint.tensors):
        remedy = "the file holds an adapter beside its model; merge them (merge_and_unload) and save that"
    elif any(key.endswith((".qweight", ".absmax", ".SCB", ".weight_scale")) for key in checkpoint.tensors):
        remedy = "the file holds quantised weights; give the model that was not quantised"
    return (
        f"The weights in {checkpoint.folder} are not those of its config.json: {'; '.join(faults)}. "
        f"Nothing is trained from random layers: {remedy}."
    )


def _tensors(found: Collection[str]) -> str:
    return f"{len(found)} tensor{'s are' if len(found) > 1 else ' is'}"


def _elements(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
