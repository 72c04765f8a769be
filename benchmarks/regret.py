"""Regret of defaults: each method's default against the best of a search of 12 settings, on data of three kinds.

    python benchmarks/regret.py [--data banking77 clinc150 snli] [--rows 200 1000] [--methods full lora ...]

FOLDER (--folder, ../shared/data unless given) holds the data sets. The default is what `thriftune init` writes:
epochs auto, learning_rate auto, mean head, batch size by rows. The search tries four rates and three numbers of epochs
(linear decay) with one seed and takes the best on validation; it and the default are then trained with three seeds
and tested. Every training is kept in benchmarks/results/regret.json as soon as it is done: the script goes on where it
was stopped. With --precision bf16 a cell's trainings all run in bfloat16, for twice as many of them an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import RESULTS, machine
from filelock import FileLock

from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.data.tokens import encode
from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.hooks import DivergedError, Hook
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.schedule import epoch_steps
from thriftune.engine.train import Task, fit
from thriftune.folders import cache_folder
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import resolve_model
from thriftune.study.proposal.propose import protocol_for, tuned_methods
from thriftune.study.run.rate_search import highest_good, probe_steps

FILE = RESULTS / "regret.json"
SEEDS = (0, 1, 2)
STEPS = (150, 500, 1500)
"""The budgets of the search, as optimiser steps: rounded to epochs."""
RATES: dict[str, tuple[float, ...]] = {
    "head_only": (1e-3, 3e-3, 1e-2, 3e-2),
    "top_layers": (1e-4, 3e-4, 6e-4, 1.5e-3),
    "lora": (5e-4, 1e-3, 3e-3, 8e-3),
    "full": (5e-5, 1e-4, 3e-4, 6e-4),
}
HEAD = HeadSettings(type="mean")
METHODS = tuned_methods(HEAD)
"""As `init` writes them."""
MOST_TESTED = 3000


@dataclass(frozen=True)
class Data:
    """A data set's splits as rows, and how it is read."""

    labels: tuple[str, ...]
    splits: dict[str, Any]
    text: tuple[str, ...]
    max_tokens: int


def main() -> None:
    """Trains what is missing, writes every training down and prints the table of regrets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["banking77", "clinc150", "snli"])
    parser.add_argument("--rows", nargs="+", type=int, default=[200, 1000], help="0: all")
    parser.add_argument("--methods", nargs="+", default=list(RATES))
    parser.add_argument("--folder", type=Path, default=Path("../shared/data"))
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of search and default alike")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    book = Book(args.file)
    for rows in args.rows:
        for name in args.data:
            data = read(args.folder, name, rows)
            for method in args.methods:
                cell = Cell(book, data, name, rows, method, args.precision)
                cell.run()
                print(cell.line(), flush=True)


class Book:
    """The trainings that are done, on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[dict[str, Any]]:
        """All of them."""
        return list(json.loads(self.path.read_text())["rows"]) if self.path.exists() else []

    def find(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The one with these settings."""
        rows = ({"precision": "fp32"} | row for row in self.rows())
        return next((row for row in rows if all(row[name] == value for name, value in key.items())), None)

    def add(self, row: dict[str, Any]) -> None:
        """Writes one down."""
        settings = {
            "seeds": SEEDS,
            "steps": STEPS,
            "rates": RATES,
            "methods": {name: method.flat() for name, method in METHODS.items()},
        }
        spare = self.path.with_suffix(".tmp")
        with FileLock(self.path.with_suffix(".lock")):  # several of these scripts may share the work
            text = json.dumps({"machine": machine(), "settings": settings, "rows": [*self.rows(), row]}, indent=1)
            spare.write_text(text + "\n")
            spare.replace(self.path)


def read(folder: Path, name: str, rows: int) -> Data:
    """A data set with so many training rows (0: all) and a ninth as many validation texts, at least 40."""
    sources: dict[str, tuple[Any, tuple[str, ...], str]] = {
        "banking77": (
            {split: str(folder / "banking77" / f"{split}.csv") for split in ("train", "test")},
            ("text",),
            "category",
        ),
        "clinc150": (
            {s: str(folder / "clinc150" / f"imbalanced_{s}.jsonl") for s in ("train", "validation", "test")},
            ("text",),
            "intent",
        ),
        "snli": ("demo:snli", ("premise", "hypothesis"), "label"),
    }
    source, text, label = sources[name]
    split = SplitSettings(validation=0.1) if name == "banking77" else "given"
    settings = DataSettings(source=source, text=text, label=label, split=split, limit={"test": MOST_TESTED})  # type: ignore[arg-type]
    dataset = load_dataset(settings)
    splits = dict(dataset.splits)
    if rows:
        splits["train"] = drawn(splits["train"], rows)
        splits["validation"] = splits["validation"].sample(max(40, rows // 9), seed=0)
    return Data(dataset.labels, splits, text, 64 if len(text) == 1 else 128)


def drawn(frame: Any, rows: int) -> Any:
    """So many rows at random, of every class one at least."""
    order = np.random.default_rng(0).permutation(frame.height)
    labels = frame["label"].to_numpy()[order]
    _, first = np.unique(labels, return_index=True)
    rest = np.setdiff1d(np.arange(len(order)), first)
    return frame[np.sort(order[np.concatenate([first, rest])[:rows]])]


@dataclass(frozen=True)
class Cell:
    """One method on one data set of one size."""

    book: Book
    data: Data
    name: str
    rows: int
    method: str
    precision: str = "fp32"

    @property
    def batch_size(self) -> int:
        """As `init` proposes by rows."""
        return protocol_for(len(self.data.splits["train"]), self.data.max_tokens).batch_size

    def run(self) -> None:
        """The search, then its winner and the default with every seed."""
        for rate in RATES[self.method]:
            for epochs in self.epochs():
                self.trained(rate, epochs, 0)
        rate, epochs = self.winner()
        for seed in SEEDS:
            self.trained(rate, epochs, seed)
            self.trained("auto", "auto", seed)

    def epochs(self) -> list[int]:
        """The numbers of epochs that make about the steps of the search."""
        each = epoch_steps(len(self.data.splits["train"]), Protocol(batch_size=self.batch_size))
        return sorted({max(1, round(steps / each)) for steps in STEPS})

    def winner(self) -> tuple[float, int]:
        """The best of the search on validation; of equals the lower loss."""
        tried = [self.trained(rate, epochs, 0) for rate in RATES[self.method] for epochs in self.epochs()]
        best = max(tried, key=lambda row: (row["validation"], -row["validation_loss"]))
        return best["rate"], best["epochs"]

    def trained(self, rate: float | str, epochs: int | str, seed: int) -> dict[str, Any]:
        """A training from the book, or a new one that is written there."""
        key = {
            "data": self.name,
            "rows": self.rows,
            "method": self.method,
            "rate": rate,
            "epochs": epochs,
            "seed": seed,
            "precision": self.precision,
        }
        found = self.book.find(key)
        if found is None:
            found = key | self.train(rate, epochs, seed)
            self.book.add(found)
        return found

    def train(self, rate: float | str, epochs: int | str, seed: int) -> dict[str, Any]:
        """Trains and tests; a training that diverged scores nothing."""
        protocol = Protocol(
            epochs=epochs,  # type: ignore[arg-type]
            batch_size=self.batch_size,
            max_tokens=self.data.max_tokens,
            precision=self.precision,  # type: ignore[arg-type]
        )
        started, clock = time.perf_counter(), Clock()
        chosen, probes = rate, {}
        if rate == "auto":
            steps = probe_steps(protocol, len(self.data.splits["train"]))
            for each in METHODS[self.method].RATE_GRID:
                try:
                    probes[each] = self.fitted(protocol, each, seed, clock, steps)[0].validation.loss
                except DivergedError:
                    continue
            chosen = highest_good(probes)
        try:
            fitted, test = self.fitted(protocol, float(chosen), seed, clock)
        except DivergedError:
            return {"test": 0.0, "validation": 0.0, "validation_loss": 1e9, "chosen": chosen, "ended": "diverged"}
        return {
            "test": test,
            "validation": fitted.validation.accuracy,
            "validation_loss": fitted.validation.loss,
            "chosen": chosen,
            "ended": fitted.ended,
            "steps": fitted.epochs[-1].step,
            "train_seconds": clock.seconds,
            "seconds": time.perf_counter() - started,
        }

    def fitted(self, protocol: Protocol, rate: float, seed: int, clock: Hook, steps: int | None = None) -> Any:
        """A training, and the test accuracy of what it kept (nothing for a probe)."""
        classifier = load_classifier(resolve_model("demo:minilm"), self.data.labels, HEAD, "demo:minilm", seed)
        METHODS[self.method].apply(classifier, torch.Generator().manual_seed(seed))
        examples = {split: self.examples(classifier, split) for split in ("train", "validation", "test")}
        examples = run_prefix(classifier, examples, protocol, PrefixCache(cache_folder() / "prefixes"))
        where = cache_folder() / f"regret-{os.getpid()}.safetensors"
        task = Task(
            *(classifier, examples["train"], examples["validation"], protocol, rate, seed, where),
            head_learning_rate=METHODS[self.method].head_learning_rate,
            probe_steps=steps,
        )
        fitted = fit(task, [clock])
        if steps is not None:
            return fitted, None
        test = examples["test"]
        return fitted, float((predict(classifier, test, protocol).argmax(axis=1) == test.labels).mean())

    def examples(self, classifier: Any, split: str) -> Examples:
        """A split's tokens and label ids."""
        frame = self.data.splits[split]
        texts = [frame[name].to_list() for name in self.data.text]
        tokens = encode(classifier.tokenizer, texts, self.data.max_tokens, token_types=True)
        return Examples(tokens, frame["label"].to_numpy().astype(np.int64))

    def line(self) -> str:
        """The cell's row of the table."""
        rate, epochs = self.winner()
        best, default = (
            np.array([self.trained(*each, seed)["test"] for seed in SEEDS])
            for each in ((rate, epochs), ("auto", "auto"))
        )
        regret = 100 * (best.mean() - default.mean())
        texts = len(self.data.splits["test"])
        # Seeds and texts both vary: the difference of means over three seeds of each, on the same texts.
        share = (best.mean() + default.mean()) / 2
        spread = 100 * 1.96 * np.sqrt((best.var(ddof=1) + default.var(ddof=1)) / 3 + 0.2 * share * (1 - share) / texts)
        return (
            f"{self.name:10} {self.rows or 'all':>5} {self.method:11} {self.precision} "
            f"searched {100 * best.mean():5.1f} "
            f"(rate {rate:g}, {epochs} epochs) default {100 * default.mean():5.1f} "
            f"regret {regret:+5.1f} +- {spread:.1f}"
        )


class Clock(Hook):
    """Adds up the seconds of steps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def steps_done(self, seconds: float) -> None:
        """Adds some."""
        self.seconds += seconds


if __name__ == "__main__":
    main()
