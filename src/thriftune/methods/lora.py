"""LoRA: a low-rank update beside frozen projections, through PEFT."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from thriftune.errors import InputError, shortened
from thriftune.methods.base import TransformerMethod, rate_help
from thriftune.methods.top_layers import top
from thriftune.methods.tuner import attach
from thriftune.settings import setting

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class Lora(TransformerMethod):
    """W + (alpha / rank) B A with A of shape (rank, in), B of shape (out, rank), B zero at the start."""

    SUMMARY: ClassVar[str] = "low-rank updates beside frozen projections"
    SOURCE: ClassVar[str] = "Hu et al. 2021, arXiv:2106.09685"

    RATE_GRID: ClassVar[tuple[float, ...]] = (1e-4, 3e-4, 1e-3)

    learning_rate: float | tuple[float, ...] | Literal["auto"] = setting(1e-3, help=rate_help(RATE_GRID), above=0)
    rank: int = setting(8, help="rank of the update", minimum=1)
    alpha: float = setting(16.0, help="the update is scaled by alpha / rank", above=0, maximum=1_000_000)
    dropout: float = setting(0.0, help="dropout on the update's input", minimum=0, below=1)
    targets: tuple[str, ...] | None = setting(
        None, help="names of the adapted Linear (or Conv1D) modules; null: the architecture's query and value"
    )
    layers: str = setting("all", help='which encoder layers: all, or for example "top 2"')

    def problems(self) -> list[tuple[str, str]]:
        """`layers` is all or top N; targets are named once, each."""
        found = super().problems()
        if self.layers != "all" and not re.fullmatch(r"top [1-9][0-9]{0,3}", self.layers):
            found.append(("layers", f'"{shortened(self.layers)}" is given; give all, or top N, for example "top 2"'))
        if self.targets == ():
            found.append(("targets", "is an empty list; name modules, or leave targets out"))
        if self.targets and len(set(self.targets)) < len(self.targets):
            found.append(("targets", f"names a module twice: {', '.join(self.targets)}"))
        return found

    @property
    def top(self) -> int | None:
        """The number of top layers; None for all."""
        return None if self.layers == "all" else int(self.layers.removeprefix("top "))

    @property
    def label(self) -> str:
        """Name, rank and layers."""
        return f"{self.NAME} r{self.rank} {self.layers}"

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Adds the update to the target modules; raises `InputError` where a target is not in the model."""
        from peft import LoraConfig
        from torch import nn

        targets = target_modules(classifier, self.targets, self.top, self.NAME)
        check_rank(classifier, targets, self.rank, self.NAME)
        wrapped = classifier.encoder if classifier.head.bare else classifier.network
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            target_modules=targets,
            bias="none",
            # Conv1D keeps its weight transposed.
            fan_in_fan_out=not isinstance(wrapped.get_submodule(targets[0]), nn.Linear),
        )
        attach(classifier, config, rng)


def target_modules(
    classifier: Classifier, targets: tuple[str, ...] | None, count: int | None, method: str
) -> list[str]:
    """Full paths of the projections named by `targets` in the top `count` layers (None: in the whole encoder's).

    A projection is a Linear or transformers' Conv1D. Paths are relative to what PEFT wraps: the network, or the
    encoder under a linear head.
    """
    names = targets or classifier.family.lora_targets
    layers = _adaptable(classifier) if count is None else top(classifier, count, method)
    if not names:
        raise InputError(
            f'No default LoRA targets are known for the architecture "{classifier.config.model_type}". '
            f"Give targets; its Linear modules are: {', '.join(_linear_names(layers))}."
        )
    inside = {id(part) for layer in layers for part in layer.modules()}
    wrapped = classifier.encoder if classifier.head.bare else classifier.network
    found: dict[str, list[str]] = {name: [] for name in names}
    for path, part in wrapped.named_modules():
        if id(part) in inside and _is_projection(part):
            for name in names:
                if path == name or path.endswith(f".{name}"):
                    found[name].append(path)
    missing = [name for name, paths in found.items() if not paths]
    if missing:
        raise InputError(
            f"{method}: no Linear module called {', '.join(missing)} in the layers of {classifier.name}. "
            f"Known: {', '.join(_linear_names(layers))}."
        )
    return [path for paths in found.values() for path in paths]


def check_rank(classifier: Classifier, targets: list[str], rank: int, method: str) -> None:
    """Raises `InputError` where the rank is larger than that of any target's matrix, which it then cannot lower."""
    wrapped = classifier.encoder if classifier.head.bare else classifier.network
    shapes = [tuple(wrapped.get_parameter(f"{path}.weight").shape) for path in targets]
    most = max(min(shape) for shape in shapes)
    if rank > most:
        raise InputError(
            f"{method}: rank is {rank}, but the largest of the target matrices is {' x '.join(map(str, max(shapes)))}: "
            f"an update of low rank has at most {most}. Give a lower rank."
        )


def _adaptable(classifier: Classifier) -> list[torch.nn.Module]:
    """The layers; where they are not known, all parts of the encoder that hold nothing of the head."""
    if classifier.family.layers is not None:
        return list(classifier.layers)
    head = {id(part) for module in classifier.head_modules for part in module.modules()}
    return [part for part in classifier.encoder.children() if id(part) not in head]


def _is_projection(part: torch.nn.Module) -> bool:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return isinstance(part, nn.Linear | Conv1D)


def _linear_names(layers: list[torch.nn.Module]) -> list[str]:
    """Names of the projections in some layers."""
    return sorted(
        {name.split(".")[-1] for layer in layers for name, part in layer.named_modules() if _is_projection(part)}
    )


METHOD = Lora
