"""BitFit: only bias terms are trained."""

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
class BitFit(TransformerMethod):
    """All biases of the encoder, those of its normalisations included, and the head."""

    SUMMARY: ClassVar[str] = "only bias terms (and the head) are trained"
    SOURCE: ClassVar[str] = "Ben Zaken et al. 2022, arXiv:2106.10199"

    RATE_GRID: ClassVar[tuple[float, ...]] = (3e-4, 1e-3, 3e-3)

    learning_rate: float | tuple[float, ...] | Literal["auto"] = setting(1e-3, help=rate_help(RATE_GRID), above=0)

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Unfreezes every bias; raises `InputError` where the encoder has none."""
        biases = [p for name, p in classifier.encoder.named_parameters() if name.endswith("bias")]
        if not biases:
            raise InputError(f"bitfit trains bias terms, and the encoder of {classifier.name} has none.")
        for bias in biases:
            bias.requires_grad_(True)


METHOD = BitFit
