"""The mean of each text's tokens over packed rows."""

from __future__ import annotations

import torch

from thriftune.models.ops.rows import Rows


def mean_rows(hidden: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The mean of each text's rows: (rows, hidden) -> (texts, hidden)."""
    texts = torch.arange(rows.texts, device=hidden.device)
    text = torch.repeat_interleave(texts, rows.lengths, output_size=len(hidden))
    sums = hidden.new_zeros(rows.texts, hidden.shape[1]).index_add(0, text, hidden)
    return sums / rows.lengths.unsqueeze(1)
