"""A graph that onnxruntime runs, from token ids to logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens
    from thriftune.models.classifier import Classifier

BATCH_SIZE = 32


@dataclass(frozen=True)
class Session:
    """A graph in memory with its own weights."""

    run: Any
    """onnxruntime's session."""
    names: tuple[str, ...]
    """Of its inputs."""
    threads: int

    @classmethod
    def open(cls, path: Path, threads: int) -> Session:
        """Loads a graph; raises what onnxruntime raises where it cannot run it.

        Its threads spin while a text is computed, and sleep afterwards: whoever has work then gets the processors.
        Lengths are of every kind, so that no memory plan is kept for each.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return cls(made, tuple(each.name for each in made.get_inputs()), threads)

    def logits(self, network: Classifier, tokens: Tokens) -> np.ndarray:
        """(texts, labels), float32, of texts that have at least one token each; `network` says how they are padded."""
        if len(tokens) == 1:
            return self._of(_alone(tokens))
        from thriftune.engine.batches import padded
        from thriftune.models.padding import sorted_batches

        out = np.empty((len(tokens), len(network.labels)), dtype=np.float32)
        for indices in sorted_batches(tokens.lengths, BATCH_SIZE, equal=network.reads_padding):
            lengths = tokens.lengths[indices]
            inputs = padded(tokens, tokens.offsets[indices], lengths, int(lengths.max()), network)
            out[indices] = self._of({name: tensor.numpy() for name, tensor in inputs.items()})
        return out

    def _of(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        if "token_type_ids" in self.names and "token_type_ids" not in inputs:
            inputs["token_type_ids"] = np.zeros_like(inputs["input_ids"])
        (found,) = self.run.run(["logits"], {name: inputs[name] for name in self.names})
        return np.asarray(found)


def _alone(tokens: Tokens) -> dict[str, np.ndarray]:
    start, stop = int(tokens.offsets[0]), int(tokens.offsets[1])
    ids = tokens.ids[start:stop].astype(np.int64)[None]
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    if tokens.types is not None:
        inputs["token_type_ids"] = tokens.types[start:stop].astype(np.int64)[None]
    return inputs
