"""Ten classifiers served together against one alone, and against as many separate ones: memory and texts per second.

    python benchmarks/many.py --folder ../shared/data/banking77
    python benchmarks/many.py

The texts are those of test.csv in the folder (a column text), else the demo's SNLI hypotheses. Ten LoRA adapters of the
demo's encoder (rank 8 on every query and value, a head of 77 labels) are stored with random weights: their cost is that
of trained ones. Three arms take turns, each in a fresh process in each round: `one` (Classifier.load of one),
`together` (Classifier.load_many of all) and `separate` (Classifier.load of each). Each predicts the same texts, dealt
out over its classifiers, in three ways: all of them in one call, 32 in a call as a busy service would, and one in a
call. Memory is the live tensor bytes at the peak of a call of 32 with the models, and what the process's resident set
grew by from before the models were loaded, libraries not counted. The table has the medians of the rounds; ratios are
against `one` of the same round.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from compare import medians, save
from predict import texts_of

from thriftune.cost.measured.memory import peak_of
from thriftune.methods.lora import Lora
from thriftune.models.head import HeadSettings
from thriftune.models.ops.kernels.build import build
from thriftune.models.ops.products import ORDERED
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.trained.save import save_classifier
from thriftune.models.trained.usage import Reading
from thriftune.use.classifier import Classifier

ARMS = ("one", "together", "separate")
BARS = {"memory": 1.3, "speed": 0.8}
MAX_TOKENS = 256
LABELS = tuple(f"label {index}" for index in range(77))
CALL = 32
SINGLES = 100
"""Texts of the arm that predicts one in a call."""


def store(folder: Path, count: int) -> list[Path]:
    """The model folders of so many adapters."""
    found = []
    for index in range(count):
        rng = torch.Generator().manual_seed(index)
        made = load_classifier(resolve_model("demo:minilm"), LABELS, HeadSettings(type="mean"), name="demo:minilm")
        Lora().apply(made, rng)
        with torch.no_grad():
            for _, parameter in made.trained():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=rng))
        found.append(folder / f"adapter-{index}")
        save_classifier(made, found[-1], Reading(("text",), MAX_TOKENS))
    return found


class Arm:
    """Classifiers of an arm, and how they predict texts that are dealt out over them."""

    def __init__(self, name: str, paths: list[Path]) -> None:
        self.together = Classifier.load_many({path.name: path for path in paths}) if name == "together" else None
        self.each = [] if self.together else [Classifier.load(path) for path in (paths[:1] if name == "one" else paths)]
        self.names = [path.name for path in paths]

    def tensors(self) -> list[torch.Tensor]:
        """All of them, each once."""
        models: list[Any] = [found.model for found in self.together.loaded.values()] if self.together else []
        models += [found.model for found in self.each]
        found = {}
        for model in models:
            for tensor in (*model.network.root.parameters(), *model.network.root.buffers()):
                found[tensor.untyped_storage().data_ptr()] = tensor
        for loaded in self.together.loaded.values() if self.together else ():
            for update in loaded.member.updates.values() if loaded.member else ():
                for tensor in (update.down, update.up):
                    found[tensor.untyped_storage().data_ptr()] = tensor
        return list(found.values())

    def predict(self, texts: list[str], start: int = 0) -> list[np.ndarray]:
        """The probabilities of each text; text i goes to classifier start + i, round and round."""
        if self.together:
            items = [(self.names[(start + index) % len(self.names)], text) for index, text in enumerate(texts)]
            return self.together.predict_proba(items)
        out: list[np.ndarray] = [np.empty(0)] * len(texts)
        for number, classifier in enumerate(self.each):
            places = [index for index in range(len(texts)) if (start + index) % len(self.each) == number]
            for place, row in zip(places, classifier.predict_proba([texts[place] for place in places]), strict=True):
                out[place] = row
        return out


def measure(name: str, paths: list[Path], texts: list[str]) -> dict[str, Any]:
    """One arm in this process."""
    process = psutil.Process()
    for module in ("thriftune.engine.predict", "thriftune.use.many.forward", "peft", "transformers.models.bert"):
        importlib.import_module(module)  # libraries are there before anything counts
    build()
    before = process.memory_info().rss
    arm = Arm(name, paths)
    arm.predict(texts[:CALL])
    resident = process.memory_info().rss - before
    weights = arm.tensors()
    ordered = sum(each.nbytes for each in weights if hasattr(each, ORDERED))  # kept in oneDNN's order as well
    found = {
        "resident_bytes": resident,
        "weight_bytes": sum(tensor.untyped_storage().nbytes() for tensor in weights) + ordered,
        "live_bytes": peak_of(weights, lambda: arm.predict(texts[:CALL])) + ordered,
    }
    for key, size, count in (
        ("all", len(texts), len(texts)),
        ("calls_of_32", CALL, len(texts)),
        ("single", 1, SINGLES),
    ):
        arm.predict(texts[:size])
        started = time.perf_counter()
        for start in range(0, min(count, len(texts)), size):
            arm.predict(texts[start : start + size], start)
        found[key] = min(count, len(texts)) / (time.perf_counter() - started)
    return found


def agreement(paths: list[Path], texts: list[str]) -> float:
    """The largest difference between probabilities together and apart."""
    together, separate = (Arm(name, paths).predict(texts) for name in ("together", "separate"))
    return max(float(np.abs(one - other).max()) for one, other in zip(together, separate, strict=True))


def main() -> None:
    """Measures, prints and writes benchmarks/results/many.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="holds test.csv with a column text; else the demo's texts")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--adapters", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arm", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    texts = texts_of(args.folder, args.texts)
    if args.arm:
        name, folder = args.arm
        print(json.dumps(measure(name, sorted(Path(folder).iterdir()), texts)))
        return
    with tempfile.TemporaryDirectory(prefix="thriftune-many-") as folder:
        paths = store(Path(folder), args.adapters)
        difference = agreement(paths, texts[:200])
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ARMS}
        given = [f"--texts={args.texts}", *([f"--folder={args.folder}"] if args.folder else [])]
        for _ in range(args.rounds):
            for name in ARMS:
                command = [sys.executable, "-W", "ignore", __file__, *given, "--arm", name, folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    rows = []
    for name in ARMS:
        ratios = {
            key: statistics.median(own[key] / one[key] for own, one in zip(runs[name], runs["one"], strict=True))
            for key in runs[name][0]
        }
        rows.append({"arm": name, "classifiers": 1 if name == "one" else args.adapters, **medians(runs[name])})
        rows[-1] |= {"against_one": ratios, "bars": BARS if name == "together" else None}
        print(
            f"{name:9} live {rows[-1]['live_bytes'] / 1e6:,.0f} MB ({ratios['live_bytes']:.2f}), resident "
            f"{rows[-1]['resident_bytes'] / 1e6:,.0f} MB ({ratios['resident_bytes']:.2f}); texts/s all "
            f"{rows[-1]['all']:,.0f} ({ratios['all']:.2f}), 32 a call {rows[-1]['calls_of_32']:,.0f} "
            f"({ratios['calls_of_32']:.2f}), single {rows[-1]['single']:,.0f} ({ratios['single']:.2f})"
        )
    print(f"Probabilities together and apart differ by up to {difference:.1g}.")
    settings = {**vars(args), "folder": args.folder and args.folder.name, "arm": None, "difference": difference}
    print(save("many", settings, rows))


if __name__ == "__main__":
    main()
