"""What each technique of the engine gains alone: training speed and memory with it and without it.

    python benchmarks/ablation.py                             # the whole, about ten minutes
    python benchmarks/ablation.py --texts 64 --rounds 1       # whether it runs

All variants of a method live in one process and train an epoch in turn, round by round: on a shared machine the
differences drown in noise otherwise. `speed` is that of the steps without the technique, the whole engine's in the same
round being 1: the median over the rounds, dropout on. The frozen layers' pass, which runs once, stands apart and is
timed once. Memory is live tensor bytes at the peak of a step on the widest batch. The last row of a method switches
recomputation of layers on instead.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from arms import METHODS, Job, classifier_of, texts_of, tokens_of
from compare import merge, table
from techniques import ALL, COMPOSED, TECHNIQUES, switched_off

from thriftune.cost.measured.environment import use_all_processors
from thriftune.cost.measured.memory import probe
from thriftune.engine import allocator, step
from thriftune.engine.batches import training_batches, widest_batch
from thriftune.engine.examples import Examples
from thriftune.engine.frozen import words
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix

WHOLE, RECOMPUTE = "nothing: all on", "recompute: layers (switched on)"
FREED_MEMORY = "freed memory kept for the next step"
RATE = 1e-5


@dataclass
class Arm:
    """The engine without some techniques, ready to train."""

    without: tuple[str, ...]
    step: step.Step
    batches: list[np.ndarray]
    prefix_seconds: float
    peak: int

    def epoch(self) -> float:
        """Seconds of an epoch's steps."""
        with _freed_memory_given_back(FREED_MEMORY in self.without), switched_off(*self.without):
            started = perf_counter()
            for batch in self.batches:
                self.step([batch], RATE)
            return perf_counter() - started


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/ablation.json after every method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--methods", nargs="*", default=[*ALL, COMPOSED], choices=[*METHODS, COMPOSED])
    args = parser.parse_args()
    use_all_processors()
    allocator.keep_freed_memory()
    rows: list[dict[str, Any]] = []
    for method in args.methods:
        rows += _measured(method, args.texts, args.rounds)
        columns = {"method": "", "without": "", "step_ms": ".0f", "speed": ".2f", "prefix_seconds": ".1f"}
        columns |= {"peak_mb": ".1f", "memory": ".2f"}
        print(table(rows, columns), flush=True)
        print(merge("ablation", vars(args), rows, ("method", "without")))


def _measured(method: str, texts: int, rounds: int) -> list[dict[str, Any]]:
    """A method's rows."""
    job = Job("ours", method.split(",", maxsplit=1)[0], texts)
    off = ("compiled kernels",) if method == COMPOSED else ()
    arms = {WHOLE: _arm(job, off)}
    for name, technique in TECHNIQUES.items():
        if method in technique.methods:
            arms[name] = _arm(job, (*off, name))
    arms[RECOMPUTE] = _arm(replace(job, recompute="layers"), off)
    for arm in arms.values():
        arm.epoch()
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        for name in (list(arms), list(arms)[::-1])[number % 2]:
            seconds[name].append(arms[name].epoch())
    rows = []
    for name, arm in arms.items():
        ratios = [ours / each for ours, each in zip(seconds[WHOLE], seconds[name], strict=True)]
        rows.append(
            {
                "method": method,
                "without": name,
                "step_ms": 1e3 * median(seconds[name]) / len(arm.batches),
                "prefix_seconds": arm.prefix_seconds,
                "speed": median(ratios),
                "speeds": ratios,
                "peak_mb": arm.peak / 1e6,
                "memory": arm.peak / arms[WHOLE].peak,
            }
        )
    return rows


def _arm(job: Job, without: tuple[str, ...]) -> Arm:
    """Runs the frozen layers and counts memory, without the techniques."""
    texts, labels = texts_of(job)
    classifier, _ = classifier_of(job)
    tokens = tokens_of(classifier, texts)
    with switched_off(*without):
        data = run_prefix(classifier, {"train": Examples(tokens, labels)}, job.protocol, PrefixCache(None))
        cut = data["train"]
        _, (train, *_) = words.narrow(classifier, [cut], job.protocol)
        assert train is not None
        classifier.train_mode(False)
        optimizer = step.build_optimizer(classifier, job.protocol.optimizer, RATE)
        steps = step.Step(classifier, train, job.protocol, optimizer)
        peak, _ = probe(steps, [widest_batch(tokens.lengths, replace(job.protocol, epochs=1), job.seed)])
    batches = training_batches(len(train), job.batch_size, job.seed, 0)
    return Arm(without, steps, batches, 0.0 if cut.prefix is None else cut.prefix.seconds, peak)


@contextmanager
def _freed_memory_given_back(wanted: bool) -> Iterator[None]:
    """glibc's own thresholds for a while, where that is `wanted`."""
    if not wanted or platform.libc_ver()[0] != "glibc":
        yield
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option in (allocator.M_MMAP_THRESHOLD, allocator.M_TRIM_THRESHOLD):
        mallopt(option, 128 << 10)
    try:
        yield
    finally:
        allocator.keep_freed_memory.cache_clear()
        allocator.keep_freed_memory()


if __name__ == "__main__":
    main()
