"""The `head:` part of a study file, and the head that the published study used."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from thriftune.settings import Settings, setting

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class HeadSettings(Settings):
    """What turns the encoder's output into logits."""

    type: Literal["own", "linear"] = setting(
        "own", help="the architecture's own head, or linear: first token, dropout, one Linear"
    )
    dropout: float | None = setting(
        None, help="dropout before the classifier; null: the model's own, 0.1 for linear", minimum=0, below=1
    )


def linear_head(encoder: PreTrainedModel, classes: int, dropout: float) -> nn.Module:
    """A network with the encoder, dropout on its first token's last hidden state, and one Linear.

    Its forward takes the encoder's inputs and returns an object with `logits` of shape (texts, classes).
    """
    import torch
    from torch import nn

    class LinearHeadNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.dropout = nn.Dropout(dropout)
            self.classifier = nn.Linear(encoder.config.hidden_size, classes)

        def forward(self, **inputs: torch.Tensor) -> Any:
            first = self.encoder(**inputs).last_hidden_state[:, 0]
            return SimpleNamespace(logits=self.classifier(self.dropout(first)))

    return LinearHeadNetwork()
