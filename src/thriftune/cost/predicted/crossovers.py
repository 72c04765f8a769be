"""Predicted memory and work of every method along three axes: tokens per batch, depth and model size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thriftune.cost.predicted.cuda import Gpu
from thriftune.cost.predicted.estimate import Case, estimate
from thriftune.cost.predicted.machine import Machine
from thriftune.cost.predicted.sizes import SIZES, write_config
from thriftune.engine.protocol import MOST_TEXTS, Protocol
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.pretrained.load import load_config, skeleton
from thriftune.models.pretrained.tokenizer import longest_text
from thriftune.results.prediction import AxisPoint

BATCHES = (1, 4, 16, 64, 256)
"""Batch sizes along the axis of tokens."""
EPOCHS = 3
"""Over which the frozen layers' single pass is spread."""
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "top_layers 2": ("top_layers", {"layers": 2}),
    "lora all": ("lora", {}),
    "lora top 2": ("lora", {"layers": "top 2"}),
    "lora_fa all": ("lora_fa", {}),
    "bitfit": ("bitfit", {}),
    "head_only": ("head_only", {}),
}
DEEP: dict[str, Callable[[int], tuple[str, dict[str, Any]]]] = {
    "top_layers": lambda k: ("top_layers", {"layers": k}),
    "lora": lambda k: ("lora", {"layers": f"top {k}"}),
    "lora_fa": lambda k: ("lora_fa", {"layers": f"top {k}"}),
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What does not vary along an axis."""

    model: Path | None = None
    """A folder with a config.json, for the axes of tokens and depth; None: BERT-base from its description."""
    batch_size: int = 32
    """For the axes of depth and size."""
    text_tokens: int = 64
    """Of every text."""
    gpu: Gpu | None = None
    machine: Callable[[Path], Machine | None] | None = None
    """This machine's speeds for a model, where they are known."""

    def sentence(self, model: str | None, device: str) -> str:
        """What is held still, for people; `model` and `device` as they were given."""
        return (
            f"Tokens and depth: {model or 'BERT-base'}; depth and size: batches of {self.batch_size}; texts of "
            f"{self.text_tokens} tokens, two classes, on {device}."
        )

    def check(self) -> None:
        """Raises `InputError` for a batch or texts that cannot be."""
        if self.batch_size < 1:
            raise InputError(f"A batch has at least one text; the batch size given is {self.batch_size}.")
        if self.batch_size > MOST_TEXTS:
            raise InputError(f"A batch has at most {MOST_TEXTS:,} texts; the batch size given is {self.batch_size}.")
        if self.text_tokens < 4:
            raise InputError(f"A text has at least 4 tokens, special tokens included; {self.text_tokens} were given.")
        limits = [longest_text(load_config(self.model))] if self.model is not None else [512]
        if (most := min(limit for limit in [*limits, 512] if limit is not None)) < self.text_tokens:
            raise InputError(f"Texts of {self.text_tokens} tokens do not fit: the models have positions for {most}.")


def axis_points(axis: str, setting: Setting, report: Callable[[str], None]) -> list[AxisPoint]:
    """Estimates every method at every place of one axis; methods that do not fit a model are left out there.

    Raises `InputError` for a setting that cannot be estimated.
    """
    setting.check()
    with TemporaryDirectory() as folder:
        places = {"tokens": _tokens, "depth": _depth, "size": _size}[axis](setting, Path(folder))
        found: list[AxisPoint] = []
        misfits: list[InputError] = []
        for place in places:
            report(f"estimating {place.method} at {place.label}")
            try:
                found.append(_point(axis, place, setting))
            except InputError as error:  # no biases, or fewer layers than the method trains
                misfits.append(error)
    if not found:
        raise misfits[0]
    return found


@dataclass(frozen=True)
class _Place:
    model: Path
    method: str
    entry: tuple[str, dict[str, Any]]
    x: float
    label: str
    batch_size: int


def _tokens(setting: Setting, folder: Path) -> Iterator[_Place]:
    base = setting.model or write_config("bert-base", folder)
    for size in BATCHES:
        tokens = size * setting.text_tokens
        for name, entry in METHODS.items():
            yield _Place(base, name, entry, tokens, f"{tokens} tokens", size)


def _depth(setting: Setting, folder: Path) -> Iterator[_Place]:
    base = setting.model or write_config("bert-base", folder)
    layers = len(skeleton(base, ("a", "b")).layers)
    for depth in sorted({max(1, round(layers * part)) for part in (1 / 12, 1 / 6, 1 / 3, 1 / 2, 3 / 4, 1)}):
        for name, entry in DEEP.items():
            yield _Place(base, name, entry(depth), depth, f"{depth} layers", setting.batch_size)


def _size(setting: Setting, folder: Path) -> Iterator[_Place]:
    for model in SIZES:
        path = write_config(model, folder)
        for name, entry in METHODS.items():
            yield _Place(path, name, entry, 0.0, model, setting.batch_size)


def _point(axis: str, place: _Place, setting: Setting) -> AxisPoint:
    name, settings = place.entry
    method = find(name)(**settings)
    assert isinstance(method, TransformerMethod)
    protocol = Protocol(epochs=EPOCHS, batch_size=place.batch_size, max_tokens=setting.text_tokens)
    lengths = (setting.text_tokens,) * place.batch_size
    found = estimate(Case(place.model, method, protocol, lengths, gpu=setting.gpu))
    machine = setting.machine(place.model) if setting.machine is not None else None
    seconds = None
    if machine is not None:
        once = machine.seconds(found.prefix_work, steps=0) / found.prefix_texts
        seconds = machine.seconds(found.work) / found.texts + once / EPOCHS
    return AxisPoint(
        axis=axis,
        method=place.method,
        x=float(found.total_parameters) if axis == "size" else place.x,
        label=place.label,
        peak_memory_bytes=found.peak_memory_bytes,
        flops_per_sample=found.flops_per_sample + found.prefix_flops_per_sample / EPOCHS,
        seconds_per_sample=seconds,
    )
