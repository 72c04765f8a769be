"""The `head:` part of a study file, and the heads that stand on a bare encoder."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from thriftune.settings import Settings, setting

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class HeadSettings(Settings):
    """What turns the encoder's output into logits."""

    type: Literal["own", "linear", "mean"] = setting(
        "own",
        help="the architecture's own head; or dropout and one Linear on the first token (linear) or on the mean of all "
        "tokens (mean)",
    )
    dropout: float | None = setting(
        None, help="dropout before the classifier; null: the model's own, 0.1 for linear and mean", minimum=0, below=1
    )

    @property
    def bare(self) -> bool:
        """Whether it stands on the bare encoder: the architecture's own head is not there."""
        return self.type != "own"


def linear_head(encoder: PreTrainedModel, classes: int, head: HeadSettings) -> nn.Module:
    """A network with the encoder, dropout on what the head reads of its last hidden states, and one Linear.

    A linear head reads the first token, a mean head the mean of all tokens, special ones included, as
    sentence-transformers pools. Its forward takes the encoder's inputs and returns an object with `logits` of shape
    (texts, classes).
    """
    from torch import nn

    class LinearHeadNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.dropout = nn.Dropout(0.1 if head.dropout is None else head.dropout)
            self.classifier = nn.Linear(encoder.config.hidden_size, classes)

        def forward(self, **inputs: torch.Tensor) -> Any:
            hidden = self.encoder(**inputs).last_hidden_state
            read = mean_of(hidden, inputs["attention_mask"]) if head.type == "mean" else hidden[:, 0]
            return SimpleNamespace(logits=self.classifier(self.dropout(read)))

    return LinearHeadNetwork()


def mean_of(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of each text's tokens: (texts, width, hidden) and a mask (texts, width) -> (texts, hidden)."""
    real = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * real).sum(dim=1) / real.sum(dim=1)
