"""Feature extraction: only the head is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from thriftune.methods.base import TransformerMethod, rate_help
from thriftune.settings import setting

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True)
class HeadOnly(TransformerMethod):
    """The encoder as a fixed feature extractor."""

    SUMMARY: ClassVar[str] = "the encoder is frozen, only the head is trained"
    SOURCE: ClassVar[str] = "Peters et al. 2019, arXiv:1903.05987"

    RATE_GRID: ClassVar[tuple[float, ...]] = (1e-3, 3e-3, 1e-2)

    learning_rate: float | tuple[float, ...] | Literal["auto"] = setting(1e-3, help=rate_help(RATE_GRID), above=0)

    def problems(self) -> list[tuple[str, str]]:
        """Nothing but the head is trained: its rate is the learning rate."""
        if self.head_learning_rate is None:
            return super().problems()
        return [("head_learning_rate", "has no effect: head_only trains the head alone; set learning_rate")]

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Changes nothing: the head alone is trained already."""


METHOD = HeadOnly
