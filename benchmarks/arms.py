"""The two arms of a comparison: Thriftune at its defaults, and transformers' Trainer with PEFT as shipped.

Each function trains one method on the same texts and returns what it measured; `python benchmarks/arms.py JSON`
runs one in this process and prints the result as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thriftune.data.settings import DataSettings
from thriftune.data.sources import load_dataset
from thriftune.data.tokens import Tokens, encode
from thriftune.engine.batches import Examples, widest_batch
from thriftune.engine.cut import PrefixCache, run_prefix
from thriftune.engine.protocol import Protocol
from thriftune.engine.train import Task, fit
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.classifier import Classifier
from thriftune.models.load import load_classifier
from thriftune.models.sources import resolve_model

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "top_layers 2": ("top_layers", {"layers": 2}),
    "lora all": ("lora", {}),
    "lora top 2": ("lora", {"layers": "top 2"}),
    "full": ("full", {}),
    "head_only": ("head_only", {}),
}
LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class Job:
    """One training to measure."""

    arm: str
    """ours, peer (dynamic padding), peer-grouped (batches of similar length) or peer-max (padded to 256)."""
    method: str
    texts: int
    epochs: int = 3
    batch_size: int = 32
    dropout: bool = True


def texts_of(job: Job) -> tuple[list[list[str]], np.ndarray]:
    """The SNLI validation pairs that the demo bundles (train and validation together), as many as asked for."""
    data = load_dataset(DataSettings(source="demo:snli", text=("premise", "hypothesis")))
    import polars as pl

    frame = pl.concat([data.splits["train"], data.splits["validation"]])
    chosen = np.random.default_rng(0).permutation(frame.height)[: job.texts]
    frame = frame[chosen]
    return [frame["premise"].to_list(), frame["hypothesis"].to_list()], frame["label"].to_numpy().astype(np.int64)


def classifier_of(job: Job) -> tuple[Classifier, TransformerMethod]:
    """MiniLM with the method applied."""
    name, settings = METHODS[job.method]
    method = find(name)(**settings)
    assert isinstance(method, TransformerMethod)
    classifier = load_classifier(resolve_model("demo:minilm"), LABELS, name="demo:minilm", seed=0)
    method.apply(classifier, torch.Generator().manual_seed(0))
    if not job.dropout:
        for module in classifier.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    return classifier, method


def tokens_of(classifier: Classifier, texts: list[list[str]]) -> Tokens:
    """The texts as MiniLM sees them."""
    return encode(classifier.tokenizer, texts, 256, token_types=True)


def ours(job: Job) -> dict[str, float]:
    """Thriftune's engine, with a cold prefix cache."""
    texts, labels = texts_of(job)
    classifier, method = classifier_of(job)
    protocol = Protocol(epochs=job.epochs, batch_size=job.batch_size, keep="last")
    examples = Examples(tokens_of(classifier, texts), labels)
    with tempfile.TemporaryDirectory() as folder:
        cut = run_prefix(classifier, {"train": examples}, protocol, PrefixCache(Path(folder)))["train"]
        task = Task(classifier, cut, None, protocol, method.learning_rates[0], 0, Path(folder) / "best")
        result = fit(task)
    prefix = 0.0 if cut.prefix is None else cut.prefix.seconds
    train = sum(point.train_seconds for point in result.epochs)
    return {"seconds": train + prefix, "train_seconds": train, "prefix_seconds": prefix}


def peer(job: Job) -> dict[str, float]:
    """transformers' Trainer over the same modules (PEFT's LoRA layers among them), without evaluation or saving."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    texts, labels = texts_of(job)
    classifier, method = classifier_of(job)
    tokens = tokens_of(classifier, texts)
    rows = [
        {
            "input_ids": tokens.ids[a:b].tolist(),
            "token_type_ids": tokens.types[a:b].tolist() if tokens.types is not None else [],
            "attention_mask": [1] * int(b - a),
            "labels": int(label),
        }
        for a, b, label in zip(tokens.offsets[:-1], tokens.offsets[1:], labels, strict=True)
    ]
    whole = job.arm == "peer-max"
    padding = DataCollatorWithPadding(
        classifier.tokenizer, padding="max_length" if whole else "longest", max_length=256 if whole else None
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=job.epochs,
            per_device_train_batch_size=job.batch_size,
            learning_rate=method.learning_rates[0],
            weight_decay=0.01,
            warmup_steps=0.1,
            max_grad_norm=1.0,
            train_sampling_strategy="group_by_length" if job.arm == "peer-grouped" else "random",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            seed=0,
        )
        model = classifier.peft or classifier.network
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=padding)
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "train_seconds": seconds, "prefix_seconds": 0.0}


def memory(job: Job) -> dict[str, float]:
    """Peak live tensor bytes of a training step on the widest batch, both arms under the same counter."""
    from thriftune.cost.memory import probe
    from thriftune.engine.step import Step, build_optimizer

    texts, labels = texts_of(job)
    classifier, _ = classifier_of(job)
    padding = {"ours": "none", "peer": "longest", "peer-max": "max"}[job.arm]
    protocol = Protocol(
        epochs=1, batch_size=job.batch_size, padding=padding, frozen_dropout="off" if job.arm == "ours" else "on"
    )
    examples = Examples(tokens_of(classifier, texts), labels)
    with tempfile.TemporaryDirectory() as folder:
        cut = run_prefix(classifier, {"train": examples}, protocol, PrefixCache(Path(folder)))["train"]
        classifier.train_mode(protocol.frozen_dropout == "on")
        step = Step(classifier, cut, protocol, build_optimizer(classifier, protocol.optimizer, 1e-4))
        peak, parts = probe(step, [widest_batch(examples.tokens.lengths, protocol, 0)])
    return {"peak_memory_bytes": peak, **vars(parts)}


def main() -> None:
    """Runs one job given as JSON and prints its result as the last line."""
    request = json.loads(sys.argv[1])
    measure = request.pop("measure", "speed")
    job = Job(**request)
    measured = {"memory": memory, "speed": ours if job.arm == "ours" else peer}[measure]
    print(json.dumps(measured(job)))


if __name__ == "__main__":
    main()
