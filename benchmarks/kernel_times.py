"""Where the time of our steps and of prediction goes, by compiled kernel, timed where each is called.

    python benchmarks/kernel_times.py           # LoRA, full, prediction and the frozen layers, both precisions
    python benchmarks/kernel_times.py --model bert-base --what step

torch's profiler (`step_profile.py`) makes kernels that write large rows many times slower; two clock readings do not.
What is no kernel (Python, torch's operators) is the rest. Prediction runs on one thread, so that no kernels overlap.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from arms import Job, classifier_of, texts_of, tokens_of
from compare import merge, table
from shapes import MINILM

from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples
from thriftune.engine.frozen import words
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.models.ops.kernels import operators
from thriftune.models.residence import round_frozen

WARM = 4
UPDATE, REST = "clipping and AdamW", "everything else"
ASKED = (("lora all", "step"), ("full", "step"), ("full", "prediction"), ("top_layers 2", "frozen layers"))


def main() -> None:
    """Times, prints a table and merges the rows into benchmarks/results/kernel_times.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MINILM)
    parser.add_argument("--what", nargs="+", default=sorted({what for _, what in ASKED}))
    parser.add_argument("--texts", type=int, default=640)
    args = parser.parse_args()
    keep_freed_memory()
    threads = torch.get_num_threads()
    rows: list[dict[str, Any]] = []
    for method, what in ASKED:
        for precision in ("fp32", "bf16") if what in args.what else ():
            torch.set_num_threads(1 if what == "prediction" else threads)
            job = Job("ours", method, args.texts, epochs=1, model=args.model)
            rows += timed(job, what, precision)
    keys = ("model", "method", "what", "precision", "kernel")
    print(table(rows, dict.fromkeys(keys, "") | {"milliseconds": ".2f", "share": ".1%"}))
    print(merge("kernel_times", vars(args), rows, keys))


class Clock:
    """A kernel library that adds up the seconds of each function."""

    def __init__(self, library: Any, seconds: dict[str, float]) -> None:
        self.library, self.seconds = library, seconds

    def __getattr__(self, name: str) -> Callable[..., None]:
        return clocked(getattr(self.library, name), name, self.seconds)


def clocked(function: Callable[..., Any], name: str, seconds: dict[str, float]) -> Callable[..., Any]:
    """The function, which adds its seconds under a name."""

    def run(*args: Any, **settings: Any) -> Any:
        started = time.perf_counter()
        out = function(*args, **settings)
        seconds[name] += time.perf_counter() - started
        return out

    return run


def timed(job: Job, what: str, precision: str) -> list[dict[str, Any]]:
    """A row for each kernel and for the rest, of a step or of all texts."""
    protocol = Protocol(epochs=1, batch_size=job.batch_size, precision=precision)  # type: ignore[arg-type]
    texts, labels = texts_of(job)
    seconds: dict[str, float] = defaultdict(float)
    libraries = operators._typed_library
    operators._typed_library = lambda dtype: Clock(libraries(dtype), seconds)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for turn in ("warm", "counted"):
                classifier, rate = classifier_of(job)
                examples = Examples(tokens_of(classifier, texts), labels)
                if what == "frozen layers":
                    seconds.clear()
                    started = time.perf_counter()
                    run_prefix(classifier, {"train": examples}, protocol, PrefixCache(Path(folder) / turn))
                    whole, count = time.perf_counter() - started, 1
                    continue
                classifier.train_mode(False)
                if precision == "bf16":
                    round_frozen(classifier)
                if what == "prediction":
                    classifier.eval_mode()
                    seconds.clear()
                    started = time.perf_counter()
                    predict(classifier, examples, protocol)
                    whole, count = time.perf_counter() - started, 1
                    continue
                _, (train, *_) = words.narrow(classifier, [examples], protocol)
                assert train is not None
                step = Step(classifier, train, protocol, build_optimizer(classifier, protocol.optimizer, rate))
                step.apply = clocked(step.apply, UPDATE, seconds)  # type: ignore[method-assign]
                batches = training_batches(len(labels), job.batch_size, 0, 0)
                for batch in batches[:WARM]:
                    step([batch], rate)
                seconds.clear()
                started = time.perf_counter()
                for batch in batches[WARM:]:
                    step([batch], rate)
                whole, count = time.perf_counter() - started, len(batches) - WARM
    finally:
        operators._typed_library = libraries
    kernels = dict(sorted(seconds.items(), key=lambda item: -item[1]))
    kernels[REST] = whole - sum(kernels.values())
    same = {"model": job.model, "method": job.method, "what": what, "precision": precision}
    return [
        {**same, "kernel": name, "milliseconds": 1e3 * spent / count, "share": spent / whole}
        for name, spent in {**kernels, "together": whole}.items()
    ]


if __name__ == "__main__":
    main()
