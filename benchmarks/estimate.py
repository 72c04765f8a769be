"""Predicted against measured: memory over families x methods x batch x padding, training time over the demo's runs.

    python benchmarks/estimate.py                 memory of random models of every family, and of MiniLM
    python benchmarks/estimate.py --time          training time of the demo's runs (minutes; nothing else should run)
    python benchmarks/estimate.py --gpu           allocated bytes on this machine's GPU, BERT-base and DistilBERT sizes

Memory is measured by the probe that every run makes (CPU), or read from the allocator (GPU). Nothing is loaded to
predict: the figures come from config.json and the lengths of the batch.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import LABELS, METHODS
from compare import save, table
from transformers import AutoConfig

from thriftune.cost.measured.environment import use_all_processors
from thriftune.cost.measured.memory import probe
from thriftune.cost.predicted.cuda import find_gpu
from thriftune.cost.predicted.estimate import Case, estimate
from thriftune.cost.predicted.speeds import probed_machine
from thriftune.data.tokens import Tokens
from thriftune.engine.batches import widest_batch
from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.methods import find
from thriftune.models.pretrained.load import skeleton
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.study.execute import compare
from thriftune.study.file.config import load_study

ROOT = Path(__file__).parent.parent

ALL: dict[str, tuple[str, dict[str, Any]]] = {
    **METHODS,
    "lora top 2": ("lora", {"layers": "top 2"}),
    "bitfit": ("bitfit", {}),
}
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 1000,
    "max_position_embeddings": 258,
}
DEBERTA: dict[str, Any] = {
    "relative_attention": True,
    "position_buckets": 32,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", SMALL),
    "roberta": ("roberta", {**SMALL, "type_vocab_size": 1}),
    "electra": ("electra", {**SMALL, "embedding_size": 32}),
    "distilbert": (
        "distilbert",
        {"dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 128, "vocab_size": 1000, "max_position_embeddings": 258},
    ),
    "deberta-v2": ("deberta-v2", {**SMALL, **DEBERTA, "conv_kernel_size": 3}),
    "deberta-v3": ("deberta-v2", {**SMALL, **DEBERTA}),
    "modernbert": ("modernbert", {**SMALL, "pad_token_id": 0, "global_attn_every_n_layers": 2, "local_attention": 16}),
}
GPU_SIZES: dict[str, tuple[str, dict[str, Any]]] = {"bert-base": ("bert", {}), "distilbert-base": ("distilbert", {})}
PADDINGS = ("none", "longest", "max")


def main() -> None:
    """Measures, prints a table of errors and writes it into benchmarks/results/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--no-minilm", action="store_true")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--texts", type=int, default=3000, help="for --time")
    parser.add_argument("--epochs", type=int, default=2, help="for --time")
    args = parser.parse_args()
    if args.time:
        rows = list(time_rows(args.texts, args.epochs))
        print(table(rows, {"what": "", "method": "", "predicted": ".2f", "measured": ".2f", "error": "+.1%"}))
        print(save("estimate-time", vars(args), rows))
        return
    rows = list(gpu_rows() if args.gpu else memory_rows(args.families, not args.no_minilm))
    print(table(rows, {"model": "", "method": "", "batch": "", "padding": "", "predicted": ",", "error": "+.2%"}))
    print(save("estimate-gpu" if args.gpu else "estimate", vars(args), rows))


def memory_rows(families: list[str], minilm: bool) -> Iterator[dict[str, Any]]:
    """CPU: every family and method, two batch sizes and three paddings."""
    with tempfile.TemporaryDirectory() as name:
        folders = {family: random_model(Path(name) / family, *FAMILIES[family]) for family in families}
        if minilm:
            folders["minilm"] = resolve_model("demo:minilm")
        for (model, folder), method, batch, padding in itertools.product(folders.items(), ALL, (4, 32), PADDINGS):
            if (model, method) == ("modernbert", "bitfit"):
                continue  # it has no biases
            protocol = Protocol(batch_size=batch, max_tokens=128, padding=padding)  # type: ignore[arg-type]
            yield memory_row(model, folder, method, protocol, "cpu")


def gpu_rows() -> Iterator[dict[str, Any]]:
    """GPU: two common sizes with random weights."""
    with tempfile.TemporaryDirectory() as name:
        for (model, given), method, batch, padding in itertools.product(GPU_SIZES.items(), ALL, (8, 32), PADDINGS):
            folder = random_model(Path(name) / model, *given)
            protocol = Protocol(batch_size=batch, max_tokens=256, padding=padding)  # type: ignore[arg-type]
            yield memory_row(model, folder, method, protocol, "cuda")


def random_model(folder: Path, kind: str, settings: dict[str, Any]) -> Path:
    """A folder with a configuration alone."""
    AutoConfig.for_model(kind, **settings).save_pretrained(folder)
    return folder


def memory_row(model: str, folder: Path, method: str, protocol: Protocol, device: str) -> dict[str, Any]:
    """Predicted and measured peak of one cell, on its widest batch."""
    name, settings = ALL[method]
    lengths = np.clip(np.random.default_rng(0).geometric(1 / 20, 512) + 6, None, protocol.max_tokens)
    widest = widest_batch(lengths, protocol, 0)
    classifier = skeleton(folder, LABELS, device="cpu")
    find(name)(**settings).apply(classifier, torch.Generator().manual_seed(0))
    classifier.network.to(device)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    types = np.zeros(offsets[-1], dtype=np.uint8) if token_types(classifier.config) else None
    tokens = Tokens(np.ones(offsets[-1], dtype=np.int32), types, offsets, 0)
    with tempfile.TemporaryDirectory() as cache:
        split = {"train": Examples(tokens, np.zeros(len(lengths), dtype=np.int64))}
        examples = run_prefix(classifier, split, protocol, PrefixCache(Path(cache)))["train"]
        classifier.train_mode(False)
        step = Step(classifier, examples, protocol, build_optimizer(classifier, protocol.optimizer, 1e-4))
        if device == "cpu":
            measured, _ = probe(step, [widest])
        else:
            step([widest], 1e-4)
            torch.cuda.reset_peak_memory_stats()
            step([widest], 1e-4)
            measured = torch.cuda.max_memory_allocated()
    gpu = None if device == "cpu" else find_gpu("cuda")
    cell = Case(
        folder, find(name)(**settings), protocol, tuple(int(n) for n in lengths[widest]), classes=len(LABELS), gpu=gpu
    )
    predicted = estimate(cell).peak_memory_bytes
    return {
        "what": "memory",
        "model": model,
        "method": method,
        "batch": protocol.batch_size,
        "padding": protocol.padding,
        "predicted": predicted,
        "measured": measured,
        "error": predicted / measured - 1,
    }


def time_rows(limit: int, epochs: int) -> Iterator[dict[str, Any]]:
    """Training seconds of the demo's fine-tuned runs, and their frozen layers', after one probe of the machine."""
    small = [f"data.limit.{split}=500" for split in ("validation", "test")]  # evaluation is not predicted
    changes = [f"data.limit.train={limit}", *small, f"protocol.epochs={epochs}"]
    study = load_study(ROOT / "studies" / "demo.yaml", changes)
    methods = tuple(method for method in study.methods if method.NEEDS_MODEL)
    study = replace(study, methods=methods, robustness={})
    use_all_processors()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["THRIFTUNE_CACHE"] = folder
        started = time.perf_counter()
        probed_machine("cpu", resolve_model(study.models[0]), lambda: None)
        probe_seconds = time.perf_counter() - started
        for each in compare(study, Path(folder) / "out").runs:
            assert each.predicted is not None
            assert each.cost is not None
            predicted = np.array([each.predicted.train_seconds or 0.0, each.predicted.prefix_seconds or 0.0])
            measured = np.array([each.cost.train_seconds, each.cost.prefix_seconds])
            parts = {"training": [0], "frozen layers": [1]} if measured[1] else {}
            for what, chosen in {**parts, "training and frozen layers": [0, 1]}.items():
                yield {
                    "what": what,
                    "method": each.cell,
                    "predicted": float(predicted[chosen].sum()),
                    "measured": float(measured[chosen].sum()),
                    "error": float(predicted[chosen].sum() / measured[chosen].sum() - 1),
                    "probe_seconds": probe_seconds,
                }


if __name__ == "__main__":
    main()
