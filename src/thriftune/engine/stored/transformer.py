"""A transformer with its head on the engine's fast path: what a run stored, loaded, labels lists of texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.engine.stored.reader import Reader

if TYPE_CHECKING:
    import torch

    from thriftune.data.tokens import Tokens
    from thriftune.engine.protocol import Protocol
    from thriftune.engine.stored.onnx.choice import Route
    from thriftune.models.classifier import Classifier

BATCH_SIZE = 32
"""Of models that pad; the others run by tokens."""
SHORT = 1024
"""Tokens that are one batch whatever their texts: they need no search for batches."""


@dataclass(frozen=True)
class Transformer:
    """It reads `texts` as one list for each of its columns, all of one length, which is not 0."""

    network: Classifier
    reader: Reader
    protocol: Protocol
    columns: tuple[str, ...]
    route: Route | None = None
    """What onnxruntime computes in the engine's place; None where that is nothing."""

    @property
    def labels(self) -> tuple[str, ...]:
        """In id order."""
        return self.network.labels

    @property
    def count(self) -> int:
        """One or two."""
        return len(self.columns)

    def probabilities(self, texts: list[list[str]]) -> np.ndarray:
        """(texts, labels), float64; not a number for a text without any token."""
        from thriftune.engine.predict import log_softmax

        rows, tokens = self._tokens(texts)
        out = np.full((len(texts[0]), len(self.labels)), np.nan)
        if len(rows):
            out[rows] = np.exp(log_softmax(self._logits(tokens)))
        return out

    def _logits(self, tokens: Tokens) -> np.ndarray:
        """(texts, labels), float32, by whoever is to compute such texts."""
        if self.route is None or not self.route.takes(tokens):
            return self.own_logits(tokens)
        self.route.texts += len(tokens)
        return self.route.session.logits(self.network, tokens)

    def own_logits(self, tokens: Tokens) -> np.ndarray:
        """(texts, labels), float32, as `engine.predict.predict` has them; what is one batch goes straight through."""
        import torch

        from thriftune.engine.examples import Examples
        from thriftune.engine.forward import logits_of
        from thriftune.engine.predict import predict

        count = len(tokens)
        examples = Examples(tokens, np.zeros(count, np.int64))
        if not self._packs or int(tokens.lengths.sum()) > SHORT:
            return predict(self.network, examples, self.protocol)
        self._made_ready  # noqa: B018 - once
        with torch.inference_mode():
            return logits_of(self.network, examples, np.arange(count), self.protocol).float().cpu().numpy()

    @cached_property
    def _packs(self) -> bool:
        from thriftune.engine.forward import packs

        return packs(self.network, self.protocol)

    @cached_property
    def _made_ready(self) -> None:
        """What makes a single batch fast: memory is kept, dropout off, and weights lie in the order of few rows."""
        from thriftune.engine.allocator import keep_freed_memory
        from thriftune.models.ops.products import keep_ordered

        keep_freed_memory()
        self.network.eval_mode()
        keep_ordered(self.network.root)

    def vectors(self, texts: list[list[str]]) -> np.ndarray:
        """(texts, hidden), float32: the head's input on the first token (a decoder's last), or their mean if read."""
        import torch

        from thriftune.engine.examples import Examples
        from thriftune.engine.predict import logit_batches, token_read

        rows, tokens = self._tokens(texts)
        seen: list[torch.Tensor] = []

        def keep(module: torch.nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if not seen:
                seen.append(next(each for each in (*inputs, *named.values()) if isinstance(each, torch.Tensor)))

        hooks = [part.register_forward_pre_hook(keep, with_kwargs=True) for part in self.network.head_modules]
        out = np.full((len(texts[0]), 0), np.nan, dtype=np.float32)
        try:
            examples = Examples(tokens, np.zeros(len(rows), np.int64))
            for indices, _ in logit_batches(self.network, examples, self.protocol) if len(rows) else ():
                read = seen.pop()
                if read.ndim == 3:
                    read = read[torch.arange(len(indices)), token_read(self.network, tokens.lengths[indices])]
                if not out.shape[1]:
                    out = np.full((len(texts[0]), read.shape[-1]), np.nan, dtype=np.float32)
                out[rows[indices]] = read.float().cpu().numpy()
        finally:
            for hook in hooks:
                hook.remove()
        return out

    def _tokens(self, texts: list[list[str]]) -> tuple[np.ndarray, Tokens]:
        """The rows whose texts have tokens, and those."""
        tokens = self.reader(texts)
        rows = np.flatnonzero(tokens.lengths)
        offsets = np.concatenate([[0], np.cumsum(tokens.lengths[rows])])
        return rows, tokens if len(rows) == len(tokens) else replace(tokens, offsets=offsets)
