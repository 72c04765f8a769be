"""The frozen layers of a run: what of them is loaded, run once, let go and read back is decided here and nowhere else.

Below the cut nothing is trained, so without dropout the output is a constant: the layers run once, their output is
kept, and their weights are not in memory while the layers above are trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from thriftune.engine.examples import Examples
from thriftune.engine.forward import packs
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.prefix import Kind, kind_of, prefix_bytes, prefix_file, prefix_of
from thriftune.engine.frozen.stages import PeakOf
from thriftune.engine.parallel.passes import hand_out, settled
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier
from thriftune.models.residence import read_back, release
from thriftune.wording import size

Report = Callable[[str, int, int], None]
"""Called with the split, the work done and the work in all."""


@dataclass(frozen=True)
class FrozenLayers:
    """The layers below the cut of a run, for its texts.

    A run asks `plan` how many of them loading may leave out, then has them `run`. What is stored in the end is
    `models.residence.whole` again.
    """

    splits: dict[str, Examples]
    protocol: Protocol
    cache: PrefixCache
    report: Report | None = None
    peak_of: PeakOf | None = None
    """Measures what running them needs in memory."""
    further: dict[str, Examples] = field(default_factory=dict)
    """Whether these fit into the cache decides only whether their own prefixes lie there or in memory."""

    def plan(self, shapes: Classifier) -> int:
        """How many layers `run` will run once, 0 for none; a skeleton with its method applied can be asked."""
        if not has_constant_prefix(shapes, self.protocol):
            return 0
        cache, _ = self.cache.usable()
        return shapes.cut or 0 if cache.fits(self._bytes(shapes, self.splits)) else 0

    def run(self, classifier: Classifier) -> dict[str, Examples]:
        """All texts with their prefixes, and the classifier without the weights that only those needed.

        Where there is nothing constant below the cut, or the prefixes do not fit into the cache, the texts come back
        as they are and the frozen layers run in every step. A cache that cannot be used costs its advantage, not the
        run: a note of the classifier says so. Where it fails, the classifier has all its weights.
        """
        cache, trouble = self.cache.usable()
        everything = self.splits | self.further
        if not self.plan(classifier) or not self._room(classifier, self.splits, cache):
            read_back(classifier)
            settled(released=False)
            if has_constant_prefix(classifier, self.protocol):
                why = trouble or self._too_small(classifier, cache)
                classifier.notes = (*classifier.notes, f"The frozen layers ran in every step: {why}.")
            return everything
        all_fit = cache.fits(self._bytes(classifier, everything)) and self._room(classifier, everything, cache)
        out = {}
        try:
            for name, examples in everything.items():
                progress = None if self.report is None else partial(self.report, name)
                folder = cache.folder if name in self.splits or all_fit else None
                prefix = prefix_of(
                    classifier,
                    examples.tokens,
                    folder,
                    progress,
                    self.peak_of,
                    kind_of(classifier, self.protocol, name),
                )
                trouble = trouble or prefix.trouble
                kept = folder if prefix.mapped else None
                hand_out(
                    examples.tokens,
                    prefix,
                    partial(_file, classifier, examples, kept, kind_of(classifier, self.protocol, name)),
                )
                out[name] = replace(examples, prefix=prefix)
        except BaseException:
            read_back(classifier)
            raise
        release(classifier)
        settled(released=True)
        if trouble is not None:
            classifier.notes = (*classifier.notes, f"The output of frozen layers was kept in memory: {trouble}.")
        return out

    def _bytes(self, classifier: Classifier, splits: dict[str, Examples]) -> int:
        return sum(
            prefix_bytes(classifier, part.tokens, kind_of(classifier, self.protocol, name))
            for name, part in splits.items()
        )

    def _room(self, classifier: Classifier, splits: dict[str, Examples], cache: PrefixCache) -> bool:
        """Makes room for the prefixes that are not there yet."""
        sizes = {
            prefix_file(classifier, part.tokens, kind_of(classifier, self.protocol, name)): prefix_bytes(
                classifier, part.tokens, kind_of(classifier, self.protocol, name)
            )
            for name, part in splits.items()
        }
        missing = {n: bytes_ for n, bytes_ in sizes.items() if cache.folder is None or not (cache.folder / n).exists()}
        return cache.make_room(sum(left - cache.begun(name) for name, left in missing.items()), keep=sizes)

    def _too_small(self, classifier: Classifier, cache: PrefixCache) -> str:
        needed = size(self._bytes(classifier, self.splits))
        where = "memory" if cache.folder is None else str(cache.folder)
        return f"their output takes {needed}, and {where} has room for {size(max(0, cache.room()))} of it"


def run_prefix(
    classifier: Classifier,
    splits: dict[str, Examples],
    protocol: Protocol,
    cache: PrefixCache,
    report: Report | None = None,
    peak_of: PeakOf | None = None,
    further: dict[str, Examples] | None = None,
) -> dict[str, Examples]:
    """`FrozenLayers.run` of a classifier that is loaded whole."""
    return FrozenLayers(splits, protocol, cache, report, peak_of, further or {}).run(classifier)


def has_constant_prefix(classifier: Classifier, protocol: Protocol) -> bool:
    """Whether frozen layers lie below the first trained one and give the same output in every epoch."""
    return bool(classifier.cut) and protocol.frozen_dropout == "off" and packs(classifier, protocol)


def _file(classifier: Classifier, examples: Examples, folder: Path | None, kind: Kind) -> Path | None:
    """Where a prefix lies in the cache."""
    return None if folder is None else folder / prefix_file(classifier, examples.tokens, kind)
