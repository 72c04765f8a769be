"""The frozen encoder's vectors with logistic regression: what a user has without fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from thriftune.errors import InputError
from thriftune.methods.base import Method
from thriftune.models.head import HeadSettings
from thriftune.models.padding import is_causal
from thriftune.models.pretrained.pooled_by import pooling_of
from thriftune.settings import setting

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class Embeddings(Method):
    """Every text's vector, pooled from the encoder's last hidden states, and a regression on them.

    The strength of the penalty and the class weights are those with the best validation score (`protocol.select`, of
    equals the lower loss); the search is part of training. Deterministic.
    """

    SUMMARY: ClassVar[str] = "the frozen encoder's vectors and logistic regression: nothing is fine-tuned"
    SOURCE: ClassVar[str] = "baseline; Reimers and Gurevych 2019, arXiv:1908.10084; scikit-learn"
    BASELINE: ClassVar[bool] = True

    pooling: Literal["auto", "mean", "first"] = setting(
        "auto",
        help="all tokens' mean or the first token's last hidden state; auto: as the model's folder says, else mean",
    )
    normalize: bool = setting(True, help="scale every vector to length 1")
    regularization: float | Literal["auto"] = setting(
        "auto", help="inverse strength C of the L2 penalty; auto: the best of 0.1 to 1000 on validation", above=0
    )
    class_weight: Literal["auto", "none", "balanced"] = setting(
        "auto", help="balanced: every class counts alike; auto: what is best on validation"
    )

    @property
    def chooses(self) -> bool:
        """Whether anything is chosen on validation."""
        return self.regularization == "auto" or self.class_weight == "auto"

    @property
    def head(self) -> HeadSettings:
        """The head whose input is the vector, as far as it is known without the model's folder."""
        return HeadSettings(type="linear" if self.pooling == "first" else "mean")

    def head_for(self, folder: Path) -> tuple[HeadSettings, list[str]]:
        """The head whose input is the vector on the model in `folder`, and what there is to say of its pooling."""
        if self.pooling != "auto":
            return self.head, [f"Pooling: {WORDS[self.pooling]}, as the study file says."]
        found = pooling_of(folder)
        if found is None:
            return self.head, ["Pooling: the mean of all tokens; the model's folder does not say."]
        if found.read is None:
            return self.head, ["Pooling: the mean of all tokens; what the model's folder says is not known here."]
        left = f" What follows there ({', '.join(found.further)}) is left out." if found.further else ""
        head = HeadSettings(type="linear" if found.read == "first" else "mean")
        return head, [f"Pooling: {WORDS[found.read]}, as the model's folder says.{left}"]

    def check(self, config: PretrainedConfig) -> None:
        """Raises `InputError` where a model of this configuration has no such vectors."""
        if getattr(config, "is_encoder_decoder", False):
            raise InputError(
                f'embeddings needs an encoder alone; "{config.model_type}" has a decoder too. Leave embeddings out, or '
                "name another model."
            )
        causal = is_causal(config) or getattr(config, "is_decoder", False)
        if self.pooling == "first" and causal:
            raise InputError(
                f"embeddings.pooling first reads the first token, which in a decoder "
                f'("{config.model_type}") has seen no other. Use pooling: mean.'
            )


WORDS = {"mean": "the mean of all tokens", "first": "the first token"}

METHOD = Embeddings
