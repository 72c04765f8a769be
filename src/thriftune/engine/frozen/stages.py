"""Runs texts through frozen layers: all layers at once, or one at a time with no other's weights in memory."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from thriftune.data.tokens import Tokens
from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import packed_batch, token_batches
from thriftune.engine.examples import gather
from thriftune.engine.parallel.passes import passed
from thriftune.models.classifier import Classifier
from thriftune.models.packed import prefix_output
from thriftune.models.residence import in_memory
from thriftune.models.weights import absent

STREAMED_BYTES = 1_000_000_000
"""CPU: weights below the cut that are more than this are read one layer at a time."""

PeakOf = Callable[[Sequence[torch.Tensor], Callable[[], object]], int]
"""Bytes at the peak of some untimed work, with the weights that are there for it."""
Report = Callable[[int, int], None]
"""Called with the tokens done and the tokens in all."""


@dataclass(frozen=True)
class Start:
    """The output of some of the lowest layers, from before."""

    layer: int
    """How many layers it went through."""
    values: np.ndarray
    """(tokens, hidden)."""
    peak: int | None
    """Bytes that it needed at the peak; None where not measured."""


@dataclass(frozen=True)
class Stage:
    """Neighbouring layers that run together."""

    bottom: int | None
    """The first layer; None where the embeddings come first."""
    top: int
    """The layer after the last one."""
    modules: list[nn.Module]
    """Those whose weights only layers below the cut need."""


def run_stages(
    classifier: Classifier,
    tokens: Tokens,
    cut: int,
    out: np.ndarray,
    spare: Path | None,
    report: Report | None,
    peak_of: PeakOf | None,
    start: Start | None = None,
) -> tuple[float, int | None]:
    """Writes the output of the `cut` lowest layers into `out` and returns its seconds and the peak memory in bytes.

    `out` is (tokens, hidden), or (texts, hidden) where only first tokens are read above; `spare` then is a file for
    what lies between stages. The batches depend on the lengths alone. The peak counts no weights above the cut, and
    is that of all the layers even where the lower ones ran before (`start`); the seconds are those of the rest.
    """
    keep_freed_memory()
    classifier.eval_mode()
    batches = token_batches(tokens.lengths)
    largest = max(batches, key=lambda batch: int(tokens.lengths[batch].sum() * tokens.lengths[batch].max()))
    per_text = len(out) != tokens.offsets[-1]
    stages = _stages(classifier, cut, int(tokens.offsets[-1]) * out[:1].nbytes if per_text else 0, spare)
    left = stages if start is None else _after(classifier, stages, cut, start.layer)
    between = _between(out, tokens, spare) if per_text and len(left) > 1 else out
    source = None if start is None else start.values
    seconds, done, peak = 0.0, 0, 0 if start is None else start.peak or 0
    with torch.inference_mode():
        if peak_of is not None and left != stages and len(stages) == 1:
            with in_memory(classifier, stages[0].modules):
                peak = max(peak, _probe(classifier, stages[0], tokens, largest, None, peak_of))
        for stage in left:
            started = time.perf_counter()
            with in_memory(classifier, stage.modules):
                if peak_of is not None and stage in stages:
                    seconds += time.perf_counter() - started
                    peak = max(peak, _probe(classifier, stage, tokens, largest, source, peak_of))
                    started = time.perf_counter()
                last = stage is left[-1]
                run = partial(_run, classifier, stage, tokens, source=source)
                for indices, hidden in passed(tokens, (stage.bottom, stage.top), batches, source, run):
                    _write(out if last else between, hidden, indices, None if last and per_text else tokens.offsets)
                    done += int(tokens.lengths[indices].sum())
                    if report is not None:
                        report(done, len(left) * int(tokens.offsets[-1]))
            source = between
            seconds += time.perf_counter() - started
    return seconds, None if peak_of is None else peak


def _stages(classifier: Classifier, cut: int, between_bytes: int, spare: Path | None) -> list[Stage]:
    """One for everything, or one for the embeddings and one per layer where the weights are large and not there."""
    family, encoder = classifier.family, classifier.encoder
    modules = family.below(encoder, cut)
    size = sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
    cramped = spare is not None and shutil.disk_usage(spare.parent).free < 1.1 * between_bytes
    small = size <= _budget(classifier.device) or family.shared_layers
    if cramped or small or not any(absent(module) for module in modules):
        return [Stage(None, cut, modules)]
    stages = [Stage(None, 0, family.below(encoder, 0))]
    for layer in range(cut):
        lower = {id(module) for module in family.below(encoder, layer)}
        own = [module for module in family.below(encoder, layer + 1) if id(module) not in lower]
        stages.append(Stage(layer, layer + 1, own))
    return stages


def _after(classifier: Classifier, stages: list[Stage], cut: int, layer: int) -> list[Stage]:
    """The stages above a layer."""
    if len(stages) > 1:
        return [stage for stage in stages if stage.bottom is not None and stage.bottom >= layer]
    lower = {id(module) for module in classifier.family.below(classifier.encoder, layer)}
    return [Stage(layer, cut, [module for module in stages[0].modules if id(module) not in lower])]


def _budget(device: torch.device) -> int:
    """Bytes of weights below the cut that may be in memory together."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else STREAMED_BYTES


def _run(
    classifier: Classifier, stage: Stage, tokens: Tokens, indices: np.ndarray, source: np.ndarray | None
) -> torch.Tensor:
    rows = packed_batch(tokens, indices, classifier.device)
    if stage.bottom is None:
        return prefix_output(classifier, rows, stage.top)
    assert source is not None
    hidden = torch.from_numpy(gather(source, tokens.offsets, indices)).to(classifier.device)
    return prefix_output(classifier, rows, stage.top, stage.bottom, hidden)


def _probe(
    classifier: Classifier, stage: Stage, tokens: Tokens, batch: np.ndarray, source: np.ndarray | None, peak_of: PeakOf
) -> int:
    """Peak bytes of a stage on a batch."""
    weights = [t for module in stage.modules for t in (*module.parameters(), *module.buffers()) if not t.is_meta]
    return peak_of(weights, lambda: _run(classifier, stage, tokens, batch, source))


def _between(out: np.ndarray, tokens: Tokens, spare: Path | None) -> np.ndarray:
    """Room for every token's hidden state."""
    shape = (int(tokens.offsets[-1]), out.shape[1])
    if spare is None:
        return np.empty(shape, dtype=out.dtype)
    return mapped_array(spare, out.dtype, shape)


def mapped_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new .npy file as a writable array; raises `OSError` where the disk has no room for all of it.

    Its room is taken at once: a write to a mapped file that finds the disk full ends the process (SIGBUS).
    """
    made = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        handle = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, max(1, os.fstat(handle).st_size))
        finally:
            os.close(handle)
    return made


def _write(out: np.ndarray, hidden: torch.Tensor, indices: np.ndarray, offsets: np.ndarray | None) -> None:
    rows = hidden.cpu().numpy()
    if offsets is None:
        out[indices] = rows
        return
    row = 0
    for index in indices:
        start, end = offsets[index], offsets[index + 1]
        out[start:end] = rows[row : row + end - start]
        row += end - start
