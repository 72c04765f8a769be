"""One process against several on the same batches, each process with one thread: what a further core is worth.

`python benchmarks/parallel.py` runs the arms in turn, some rounds, and prints the median seconds of a step:

- one: one process, one thread;
- threads: one process, as many threads as the others have processes;
- team: the processes of `--processes N`, gradients summed in one flat buffer;
- ddp: the same shares under torch's DistributedDataParallel over the trained parameters.

Weights are random in a published shape, texts have SNLI's lengths. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "num_hidden_layers": 2},
    "minilm": {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "num_hidden_layers": 6},
    "bert": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 12},
}
METHODS: dict[str, dict[str, Any]] = {"full": {}, "top_layers": {"layers": 2}, "lora": {}}
LENGTHS = Path(__file__).parent / "snli_lengths.json"
LABELS = ("entailment", "neutral", "contradiction")
WARM = 3


def model_folder(shape: str, folder: Path) -> Path:
    """Random weights of a shape."""
    from transformers import BertConfig

    from thriftune.testing.models import save_model

    save_model(BertConfig(**SHAPES[shape], max_position_embeddings=512), folder, "bert")
    return folder


def step_of(folder: Path, method: str, steps: int, batch: int, team: Any) -> tuple[Any, list[list[np.ndarray]]]:
    """A training's step, a team's where there is one, and the batches."""
    from thriftune.data.tokens import Tokens
    from thriftune.engine.batches import training_batches
    from thriftune.engine.examples import Examples
    from thriftune.engine.frozen.cache import PrefixCache
    from thriftune.engine.frozen.layers import run_prefix
    from thriftune.engine.parallel.step import SharedStep
    from thriftune.engine.protocol import Protocol
    from thriftune.engine.step import Step, build_optimizer
    from thriftune.methods import find
    from thriftune.models.pretrained.load import load_classifier

    classifier = load_classifier(folder, LABELS, seed=0)
    find(method)(**METHODS[method]).apply(classifier, torch.Generator().manual_seed(0))
    counts = json.loads(LENGTHS.read_text(encoding="utf-8"))
    rng = np.random.default_rng(0)
    known, often = np.array([int(key) for key in counts]), np.array(list(counts.values()), dtype=float)
    lengths = rng.choice(known, steps * batch, p=often / often.sum())
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(5, classifier.config.vocab_size, int(offsets[-1])).astype(np.int32)
    tokens = Tokens(ids, np.zeros(len(ids), dtype=np.uint8), offsets, 0)
    protocol = Protocol(batch_size=batch, device="cpu")
    texts = {"train": Examples(tokens, rng.integers(0, 3, len(lengths)))}
    train = run_prefix(classifier, texts, protocol, PrefixCache(None))["train"]
    optimizer = build_optimizer(classifier, protocol.optimizer, 1e-5)
    classifier.train_mode(False)
    parts = (classifier, train, protocol, optimizer, None)
    step = Step(*parts) if team is None else SharedStep(team, steps, *parts)
    return step, [[each] for each in training_batches(len(train), batch, 0, 0)]


def seconds_of(run: Callable[[list[np.ndarray]], object], groups: list[list[np.ndarray]]) -> float:
    """Of a step, the first ones left out."""
    for group in groups[:WARM]:
        run(group)
    started = time.perf_counter()
    for group in groups[WARM:]:
        run(group)
    return (time.perf_counter() - started) / (len(groups) - WARM)


class Trained(nn.Module):
    """The trained parameters as a module whose forward is any computation on them: what DDP wraps."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        super().__init__()
        self.parts = nn.ParameterList(parameters)

    def forward(self, work: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What the work gives."""
        return work()


def by_ddp(step: Any) -> Callable[[list[np.ndarray]], object]:
    """A step of torch's DistributedDataParallel on the same shares."""
    wrapped = nn.parallel.DistributedDataParallel(Trained(step.parameters), gradient_as_bucket_view=True)

    def run(group: list[np.ndarray]) -> None:
        (indices,) = group
        losses = wrapped(lambda: step.forward(step.own(indices))[1])
        (losses.sum() * (step.team.size / len(indices))).backward()  # DDP takes the mean of the processes
        step.update(1e-5)

    return run


def member(rank: int, size: int, port: int, folder: Path, options: argparse.Namespace, arm: str, told: Any) -> None:
    """One process of an arm."""
    from thriftune.engine.parallel.team import Team, part_of_store, store_at

    torch.set_num_threads(size if arm == "threads" else 1)
    team = None
    if arm in ("team", "ddp"):
        team = Team(part_of_store(store_at("127.0.0.1", port, holds=False), 0), rank, size, "cpu")
        team.join() if rank else team.begin()
    step, groups = step_of(folder, options.method, options.steps + WARM, options.batch, team)
    torch.manual_seed(0)
    run: Callable[[list[np.ndarray]], object]
    if team is None:
        run = lambda group: step(group, 1e-5)  # noqa: E731
    else:
        run = by_ddp(step) if arm == "ddp" else lambda group: step.together(group, 1e-5, None)
    found = seconds_of(run, groups)
    if not rank:
        told.put(found)
    if team is not None:
        team.leave()


def measure(arm: str, folder: Path, options: argparse.Namespace) -> float:
    """Seconds of a step in fresh processes."""
    from thriftune.engine.parallel.team import store_at

    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    store = store_at("127.0.0.1", 0, holds=True)
    count = options.processes if arm in ("team", "ddp") else 1
    rest = (options.processes, store.port, folder, options, arm, told)
    processes = [context.Process(target=member, args=(rank, *rest)) for rank in range(count)]
    for process in processes:
        process.start()
    found: float = told.get(timeout=3600)
    for process in processes:
        process.join()
    return found


def main() -> None:
    """Prints one JSON line for each method: the medians, and how many times the texts per second of one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SHAPES, default="minilm")
    parser.add_argument("--method", choices=[*METHODS, "all"], default="all")
    parser.add_argument("--arms", nargs="+", default=["one", "team", "threads", "ddp"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = model_folder(options.model, Path(name))
        for method in METHODS if options.method == "all" else [options.method]:
            own = argparse.Namespace(**{**vars(options), "method": method})
            seconds: dict[str, list[float]] = {arm: [] for arm in options.arms}
            for _ in range(options.rounds):
                for arm in options.arms:
                    seconds[arm].append(measure(arm, folder, own))
            middle = {arm: statistics.median(found) for arm, found in seconds.items()}
            speedup = {arm: round(middle[options.arms[0]] / found, 2) for arm, found in middle.items()}
            print(json.dumps({**vars(own), "seconds": middle, "speedup": speedup}), flush=True)


if __name__ == "__main__":
    main()
