"""Texts to tokens as in training, with a tokenizer that is made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens
    from thriftune.models.trained.usage import Usage


@dataclass(frozen=True)
class Reader:
    """Texts to tokens as in training (`data.tokens.encode`), with a tokenizer that is made once."""

    tokenizer: Any
    usage: Usage
    types: bool
    source: Reader | None = None
    """Another reader with the same tokenizer and limit, whose copy for user text serves this one too."""

    @cached_property
    def _plain(self) -> Any:
        from thriftune.data.plain_tokenizer import plain_tokenizer

        if self.source is not None:
            return self.source._plain
        plain = plain_tokenizer(self.tokenizer)
        if self.usage.join is None:
            side = self.tokenizer.truncation_side
            plain.enable_truncation(self.usage.max_tokens, strategy="longest_first", direction=side)
        return plain

    def __call__(self, texts: list[list[str]]) -> Tokens:
        """The tokens of texts, one list for each text column."""
        from thriftune.data.tokens import Tokens

        plain, join, types = self._plain, self.usage.join, None
        if join is None:
            batch: Any = list(zip(*texts, strict=True)) if len(texts) > 1 else texts[0]
            encoded = plain.encode_batch_fast(batch)
            ids = [each.ids for each in encoded]
            types = [each.type_ids for each in encoded] if self.types else None
        else:
            parts = (plain.encode_batch_fast(column, add_special_tokens=False) for column in texts)
            ids = [join(first.ids, second.ids) for first, second in zip(*parts, strict=True)]
        offsets = np.concatenate([[0], np.cumsum([len(each) for each in ids], dtype=np.int64)])
        flat = np.fromiter((token for each in ids for token in each), np.int32, int(offsets[-1]))
        segments = np.zeros(len(flat), np.uint8) if self.types else None
        if types is not None:
            segments = np.fromiter((kind for each in types for kind in each), np.uint8, len(flat))
        return Tokens(flat, segments, offsets, truncated=0)
