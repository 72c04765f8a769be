"""The output of the frozen layers below the cut, computed once and read in every epoch.

Without dropout it is a constant of weights, tokens, depth and number format, so that every epoch, seed, learning
rate and method with the same cut can share it. It lies in a memory-mapped file of a cache folder, or in memory.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine import ENGINE_VERSION
from thriftune.engine.batches import ROWS_PER_BATCH
from thriftune.engine.examples import NARROW, Prefix
from thriftune.engine.forward import row_dtype
from thriftune.engine.frozen.partial import Partial, alone
from thriftune.engine.frozen.passes import run_stages
from thriftune.engine.frozen.stages import PeakOf, Report, Start
from thriftune.engine.frozen.stored import BLOCK, checksum, stored_prefix, write_note
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier
from thriftune.models.ops.kernels import instructions
from thriftune.models.ops.kernels.build import build
from thriftune.models.ops.products import wide_library
from thriftune.models.pretrained.sources import weights_hash

Kind = Literal["fp32", "bf16", "narrow"]
"""How values are kept, and for `narrow` computed too: with rows of bfloat16. A model in float64 keeps its format."""


def prefix_of(
    classifier: Classifier,
    tokens: Tokens,
    folder: Path | None,
    report: Report | None = None,
    peak_of: PeakOf | None = None,
    kind: Kind = "fp32",
) -> Prefix:
    """The prefix of a classifier's frozen layers for some tokens, from the cache folder or computed into it.

    Without a folder it is computed into memory; with one, from the output of fewer layers where that is there, and
    from where a pass that was broken off came to. The batches that go through the layers depend on the tokens alone,
    so the values are the same bits either way. Where another process computes the same, this one waits for it.
    `peak_of` measures the memory that it takes; a file whose note does not say that is then computed again.
    """
    cut = classifier.cut
    if not cut:
        raise ValueError("nothing below the first trained layer is worth computing once")
    offsets = None if _per_text(classifier) else np.asarray(tokens.offsets)
    shape, dtype = _shape(classifier, tokens), _dtype(classifier, kind)
    rows = torch.bfloat16 if kind == "narrow" else None

    def prefix(values: np.ndarray, note: dict[str, Any], reused: bool, mapped: bool) -> Prefix:
        peak = note["peak_memory_bytes"]
        whole = None if peak is None else peak + _bytes_above(classifier, cut)
        return Prefix(cut, values, offsets, note["seconds"], whole, reused, mapped)

    def in_memory(trouble: str | None = None) -> Prefix:
        values = np.empty(shape, dtype=dtype)
        seconds, peak = run_stages(classifier, tokens, cut, values, report, peak_of, rows=rows)
        made = prefix(values, {"seconds": seconds, "peak_memory_bytes": peak}, reused=False, mapped=False)
        return replace(made, trouble=trouble)

    def computed(partial: Partial) -> Prefix:
        start, before = _shallower(classifier, tokens, path.parent, kind, with_peak=peak_of is not None)
        target = partial.array(partial.values, dtype, shape)
        seconds, peak = run_stages(classifier, tokens, cut, target, report, peak_of, start, partial, rows)
        if isinstance(target, np.memmap):
            target.flush()
        del target
        note = {
            "seconds": before + seconds,
            "peak_memory_bytes": peak,
            "crc32": checksum(partial.values),
            "bytes": partial.values.stat().st_size,
            "model": classifier.name,
            "layer": cut,
            "texts": len(tokens),
            "tokens": len(tokens.ids),
        }
        values = np.load(partial.values, mmap_mode="r")
        write_note(path, note)
        partial.values.replace(path)
        return prefix(values, note, reused=False, mapped=True)

    if folder is None:
        return in_memory()
    path = folder / prefix_file(classifier, tokens, kind)
    found = stored_prefix(path, shape, dtype, with_peak=peak_of is not None)
    if found is not None:
        return prefix(*found, reused=True, mapped=True)
    try:
        with alone(path) as partial:
            # Another process may have computed it while this one waited.
            found = stored_prefix(path, shape, dtype, with_peak=peak_of is not None)
            if found is not None:
                return prefix(*found, reused=True, mapped=True)
            kept = False
            try:
                return computed(partial)
            except (KeyboardInterrupt, SystemExit):
                kept = partial.begun
                raise
            finally:
                if not kept:
                    partial.delete()
    except OSError as error:
        return in_memory(f"{folder} cannot be used ({error.strerror or error})")


def kind_of(classifier: Classifier, protocol: Protocol, split: str) -> Kind:
    """How a split's values are kept: train's alone are rounded, for the stored model predicts from whole ones."""
    if row_dtype(classifier, protocol) is not None:
        return "narrow"
    return protocol.prefix if split == "train" else "fp32"


def prefix_bytes(classifier: Classifier, tokens: Tokens, kind: Kind = "fp32") -> int:
    """How large a prefix would be."""
    rows, hidden = _shape(classifier, tokens)
    return rows * hidden * _dtype(classifier, kind).itemsize


def _shallower(
    classifier: Classifier, tokens: Tokens, folder: Path, kind: Kind, with_peak: bool
) -> tuple[Start | None, float]:
    """The output of the most layers below the cut that the folder holds, and the seconds that it took.

    Only values that were not rounded afterwards: what is computed from them is what is computed from the texts.
    """
    kind = kind if kind == "narrow" else "fp32"
    dtype = NARROW if kind == "narrow" else _dtype(classifier, kind)
    shape = (len(tokens.ids), int(classifier.config.hidden_size))
    key = _token_key(tokens)
    for layer in range((classifier.cut or 0) - 1, 0, -1):
        found = stored_prefix(folder / _file_of(classifier, key, layer, None, dtype, kind), shape, dtype, with_peak)
        if found is not None:
            values, note = found
            return Start(layer, values, note["peak_memory_bytes"]), note["seconds"]
    return None, 0.0


def prefix_file(classifier: Classifier, tokens: Tokens, kind: Kind = "fp32") -> str:
    """The name of a prefix's file: a hash over everything that its values depend on."""
    key, dtype = _token_key(tokens), _dtype(classifier, kind)
    return _file_of(classifier, key, classifier.cut, _read_above(classifier), dtype, kind)


def _token_key(tokens: Tokens) -> str:
    digest = hashlib.sha256()
    for array in (tokens.ids, tokens.offsets, tokens.types):
        # Block by block: the arrays may be files that are larger than memory.
        blocks = range(0, 0 if array is None else len(array), BLOCK)
        for block in [b"none"] if array is None else (np.ascontiguousarray(array[s : s + BLOCK]).data for s in blocks):
            digest.update(block)
    return digest.hexdigest()


def _file_of(
    classifier: Classifier, tokens: str, layer: int | None, read: str | None, dtype: np.dtype[Any], kind: Kind
) -> str:
    parts = [
        tokens,
        weights_hash(classifier.path),
        layer,
        read,
        "bfloat16" if dtype == NARROW else str(dtype),
        kind == "narrow",
        torch.__version__,
        ENGINE_VERSION,
        build().key,
        torch.get_num_threads(),
        classifier.device.type,
        instructions(),
        wide_library(),
        torch.backends.cuda.matmul.allow_tf32,
        ROWS_PER_BATCH,
    ]
    return f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}.npy"


def _per_text(classifier: Classifier) -> bool:
    """Whether nothing but the head lies above the cut: what it reads of a text is one row."""
    return classifier.cut == len(classifier.layers)


def _read_above(classifier: Classifier) -> str | None:
    """What the head reads, where it alone lies above the cut."""
    return classifier.reads if _per_text(classifier) else None


def _shape(classifier: Classifier, tokens: Tokens) -> tuple[int, int]:
    rows = len(tokens) if _per_text(classifier) else len(tokens.ids)
    return rows, int(classifier.config.hidden_size)


def _dtype(classifier: Classifier, kind: Kind) -> np.dtype[Any]:
    if next(classifier.head_modules[-1].parameters()).dtype == torch.float64:
        return np.dtype("float64")
    if kind == "narrow" and _per_text(classifier):
        return np.dtype("float32")  # what the head reads
    return np.dtype("float32") if kind == "fp32" else NARROW


def _bytes_above(classifier: Classifier, cut: int) -> int:
    """Bytes of the weights that do not lie below the cut."""
    below = {id(p) for module in classifier.family.below(classifier.encoder, cut) for p in module.parameters()}
    return sum(p.numel() * p.element_size() for p in classifier.root.parameters() if id(p) not in below)
