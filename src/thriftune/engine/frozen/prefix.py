"""The output of the frozen layers below the cut, computed once and read in every epoch.

Without dropout it is a constant of weights, tokens, depth and number format, so that every epoch, seed, learning
rate and method with the same cut can share it. It lies in a memory-mapped file of a cache folder, or in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine import ENGINE_VERSION
from thriftune.engine.batches import ROWS_PER_BATCH
from thriftune.engine.examples import Prefix
from thriftune.engine.frozen.stages import PeakOf, Report, Start, mapped_array, run_stages
from thriftune.models.classifier import Classifier
from thriftune.models.ops.kernels import instructions
from thriftune.models.ops.kernels.build import build
from thriftune.models.ops.products import wide_library
from thriftune.models.pretrained.sources import weights_hash

BLOCK = 1 << 24


def prefix_of(
    classifier: Classifier,
    tokens: Tokens,
    folder: Path | None,
    report: Report | None = None,
    peak_of: PeakOf | None = None,
) -> Prefix:
    """The prefix of a classifier's frozen layers for some tokens, from the cache folder or computed into it.

    Without a folder it is computed into memory; with one, from the output of fewer layers where that is there. The
    batches that go through the layers depend on the tokens alone, so the values are the same bits either way.
    `peak_of` measures the memory that it takes; a file whose note does not say that is then computed again.
    """
    cut = classifier.cut
    if not cut:
        raise ValueError("nothing below the first trained layer is worth computing once")
    offsets = None if _per_text(classifier) else np.asarray(tokens.offsets)
    shape, dtype = _shape(classifier, tokens), _dtype(classifier)

    def prefix(values: np.ndarray, note: dict[str, Any], reused: bool, mapped: bool) -> Prefix:
        peak = note["peak_memory_bytes"]
        whole = None if peak is None else peak + _bytes_above(classifier, cut)
        return Prefix(cut, values, offsets, note["seconds"], whole, reused, mapped)

    def in_memory(trouble: str | None = None) -> Prefix:
        values = np.empty(shape, dtype=dtype)
        seconds, peak = run_stages(classifier, tokens, cut, values, None, report, peak_of)
        made = prefix(values, {"seconds": seconds, "peak_memory_bytes": peak}, reused=False, mapped=False)
        return replace(made, trouble=trouble)

    if folder is None:
        return in_memory()
    path = folder / prefix_file(classifier, tokens)
    stored = _stored(path, shape, dtype, with_peak=peak_of is not None)
    if stored is not None:
        return prefix(*stored, reused=True, mapped=True)
    start, before = _shallower(classifier, tokens, folder, dtype, with_peak=peak_of is not None)
    unfinished, spare = (path.with_suffix(f".{os.getpid()}{part}.tmp") for part in ("", ".between"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = mapped_array(unfinished, dtype, shape)
        seconds, peak = run_stages(classifier, tokens, cut, target, spare, report, peak_of, start)
        target.flush()
        del target
        note = {
            "seconds": before + seconds,
            "peak_memory_bytes": peak,
            "crc32": _checksum(unfinished),
            "bytes": unfinished.stat().st_size,
            "model": classifier.name,
            "layer": cut,
            "texts": len(tokens),
            "tokens": len(tokens.ids),
        }
        values = np.load(unfinished, mmap_mode="r")
        _write_note(path, note)
        unfinished.replace(path)
    except OSError as error:
        return in_memory(f"{folder} cannot be used ({error.strerror or error})")
    finally:
        for each in (unfinished, spare):
            with suppress(OSError):
                each.unlink(missing_ok=True)
    return prefix(values, note, reused=False, mapped=True)


def prefix_bytes(classifier: Classifier, tokens: Tokens) -> int:
    """How large a prefix would be."""
    rows, hidden = _shape(classifier, tokens)
    return rows * hidden * _dtype(classifier).itemsize


def _shallower(
    classifier: Classifier, tokens: Tokens, folder: Path, dtype: np.dtype[Any], with_peak: bool
) -> tuple[Start | None, float]:
    """The output of the most layers below the cut that the folder holds, and the seconds that it took."""
    shape = (len(tokens.ids), int(classifier.config.hidden_size))
    key = _token_key(tokens)
    for layer in range((classifier.cut or 0) - 1, 0, -1):
        found = _stored(folder / _file_of(classifier, key, layer, read=None), shape, dtype, with_peak)
        if found is not None:
            values, note = found
            return Start(layer, values, note["peak_memory_bytes"]), note["seconds"]
    return None, 0.0


def prefix_file(classifier: Classifier, tokens: Tokens) -> str:
    """The name of a prefix's file: a hash over everything that its values depend on."""
    return _file_of(classifier, _token_key(tokens), classifier.cut, _read_above(classifier))


def _token_key(tokens: Tokens) -> str:
    digest = hashlib.sha256()
    for array in (tokens.ids, tokens.offsets, tokens.types):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _file_of(classifier: Classifier, tokens: str, layer: int | None, read: str | None) -> str:
    parts = [
        tokens,
        weights_hash(classifier.path),
        layer,
        read,
        str(_dtype(classifier)),
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


def _dtype(classifier: Classifier) -> np.dtype[Any]:
    return np.dtype("float64" if next(classifier.head_modules[-1].parameters()).dtype == torch.float64 else "float32")


def _bytes_above(classifier: Classifier, cut: int) -> int:
    """Bytes of the weights that do not lie below the cut."""
    below = {id(p) for module in classifier.family.below(classifier.encoder, cut) for p in module.parameters()}
    return sum(p.numel() * p.element_size() for p in classifier.root.parameters() if id(p) not in below)


def _stored(
    path: Path, shape: tuple[int, int], dtype: np.dtype[Any], with_peak: bool
) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The values and their note from a sound file; None where it is missing, cut short, altered or says too little."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if path.stat().st_size != note["bytes"] or _checksum(path) != note["crc32"]:
            return None
        if with_peak and note["peak_memory_bytes"] is None:
            return None
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        note = {"seconds": float(note["seconds"]), "peak_memory_bytes": note["peak_memory_bytes"]}
        if not isinstance(note["peak_memory_bytes"], int | None):
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, EOFError):
        return None
    with suppress(OSError):  # a folder that others keep may be read all the same
        os.utime(path)
    if values.shape != shape or values.dtype != dtype:
        return None
    return values, note


def _write_note(path: Path, note: dict[str, Any]) -> None:
    """Writes what is known of a prefix beside it, by rename."""
    unfinished = path.with_suffix(f".{os.getpid()}.note.tmp")
    try:
        unfinished.write_text(json.dumps(note), encoding="utf-8")
        unfinished.replace(path.with_suffix(".json"))
    finally:
        unfinished.unlink(missing_ok=True)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value
