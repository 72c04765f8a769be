"""Splits a run at its cut: the frozen layers run once, their output is kept, their weights leave memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from thriftune.engine.batches import Examples, packed_batch
from thriftune.engine.forward import packs
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.prefix import Prefix, prefix_bytes, prefix_file, prefix_of, release, restore
from thriftune.engine.frozen.stages import PeakOf
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier
from thriftune.models.ops.rows import Rows

Report = Callable[[str, int, int], None]
"""Called with the split, the work done and the work in all."""


def has_constant_prefix(classifier: Classifier, protocol: Protocol) -> bool:
    """Whether frozen layers lie below the first trained one and give the same output in every epoch."""
    return bool(classifier.cut) and protocol.frozen_dropout == "off" and packs(classifier, protocol)


def prefix_layers(classifier: Classifier, splits: dict[str, Examples], protocol: Protocol, cache: PrefixCache) -> int:
    """How many layers `run_prefix` will run once, 0 for none; a skeleton with its method applied can be asked."""
    if not has_constant_prefix(classifier, protocol):
        return 0
    cache, _ = cache.usable()
    fits = cache.fits(sum(prefix_bytes(classifier, examples.tokens) for examples in splits.values()))
    return classifier.cut or 0 if fits else 0


def packed_prefix(
    classifier: Classifier,
    examples: Examples,
    folder: Path | None,
    report: Callable[[int, int], None] | None,
    peak_of: PeakOf | None,
) -> Prefix:
    """The prefix of some examples, from the cache folder or computed into it; without a folder, into memory."""

    def rows_of(indices: np.ndarray) -> Rows:
        return packed_batch(examples.tokens, indices, classifier.device)

    return prefix_of(classifier, examples.tokens, rows_of, folder, report, peak_of)


def run_prefix(
    classifier: Classifier,
    splits: dict[str, Examples],
    protocol: Protocol,
    cache: PrefixCache,
    report: Report | None = None,
    peak_of: PeakOf | None = None,
    further: dict[str, Examples] | None = None,
) -> dict[str, Examples]:
    """The splits with their prefixes, and the classifier without the weights that only those needed.

    Where there is nothing constant below the cut, or the prefixes do not fit into the cache, the splits come back
    as they are and the frozen layers run in every step. `peak_of` measures what computing them needs in memory.
    `further` examples come back too; whether they fit decides only whether their own prefixes lie in the cache or
    in memory. A cache that cannot be used costs its advantage, not the run: a note of the classifier says so.
    """
    further = further or {}
    cache, trouble = cache.usable()
    if not prefix_layers(classifier, splits, protocol, cache) or not _room(classifier, splits, cache):
        restore(classifier)
        if trouble is not None and has_constant_prefix(classifier, protocol):
            classifier.notes = (*classifier.notes, f"The frozen layers ran in every step: {trouble}.")
        return splits | further
    everything = splits | further
    all_fit = cache.fits(sum(prefix_bytes(classifier, part.tokens) for part in everything.values()))
    all_fit = all_fit and _room(classifier, everything, cache)
    out = {}
    for name, examples in everything.items():
        progress = None if report is None else partial(report, name)
        folder = cache.folder if name in splits or all_fit else None
        prefix = packed_prefix(classifier, examples, folder, progress, peak_of)
        trouble = trouble or prefix.trouble
        out[name] = replace(examples, prefix=prefix)
    release(classifier)
    if trouble is not None:
        classifier.notes = (*classifier.notes, f"The output of frozen layers was kept in memory: {trouble}.")
    return out


def _room(classifier: Classifier, splits: dict[str, Examples], cache: PrefixCache) -> bool:
    """Makes room for the prefixes that are not there yet."""
    sizes = {prefix_file(classifier, part.tokens): prefix_bytes(classifier, part.tokens) for part in splits.values()}
    missing = [size for name, size in sizes.items() if cache.folder is None or not (cache.folder / name).exists()]
    return cache.make_room(sum(missing), keep=sizes)
