"""Full fine-tuning: every weight is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from thriftune.methods.base import TransformerMethod, rate_help
from thriftune.settings import setting

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class Full(TransformerMethod):
    """All weights, embeddings included."""

    SUMMARY: ClassVar[str] = "every weight is trained, embeddings included"
    SOURCE: ClassVar[str] = "Devlin et al. 2019, arXiv:1810.04805"

    RATE_GRID: ClassVar[tuple[float, ...]] = (1e-5, 3e-5, 1e-4)

    learning_rate: float | tuple[float, ...] | Literal["auto"] = setting(5e-5, help=rate_help(RATE_GRID), above=0)

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Every parameter requires a gradient."""
        classifier.network.requires_grad_(True)


METHOD = Full
