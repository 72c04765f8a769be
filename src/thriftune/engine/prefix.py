"""The output of the frozen layers below the cut, computed once and read in every epoch.

Without dropout it is a constant of weights, tokens, depth and number format, so that every epoch, seed, learning
rate and method with the same cut can share it. It lies in a memory-mapped file of a cache folder, or in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine import ENGINE_VERSION
from thriftune.engine.allocator import keep_freed_memory
from thriftune.models.classifier import Classifier
from thriftune.models.kernels.build import build
from thriftune.models.packed import prefix_output
from thriftune.models.rows import Rows
from thriftune.models.sources import weights_hash

ROWS_PER_BATCH = 2048
"""Tokens that go through the frozen layers at once; part of the key, for the sums' order depends on it."""
BLOCK = 1 << 24

Report = Callable[[int, int], None]
"""Called with the tokens done and the tokens in all."""


@dataclass(frozen=True)
class Prefix:
    """Hidden states below the cut, for all texts of a split."""

    layer: int
    """How many layers they went through."""
    values: np.ndarray
    """(tokens, hidden); (texts, hidden) where only first tokens are read above."""
    offsets: np.ndarray | None
    """(texts + 1,) first row of each text; None where a text has one row."""
    seconds: float
    """What computing them took, now or then."""
    reused: bool
    mapped: bool
    """Whether the values are a file rather than memory."""

    def read(self, indices: np.ndarray, device: torch.device) -> torch.Tensor:
        """The rows of some texts, one text after another: (rows, hidden)."""
        if self.offsets is None:
            rows = self.values[indices]
        else:
            rows = np.concatenate([self.values[self.offsets[i] : self.offsets[i + 1]] for i in indices])
        return torch.from_numpy(rows).to(device)


def prefix_of(
    classifier: Classifier,
    tokens: Tokens,
    rows_of: Callable[[np.ndarray], Rows],
    folder: Path | None,
    report: Report | None = None,
) -> Prefix:
    """The prefix of a classifier's frozen layers for some tokens, from the cache folder or computed into it.

    Without a folder it is computed into memory. The batches that go through the layers depend on the tokens
    alone, so the values are the same bits either way.
    """
    cut = classifier.cut
    if not cut:
        raise ValueError("nothing below the first trained layer is worth computing once")
    first_only = cut == len(classifier.layers) and classifier.family.reads_first_token(classifier)
    offsets = None if first_only else np.asarray(tokens.offsets)
    count = len(tokens) if first_only else len(tokens.ids)
    shape = (count, classifier.config.hidden_size)
    if folder is None:
        values = np.empty(shape, dtype=_dtype(classifier))
        seconds = _compute(classifier, tokens, rows_of, cut, values, offsets, report)
        return Prefix(cut, values, offsets, seconds, reused=False, mapped=False)
    path = folder / f"{_key(classifier, tokens, cut, first_only)}.npy"
    stored = _stored(path, shape, _dtype(classifier))
    if stored is not None:
        values, seconds = stored
        return Prefix(cut, values, offsets, seconds, reused=True, mapped=True)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        target = np.lib.format.open_memmap(unfinished, mode="w+", dtype=_dtype(classifier), shape=shape)
        seconds = _compute(classifier, tokens, rows_of, cut, target, offsets, report)
        target.flush()
        del target
        note = {"seconds": seconds, "crc32": _checksum(unfinished), "bytes": unfinished.stat().st_size}
        path.with_suffix(".json").write_text(json.dumps(note), encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Prefix(cut, np.load(path, mmap_mode="r"), offsets, seconds, reused=False, mapped=True)


def prefix_bytes(classifier: Classifier, tokens: Tokens) -> int:
    """How large a prefix would be."""
    first_only = classifier.cut == len(classifier.layers) and classifier.family.reads_first_token(classifier)
    rows = len(tokens) if first_only else len(tokens.ids)
    return int(rows * classifier.config.hidden_size * _dtype(classifier).itemsize)


def release(classifier: Classifier) -> None:
    """Frees the weights that only the layers below the cut need; they become shapes without data."""
    cut = classifier.cut
    if cut:
        for module in classifier.family.below(classifier.encoder, cut):
            module.to("meta")


def _dtype(classifier: Classifier) -> np.dtype[Any]:
    return np.dtype("float64" if next(classifier.head_modules[-1].parameters()).dtype == torch.float64 else "float32")


def _key(classifier: Classifier, tokens: Tokens, cut: int, first_only: bool) -> str:
    """SHA-256 over everything that the values depend on."""
    digest = hashlib.sha256()
    for array in (tokens.ids, tokens.offsets, tokens.types):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    parts = [
        weights_hash(classifier.path),
        cut,
        first_only,
        str(_dtype(classifier)),
        torch.__version__,
        ENGINE_VERSION,
        build().key,
        torch.get_num_threads(),
        classifier.device.type,
        torch.backends.cpu.get_cpu_capability(),
        torch.backends.cuda.matmul.allow_tf32,
        ROWS_PER_BATCH,
    ]
    digest.update(json.dumps(parts).encode())
    return digest.hexdigest()[:32]


def _stored(path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> tuple[np.ndarray, float] | None:
    """The values and their cost from a sound file; None where it is missing, cut short or altered."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if path.stat().st_size != note["bytes"] or _checksum(path) != note["crc32"]:
            return None
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError):
        return None
    if values.shape != shape or values.dtype != dtype:
        return None
    os.utime(path)
    return values, float(note["seconds"])


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value


def _compute(
    classifier: Classifier,
    tokens: Tokens,
    rows_of: Callable[[np.ndarray], Rows],
    cut: int,
    out: np.ndarray,
    offsets: np.ndarray | None,
    report: Report | None,
) -> float:
    """Runs the frozen layers over all texts, similar lengths together, and returns the seconds it took."""
    keep_freed_memory()
    classifier.eval_mode()
    started = time.perf_counter()
    done, total = 0, len(tokens.ids)
    with torch.inference_mode():
        for indices in _batches(np.asarray(tokens.lengths)):
            rows = rows_of(indices)
            hidden = prefix_output(classifier, rows, cut)
            _write(out, hidden.cpu().numpy(), indices, offsets)
            done += len(rows.ids)
            if report is not None:
                report(done, total)
    return time.perf_counter() - started


def _batches(lengths: np.ndarray) -> list[np.ndarray]:
    """Texts, longest first, in batches of about ROWS_PER_BATCH tokens; they depend on the lengths alone."""
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    batch = (ends - 1) // ROWS_PER_BATCH
    return np.split(order, np.flatnonzero(np.diff(batch)) + 1)


def _write(out: np.ndarray, hidden: np.ndarray, indices: np.ndarray, offsets: np.ndarray | None) -> None:
    if offsets is None:
        out[indices] = hidden
        return
    row = 0
    for index in indices:
        start, end = offsets[index], offsets[index + 1]
        out[start:end] = hidden[row : row + end - start]
        row += end - start
