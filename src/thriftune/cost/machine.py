"""How fast this machine is at what a step consists of, from a probe of a few seconds."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from thriftune.cost.work import CountWork, Work
from thriftune.data.tokens import Tokens
from thriftune.engine.batches import Examples
from thriftune.engine.cache import PrefixCache
from thriftune.engine.cut import run_prefix
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.engine.train import synchronize
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.load import skeleton

HEAD_SIZE = 32
LAYERS = 2
VOCABULARY = 8192
POINTS: tuple[tuple[str, dict[str, Any], str, int, int], ...] = (
    # method, settings, padding, texts, tokens of the longest
    ("full", {}, "none", 4, 40),
    ("full", {}, "none", 32, 60),
    ("full", {}, "longest", 16, 60),
    ("lora", {}, "none", 32, 60),
    ("lora", {}, "max", 8, 128),
    ("top_layers", {"layers": 1}, "none", 8, 60),
    ("top_layers", {"layers": 1}, "none", 32, 60),
    ("head_only", {}, "none", 32, 60),
)
"""Steps that are timed: from a step that is all overhead to one that is all arithmetic."""
SECONDS_PER_POINT = 1.0
FEWEST_STEPS, MOST_STEPS = 3, 40


@dataclass(frozen=True)
class Machine:
    """Seconds that each unit of work takes; their sum predicts a step's time."""

    matrix_flop: float
    batched_flop: float
    moved_byte: float
    operation: float

    def seconds(self, work: Work) -> float:
        """Predicted seconds."""
        return float(_features(work) @ np.array([*asdict(self).values()]))

    def save(self, path: Path) -> None:
        """Writes JSON, by rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(asdict(self)), encoding="utf-8")
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Machine | None:
        """Reads what `save` wrote; None where there is nothing sound."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def _features(work: Work) -> np.ndarray:
    return np.array([work.matrix_flops, work.batched_flops, work.moved_bytes, work.operations], dtype=np.float64)


def probe_machine(device: str, hidden: int) -> Machine:
    """Times a few steps of a small random encoder of some hidden size, in about ten seconds; no data is read."""
    found = [(work, seconds) for work, seconds in _timed(torch.device(device), hidden)]
    return fit([work for work, _ in found], [seconds for _, seconds in found])


def fit(works: list[Work], seconds: list[float]) -> Machine:
    """The unit times, none negative, that explain the seconds with the least squared relative error."""
    measured = np.array(seconds)
    relative = np.array([_features(work) for work in works]) / measured[:, None]
    scale = np.abs(relative).max(axis=0)
    scale[scale == 0] = 1.0
    best, least = np.zeros(4), np.inf
    for count in range(1, 5):
        for chosen in itertools.combinations(range(4), count):
            columns = relative[:, chosen] / scale[list(chosen)]
            solution = np.linalg.lstsq(columns, np.ones(len(measured)), rcond=None)[0]
            error = float(((columns @ solution - 1.0) ** 2).sum())
            if (solution >= 0).all() and error < least:
                least, best = error, np.zeros(4)
                best[list(chosen)] = solution / scale[list(chosen)]
    return Machine(*(float(value) for value in best))


def _timed(device: torch.device, hidden: int) -> Iterator[tuple[Work, float]]:
    with TemporaryDirectory(prefix="thriftune-probe-") as name, torch.random.fork_rng(devices=[]):
        folder = Path(name)
        _write_config(folder, hidden)
        for method, settings, padding, texts, longest in POINTS:
            protocol = Protocol(batch_size=texts, max_tokens=longest, padding=padding)  # type: ignore[arg-type]
            classifier = skeleton(folder, ("a", "b", "c"), device="cpu")
            chosen = find(method)(**settings)
            assert isinstance(chosen, TransformerMethod)
            chosen.apply(classifier, torch.Generator().manual_seed(0))
            classifier.network.to(device)
            splits = {"train": _texts(texts, longest)}
            examples = run_prefix(classifier, splits, protocol, PrefixCache(None))["train"]
            classifier.train_mode(False)
            optimizer = build_optimizer(classifier, protocol.optimizer, 1e-5)
            step = Step(classifier, examples, protocol, optimizer)
            batch = [np.arange(texts)]
            step(batch, 1e-5)
            with CountWork() as counter:
                step(batch, 1e-5)
            yield counter.work, _median_seconds(lambda step=step, batch=batch: step(batch, 1e-5), device)  # type: ignore[misc]


def _median_seconds(step: Callable[[], object], device: torch.device) -> float:
    seconds: list[float] = []
    while len(seconds) < FEWEST_STEPS or (sum(seconds) < SECONDS_PER_POINT and len(seconds) < MOST_STEPS):
        synchronize(device)
        started = time.perf_counter()
        step()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def _texts(count: int, longest: int) -> Examples:
    """Texts whose lengths fall from the longest to a quarter of it."""
    lengths = np.linspace(longest, longest // 4, count).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(offsets[-1], dtype=np.int32) % VOCABULARY
    return Examples(Tokens(ids, np.zeros(len(ids), dtype=np.uint8), offsets, 0), np.arange(count) % 3)


def _write_config(folder: Path, hidden: int) -> None:
    from transformers import BertConfig

    BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=LAYERS,
        num_attention_heads=max(1, hidden // HEAD_SIZE),
        intermediate_size=4 * hidden,
    ).save_pretrained(folder)
