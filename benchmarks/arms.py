"""The two arms of a comparison: Thriftune at its defaults, and transformers' Trainer with PEFT as shipped.

Each function trains one method on the same texts and returns what it measured; `python benchmarks/arms.py JSON`
runs one in this process and prints the result as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shapes import MINILM, folder_of

from thriftune.cost.measured.memory import LiveBytes, probe
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings
from thriftune.data.tokens import Tokens, encode
from thriftune.engine import step as step_module
from thriftune.engine.batches import training_batches, widest_batch
from thriftune.engine.examples import Examples
from thriftune.engine.frozen import words
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.engine.train import Task, fit
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "top_layers 2": ("top_layers", {"layers": 2}),
    "lora all": ("lora", {}),
    "lora top 2": ("lora", {"layers": "top 2"}),
    "full": ("full", {}),
    "head_only": ("head_only", {}),
}
LABELS = ("entailment", "neutral", "contradiction")


STUDY_RATES = (1e-4, 2e-4, 3e-4, 5e-4)
STUDY_SEEDS = (0, 1)
AGREEMENT_STEPS = 50


@dataclass(frozen=True)
class Job:
    """Something to measure."""

    arm: str
    """ours, peer (dynamic padding), peer-grouped (batches of similar length) or peer-max (padded to 256)."""
    method: str
    texts: int
    epochs: int = 3
    batch_size: int = 32
    dropout: bool = True
    seed: int = 0
    learning_rate: float | None = None
    """None takes the method's own."""
    recompute: str = "none"
    model: str = MINILM
    """One of `shapes.MODELS`, or a model's name or folder."""
    tokens: int | None = None
    """Of every text: pairs are joined until they have so many. None takes the pairs as they are."""

    @property
    def protocol(self) -> Protocol:
        """As our arm trains."""
        return Protocol(epochs=self.epochs, batch_size=self.batch_size, keep="last", recompute=self.recompute)


def texts_of(job: Job, splits: tuple[str, ...] = ("train", "validation")) -> tuple[list[list[str]], np.ndarray]:
    """SNLI pairs that the demo bundles, as many as asked for; the splits joined are SNLI's whole validation set.

    Longer texts are made of many pairs' premises, and of their hypotheses.
    """
    data = load_dataset(DataSettings(source="demo:snli", text=("premise", "hypothesis")))
    import polars as pl

    frame = pl.concat([data.splits[split] for split in splits])
    chosen = np.random.default_rng(0).permutation(frame.height)[: job.texts]
    frame = frame[chosen]
    sides = [frame["premise"].to_list(), frame["hypothesis"].to_list()]
    if job.tokens is not None:
        sides = [[" ".join((side * 2)[i : i + job.tokens // 8]) for i in range(len(side))] for side in sides]
    return sides, frame["label"].to_numpy().astype(np.int64)


def classifier_of(job: Job) -> tuple[Classifier, float]:
    """The model with the method applied, and its learning rate."""
    name, settings = METHODS[job.method]
    method = find(name)(**settings)
    assert isinstance(method, TransformerMethod)
    classifier = load_classifier(folder_of(job.model), LABELS, name=job.model, seed=job.seed)
    method.apply(classifier, torch.Generator().manual_seed(job.seed))
    if not job.dropout:
        for module in classifier.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    return classifier, job.learning_rate or method.learning_rates[0]


def tokens_of(classifier: Classifier, texts: list[list[str]]) -> Tokens:
    """The texts as the model sees them, at most 256 tokens."""
    return encode(classifier.tokenizer, texts, 256, token_types=classifier.family.uses_token_types(classifier.config))


def ours(job: Job, cache: Path | None = None) -> dict[str, float]:
    """Thriftune's engine, with a cold prefix cache where none is given."""
    texts, labels = texts_of(job)
    classifier, rate = classifier_of(job)
    examples = Examples(tokens_of(classifier, texts), labels)
    with tempfile.TemporaryDirectory() as folder:
        kept = PrefixCache(cache or Path(folder) / "cache")
        cut = run_prefix(classifier, {"train": examples}, job.protocol, kept)["train"]
        result = fit(Task(classifier, cut, None, job.protocol, rate, job.seed, Path(folder) / "best"))
    prefix = 0.0 if cut.prefix is None else cut.prefix.seconds
    train = sum(point.train_seconds for point in result.epochs)
    return {"seconds": train + prefix, "train_seconds": train, "prefix_seconds": prefix}


def dataset_rows(tokens: Tokens, labels: np.ndarray) -> list[dict[str, Any]]:
    """The texts as Trainer takes them."""
    return [
        {
            "input_ids": tokens.ids[a:b].tolist(),
            **({} if tokens.types is None else {"token_type_ids": tokens.types[a:b].tolist()}),
            "attention_mask": [1] * int(b - a),
            "labels": int(label),
        }
        for a, b, label in zip(tokens.offsets[:-1], tokens.offsets[1:], labels, strict=True)
    ]


def trainer_of(job: Job, classifier: Classifier, rate: float, rows: list[Any], folder: str, **changes: Any) -> Any:
    """transformers' Trainer over the same modules (PEFT's LoRA layers among them), without evaluation or saving."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    whole = job.arm == "peer-max"
    padding = DataCollatorWithPadding(
        classifier.tokenizer, padding="max_length" if whole else "longest", max_length=256 if whole else None
    )
    settings: dict[str, Any] = {
        "output_dir": folder,
        "num_train_epochs": job.epochs,
        "per_device_train_batch_size": job.batch_size,
        "per_device_eval_batch_size": job.batch_size,
        "learning_rate": rate,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "group_by_length" if job.arm == "peer-grouped" else "random",
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        "seed": job.seed,
    }
    model = classifier.peft or classifier.network
    return Trainer(
        model=model, args=TrainingArguments(**{**settings, **changes}), train_dataset=rows, data_collator=padding
    )


def peer(job: Job) -> dict[str, float]:
    """Trainer.train, as shipped."""
    texts, labels = texts_of(job)
    classifier, rate = classifier_of(job)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(job, classifier, rate, dataset_rows(tokens_of(classifier, texts), labels), folder)
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "train_seconds": seconds, "prefix_seconds": 0.0}


def study(job: Job) -> dict[str, float]:
    """Runs of every learning rate and seed: training seconds summed up, the prefix pass paid once."""
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for rate in STUDY_RATES:
            for seed in STUDY_SEEDS:
                one = replace(job, learning_rate=rate, seed=seed)
                runs.append(ours(one, Path(folder)) if job.arm == "ours" else peer(one))
    train, prefix = sum(run["train_seconds"] for run in runs), runs[0]["prefix_seconds"]
    return {"seconds": train + prefix, "train_seconds": train, "prefix_seconds": prefix}


def prediction(job: Job) -> dict[str, float]:
    """Logits of the test pairs, from token ids; the model is loaded before the clock starts."""
    texts, labels = texts_of(job, ("test",))
    classifier, rate = classifier_of(job)
    tokens = tokens_of(classifier, texts)
    with tempfile.TemporaryDirectory() as folder:
        rows = dataset_rows(tokens, labels)
        trainer = None if job.arm == "ours" else trainer_of(job, classifier, rate, rows, folder)
        started = time.perf_counter()
        if trainer is None:
            predict(classifier, Examples(tokens, labels), job.protocol)
        else:
            trainer.predict(rows)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "train_seconds": 0.0, "prefix_seconds": 0.0, "texts": len(labels)}


def agreement(job: Job) -> dict[str, float]:
    """The largest relative difference of 50 training losses between our engine and the eager reference path.

    Same batches, no dropout, constant learning rate.
    """
    job = replace(job, dropout=False)
    texts, labels = texts_of(job)
    ours_losses = _losses(job, texts, labels, job.protocol)
    theirs = _losses(job, texts, labels, replace(job.protocol, padding="longest", frozen_dropout="on"))
    return {"difference": float(np.max(np.abs(ours_losses - theirs) / np.abs(theirs)))}


def _losses(job: Job, texts: list[list[str]], labels: np.ndarray, protocol: Protocol) -> np.ndarray:
    classifier, rate = classifier_of(job)
    classifier.network.set_attn_implementation("eager")
    examples = Examples(tokens_of(classifier, texts), labels)
    with tempfile.TemporaryDirectory() as folder:
        cut = run_prefix(classifier, {"train": examples}, protocol, PrefixCache(Path(folder)))["train"]
        classifier.train_mode(protocol.frozen_dropout == "on")
        step = Step(classifier, cut, protocol, build_optimizer(classifier, protocol.optimizer, rate))
        losses: list[float] = []
        for epoch in range(AGREEMENT_STEPS):
            for batch in training_batches(len(labels), protocol.batch_size, job.seed, epoch):
                if len(losses) < AGREEMENT_STEPS:
                    losses.append(step([batch], rate).loss.item() / len(batch))
    return np.array(losses)


def memory(job: Job) -> dict[str, float]:
    """Peak live tensor bytes of a training step on the widest batch; one counter serves both arms."""
    texts, labels = texts_of(job)
    classifier, rate = classifier_of(job)
    tokens = tokens_of(classifier, texts)
    widest = widest_batch(tokens.lengths, replace(job.protocol, epochs=1), job.seed)
    with tempfile.TemporaryDirectory() as folder:
        if job.arm != "ours":
            rows = dataset_rows(tokens, labels)
            return _trainer_memory(job, classifier, rate, [rows[i] for i in widest], folder)
        cut = run_prefix(classifier, {"train": Examples(tokens, labels)}, job.protocol, PrefixCache(Path(folder)))
        classifier.train_mode(False)
        _, (train, *_) = words.narrow(classifier, [cut["train"]], job.protocol)
        assert train is not None
        optimizer = step_module.build_optimizer(classifier, job.protocol.optimizer, rate)
        peak, parts = probe(Step(classifier, train, job.protocol, optimizer), [widest])
    return {"peak_memory_bytes": peak, **vars(parts)}


def _trainer_memory(job: Job, classifier: Classifier, rate: float, rows: list[Any], folder: str) -> dict[str, float]:
    """Three steps of Trainer.train, as shipped, on one batch."""
    trainer = trainer_of(job, classifier, rate, rows, folder, num_train_epochs=3)
    counter = LiveBytes()
    counter.add([*classifier.root.parameters(), *classifier.root.buffers()])
    with counter:
        trainer.train()
    assert trainer.state.global_step == 3
    return {"peak_memory_bytes": counter.peak}


def main() -> None:
    """Runs one job given as JSON and prints its result as the last line."""
    request = json.loads(sys.argv[1])
    measure = request.pop("measure", "speed")
    job = Job(**request)
    measured = {
        "memory": memory,
        "speed": ours if job.arm == "ours" else peer,
        "study": study,
        "prediction": prediction,
        "agreement": agreement,
    }[measure]
    print(json.dumps(measured(job)))


if __name__ == "__main__":
    main()
