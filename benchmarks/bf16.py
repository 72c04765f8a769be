"""`precision: bf16` on a CPU against float32 and against Trainer + PEFT: speed, memory and accuracy.

    python benchmarks/bf16.py                                   # speed and memory, MiniLM, SNLI pairs
    python benchmarks/bf16.py --model bert-base distilbert-base # base shapes with random weights
    python benchmarks/bf16.py --model bert-base --tokens 256    # texts of 256 tokens, batches of 8
    python benchmarks/bf16.py --accuracy                        # three seeds on SNLI, BANKING77, CLINC150

Arms take turns in one run, each in a fresh process; ratios are medians over the rounds. On a processor without a unit
for bfloat16 the speed rows say so and nothing is measured. Data sets are looked for in --folder, and --accuracy takes
a --model too: a name or folder of pretrained weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from shapes import MINILM, MODELS

HERE = Path(__file__).parent
METHODS = ("lora all", "full", "top_layers 2")
ARMS = ("fp32", "bf16", "peer")
LONG_BATCH = 8
"""Texts of a step where they are long."""
SEEDS = (0, 1, 2)
DATA = ("snli", "banking77", "clinc150")
TRAINED: dict[str, dict[str, Any]] = {
    "top_layers 2": {"top_layers": {"layers": 2, "learning_rate": 5e-4}},
    "lora all": {"lora": {"learning_rate": 5e-3}},
    "full": {"full": {"learning_rate": 3e-4}},
}
"""The methods of --accuracy."""


def main() -> None:
    """Measures, prints and merges rows into benchmarks/results/bf16.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=[MINILM])
    parser.add_argument("--tokens", type=int, help="of every text; SNLI pairs as they are unless given")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA, help="of --accuracy")
    parser.add_argument("--folder", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only is not None:
        print(json.dumps(measured(**json.loads(args.only))))
        return
    from compare import merge

    from thriftune.models.ops import kernels

    if not kernels.multiplies_narrow():
        print("This processor has no unit for bfloat16: nothing is measured.")
        return
    for model in args.model:
        if args.accuracy:
            for row in accuracy(args.folder, model, args.data, args.methods):
                print(row, flush=True)
                merge("bf16", {"seeds": SEEDS}, [row], ("what", "size", "data", "method"))
            continue
        for method in args.methods:
            job = {"method": method, "model": model, "texts": 0, "epochs": 1}
            if args.tokens is not None:
                job |= {"tokens": args.tokens, "batch_size": LONG_BATCH}
            row = speeds(job, args.repeats)
            print(row, flush=True)
            merge("bf16", {"repeats": args.repeats}, [row], ("what", "size", "method"))


def size_of(model: str, tokens: int | None = None) -> str:
    """How rows name a model and the texts' length."""
    return (model if model in MODELS else Path(model).name) + ("" if tokens is None else f", {tokens} tokens")


def steps_of(model: str) -> tuple[int, int]:
    """Steps that are timed, and how many of them come first and do not count."""
    return (24, 4) if model == MINILM else (6, 1)


def speeds(job: dict[str, Any], repeats: int) -> dict[str, Any]:
    """A job's seconds a step, of its frozen layers and of prediction, and its memory, in the three arms."""
    runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for _ in range(repeats):
        for arm, found in runs.items():
            request = json.dumps({"job": job, "arm": arm})
            done = subprocess.run(
                [sys.executable, "-W", "ignore", __file__, "--only", request],
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(json.loads(done.stdout.strip().splitlines()[-1]))

    def ratio(name: str, above: str, below: str) -> float | None:
        pairs = list(zip(runs[above], runs[below], strict=True))
        if any(name not in run for pair in pairs for run in pair):
            return None
        return round(statistics.median(one[name] / other[name] for one, other in pairs), 3)

    return {
        "what": "speed",
        "size": size_of(job["model"], job.get("tokens")),
        "method": job["method"],
        "seconds": {
            arm: {key: statistics.median(r[key] for r in found) for key in found[0]} for arm, found in runs.items()
        },
        "step_speed": ratio("step", "fp32", "bf16"),
        "prefix_speed": ratio("prefix", "fp32", "bf16"),
        "predict_speed": ratio("predict", "fp32", "bf16"),
        "memory_share": ratio("memory_bytes", "bf16", "fp32"),
        "fp32_against_peer": ratio("step", "peer", "fp32"),
        "bf16_against_peer": ratio("step", "peer", "bf16"),
    }


def measured(job: dict[str, Any], arm: str) -> dict[str, float]:
    """One arm in this process: medians of seconds a step, and the rest where it is there."""
    import torch
    from arms import Job, classifier_of, dataset_rows, texts_of, tokens_of, trainer_of
    from transformers import TrainerCallback

    from thriftune.cost.measured.memory import probe
    from thriftune.engine.allocator import keep_freed_memory
    from thriftune.engine.batches import training_batches, widest_batch
    from thriftune.engine.examples import Examples
    from thriftune.engine.frozen import words
    from thriftune.engine.frozen.cache import PrefixCache
    from thriftune.engine.frozen.layers import run_prefix
    from thriftune.engine.predict import predict
    from thriftune.engine.protocol import Protocol
    from thriftune.engine.step import Step, build_optimizer
    from thriftune.models.residence import round_frozen

    steps, warm = steps_of(job["model"])
    job = Job(arm="ours" if arm != "peer" else "peer", **job)
    job = replace(job, texts=job.batch_size * steps)
    texts, labels = texts_of(job)
    with tempfile.TemporaryDirectory() as folder:
        classifier, rate = classifier_of(job)
        tokens = tokens_of(classifier, texts)
        if arm == "peer":
            seconds: list[float] = []

            class Clock(TrainerCallback):  # type: ignore[misc]
                def on_step_end(self, *_: Any, **__: Any) -> None:
                    seconds.append(time.perf_counter())

            trainer = trainer_of(job, classifier, rate, dataset_rows(tokens, labels), folder)
            trainer.add_callback(Clock())
            trainer.train()
            return {"step": float(np.median(np.diff(seconds)[warm:]))}
        protocol = Protocol(epochs=1, batch_size=job.batch_size, precision=arm)  # type: ignore[arg-type]
        keep_freed_memory()
        for cache in ("first", "second"):  # the first pass of a process hashes weights and is given memory page by page
            classifier, rate = classifier_of(job)
            whole = {"train": Examples(tokens, labels)}
            started = time.perf_counter()
            cut = run_prefix(classifier, whole, protocol, PrefixCache(Path(folder) / cache))
            passed = time.perf_counter() - started
        out = {"prefix": passed} if cut["train"].prefix is not None else {}
        classifier.train_mode(False)
        if arm == "bf16":
            round_frozen(classifier)
        torch.manual_seed(0)
        _, (train, *_) = words.narrow(classifier, [cut["train"]], protocol)
        assert train is not None
        optimizer = build_optimizer(classifier, protocol.optimizer, rate)
        step = Step(classifier, train, protocol, optimizer)
        times = []
        for batch in training_batches(len(labels), job.batch_size, 0, 0):
            started = time.perf_counter()
            step([batch], rate)
            times.append(time.perf_counter() - started)
        out["step"] = float(np.median(times[warm:]))
        out["memory_bytes"] = probe(step, [widest_batch(train.tokens.lengths, protocol, 0)])[0]
        classifier.eval_mode()
        predict(classifier, train, protocol)
        started = time.perf_counter()
        predict(classifier, train, protocol)
        out["predict"] = time.perf_counter() - started
    return out


def accuracy(folder: Path, model: str, names: list[str], methods: list[str]) -> Iterator[dict[str, Any]]:
    """Test accuracy of a model in both precisions over three seeds, per data set and method."""
    import yaml

    from thriftune import compare
    from thriftune.results.store import Store

    sources: dict[str, dict[str, Any]] = {
        "snli": {"source": "demo:snli", "text": ["premise", "hypothesis"], "label": "label", "limit": {"train": 1000}},
        "banking77": {
            "source": {"train": str(folder / "banking77/train.csv"), "test": str(folder / "banking77/test.csv")},
            "text": ["text"],
            "label": "category",
            "split": {"validation": 0.1, "seed": 0},
            "limit": {"train": 1000},
        },
        "clinc150": {
            "source": {s: str(folder / f"clinc150/imbalanced_{s}.jsonl") for s in ("train", "validation", "test")},
            "text": ["text"],
            "label": "intent",
            "limit": {"train": 1000},
        },
    }
    for name in names:
        data = sources[name]
        found: dict[str, dict[str, list[float]]] = {}
        for precision in ("fp32", "bf16"):
            with tempfile.TemporaryDirectory() as out:
                study = {
                    "name": f"{name}-{precision}",
                    "data": data,
                    "models": [model],
                    "head": {"type": "mean"},
                    "methods": [TRAINED[method] for method in methods],
                    "seeds": list(SEEDS),
                    "protocol": {"epochs": 6, "batch_size": 16, "max_tokens": 64, "precision": precision},
                }
                path = Path(out) / "study.yaml"
                path.write_text(yaml.safe_dump(study), encoding="utf-8")
                compare(path, Path(out) / "results")
                for run in Store(Path(out) / "results").load().runs:
                    assert run.test is not None, run.message
                    found.setdefault(run.cell, {}).setdefault(precision, []).append(run.test.accuracy)
        for method, scores in found.items():
            means = {each: 100 * float(np.mean(values)) for each, values in scores.items()}
            spread = 100 * max(float(np.std(values, ddof=1)) for values in scores.values())
            yield {
                "what": "accuracy",
                "size": size_of(model),
                "data": name,
                "method": method,
                **{each: [round(100 * value, 2) for value in values] for each, values in scores.items()},
                "difference": round(means["bf16"] - means["fp32"], 2),
                "spread": round(spread, 2),
            }


if __name__ == "__main__":
    main()
