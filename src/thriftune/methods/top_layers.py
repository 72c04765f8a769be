"""Partial fine-tuning: the top encoder layers and the head are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from thriftune.errors import InputError
from thriftune.methods.base import TransformerMethod, rate_help
from thriftune.settings import setting

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class TopLayers(TransformerMethod):
    """The top `layers` encoder layers."""

    SUMMARY: ClassVar[str] = "the top encoder layers are trained, the rest is frozen"
    SOURCE: ClassVar[str] = "Lee et al. 2019, arXiv:1911.03090"

    RATE_GRID: ClassVar[tuple[float, ...]] = (2e-5, 6e-5, 2e-4)

    learning_rate: float | tuple[float, ...] | Literal["auto"] = setting(2e-4, help=rate_help(RATE_GRID), above=0)
    layers: int = setting(2, help="how many layers, counted from the top", minimum=1)

    @property
    def label(self) -> str:
        """Name and number of layers."""
        return f"{self.NAME} {self.layers}"

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Unfreezes the top layers; raises `InputError` where the model has fewer."""
        for layer in top(classifier, self.layers, self.NAME):
            layer.requires_grad_(True)


def top(classifier: Classifier, count: int, method: str) -> list[torch.nn.Module]:
    """The top `count` layers; raises `InputError` where the model has fewer, or where its layers are not known."""
    layers = list(classifier.layers)
    if classifier.family.layers is None:
        raise InputError(
            f"{method} asks for the top {count} layers, but which those are in {classifier.name} "
            f'("{classifier.config.model_type}") is not known: {classifier.family.why_no_layers}. '
            "Use full, lora on all layers, head_only or bitfit."
        )
    if count > len(layers):
        raise InputError(
            f"{method} asks for the top {count} layers, {classifier.name} has {len(layers)}. Give 1 to {len(layers)}."
        )
    return layers[-count:]


METHOD = TopLayers
