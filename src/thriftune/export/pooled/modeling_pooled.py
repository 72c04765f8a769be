"""A text classifier that reads the mean, or the first, of an encoder's last hidden states.

No class of transformers has such a head. This file is loaded with trust_remote_code=True and needs nothing but torch
and transformers.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class PooledConfig(PretrainedConfig):
    """The encoder's configuration, which of its hidden states are read, and whether they are scaled to length 1."""

    model_type = "pooled_encoder"

    def __init__(self, encoder=None, pooling="mean", normalize=False, **kwargs):  # type: ignore[no-untyped-def]
        super().__init__(**kwargs)
        self.encoder = encoder or {}
        self.pooling = pooling
        self.normalize = normalize


class PooledForSequenceClassification(PreTrainedModel):
    """Encoder, pooling, Linear."""

    config_class = PooledConfig
    base_model_prefix = "encoder"

    def __init__(self, config):  # type: ignore[no-untyped-def]
        super().__init__(config)
        inner = AutoConfig.for_model(**config.encoder)
        self.encoder = AutoModel.from_config(inner)
        self.classifier = nn.Linear(inner.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, labels=None, return_dict=None, **inputs):  # type: ignore
        """Logits (texts, labels), and the loss where labels (texts,) are given."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **inputs).last_hidden_state
        if self.config.pooling == "mean":
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            read = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        else:
            read = hidden[:, 0]
        if self.config.normalize:
            read = nn.functional.normalize(read, dim=-1)
        logits = self.classifier(read)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
