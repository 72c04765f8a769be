"""Splits a run at its cut: the frozen layers run once, their output is kept, their weights leave memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thriftune.engine.batches import Examples, packed_batch
from thriftune.engine.forward import packs
from thriftune.engine.prefix import Prefix, prefix_bytes, prefix_of, release
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier
from thriftune.models.rows import Rows


@dataclass(frozen=True)
class PrefixCache:
    """A folder of prefixes and the bytes that it may hold; without a folder prefixes stay in memory."""

    folder: Path | None
    limit_bytes: int = 20_000_000_000

    def make_room(self, needed: int) -> bool:
        """Deletes the prefixes that were unused for longest until `needed` bytes fit; False where they never will."""
        if self.folder is None:
            return needed <= self.limit_bytes
        self.folder.mkdir(parents=True, exist_ok=True)
        files = sorted(self.folder.glob("*.npy"), key=lambda path: path.stat().st_mtime)
        held = sum(path.stat().st_size for path in files)
        if needed > min(self.limit_bytes, shutil.disk_usage(self.folder).free + held):
            return False
        for path in files:
            if held + needed <= self.limit_bytes and needed < shutil.disk_usage(self.folder).free:
                break
            held -= path.stat().st_size
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
        return True


def has_constant_prefix(classifier: Classifier, protocol: Protocol) -> bool:
    """Whether frozen layers lie below the first trained one and give the same output in every epoch."""
    return bool(classifier.cut) and protocol.frozen_dropout == "off" and packs(classifier, protocol)


def run_prefix(
    classifier: Classifier,
    splits: dict[str, Examples],
    protocol: Protocol,
    cache: PrefixCache,
    report: Callable[[str, int, int], None] | None = None,
    further: dict[str, Examples] | None = None,
) -> dict[str, Examples]:
    """The splits with their prefixes, and the classifier without the weights that only those needed.

    Where there is nothing constant below the cut, or the prefixes do not fit into the cache, the splits come back
    as they are and the frozen layers run in every step. `further` examples come back too; whether they fit decides
    only whether their own prefixes lie in the cache or in memory.
    """
    further = further or {}
    if not has_constant_prefix(classifier, protocol):
        return splits | further
    needed = sum(prefix_bytes(classifier, examples.tokens) for examples in splits.values())
    if not cache.make_room(needed):
        return splits | further
    out = {}
    for name, examples in splits.items():
        out[name] = replace(examples, prefix=_prefix(classifier, examples, cache.folder, name, report))
    for name, examples in further.items():
        needed += prefix_bytes(classifier, examples.tokens)
        folder = cache.folder if cache.make_room(needed) else None
        out[name] = replace(examples, prefix=_prefix(classifier, examples, folder, name, report))
    release(classifier)
    return out


def _prefix(
    classifier: Classifier,
    examples: Examples,
    folder: Path | None,
    name: str,
    report: Callable[[str, int, int], None] | None,
) -> Prefix:
    def rows_of(indices: np.ndarray) -> Rows:
        return packed_batch(examples.tokens, indices, classifier.device)

    progress = None if report is None else (lambda done, total: report(name, done, total))
    return prefix_of(classifier, examples.tokens, rows_of, folder, progress)
