"""LoRA-FA: LoRA with A frozen as it was drawn, so that backward needs the rank-r product alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from thriftune.methods.lora import Lora

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class LoraFa(Lora):
    """W + (alpha / rank) B A with B trained, from zero; its gradient needs A x, of `rank` numbers a row, not x."""

    SUMMARY: ClassVar[str] = "LoRA whose A stays as drawn: no adapted layer's input is saved for backward"
    SOURCE: ClassVar[str] = "Zhang et al. 2023, arXiv:2308.03303"

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Adds the update as `lora` does, with the same A for the same generator, and freezes A."""
        super().apply(classifier, rng)
        for name, parameter in classifier.trained():
            if ".lora_A." in name:
                parameter.requires_grad_(False)


METHOD = LoraFa
