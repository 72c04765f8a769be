"""What a run needs of a node, and whether some node has it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thriftune.results.prediction import Prediction
from thriftune.study.run.job import Job
from thriftune.wording import plural, size

PROCESS_BYTES = 700_000_000
"""What a run's process takes beside its tensors: Python, torch and transformers, and the worker that watches it."""
STEP_BYTES = 100_000_000
"""Ray keeps a queue for each kind of need: runs that need nearly the same stand in one, in their order."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster that is alive, with all that it has, used or not."""

    id: str
    host: str
    processors: float
    gpus: float
    memory_bytes: int

    @classmethod
    def of(cls, found: dict[str, Any]) -> Node:
        """From what `ray.nodes()` says."""
        has = found.get("Resources", {})
        return cls(
            id=found["NodeID"],
            host=str(found.get("NodeManagerHostname") or found.get("NodeManagerAddress")),
            processors=has.get("CPU", 0.0),
            gpus=has.get("GPU", 0.0),
            memory_bytes=int(has.get("memory", 0)),
        )

    def __str__(self) -> str:
        """What it has, in words."""
        gpus = f", {plural(int(self.gpus), 'GPU')}" if self.gpus else ""
        return f"{self.host} ({plural(int(self.processors), 'processor')}{gpus}, {size(self.memory_bytes)} for runs)"


@dataclass(frozen=True)
class Needs:
    """What is set aside on a node for one run."""

    processors: int
    gpus: int
    memory_bytes: int
    """0 where it is not known."""

    @property
    def options(self) -> dict[str, Any]:
        """As Ray takes them."""
        memory = {"memory": self.memory_bytes} if self.memory_bytes else {}
        return {"num_cpus": self.processors, "num_gpus": self.gpus, **memory}

    def fit(self, node: Node) -> bool:
        """Whether the node could hold the run, were it empty."""
        return (
            node.processors >= self.processors
            and node.gpus >= self.gpus
            and (not self.memory_bytes or node.memory_bytes >= self.memory_bytes)
        )

    def refusal(self, nodes: Sequence[Node]) -> str | None:
        """Why no node can hold the run; None where one can."""
        if any(self.fit(node) for node in nodes):
            return None
        gpus = f", {plural(self.gpus, 'GPU')}" if self.gpus else ""
        memory = f" and {size(self.memory_bytes)} of memory, by the estimate" if self.memory_bytes else ""
        largest = sorted(nodes, key=lambda node: (node.gpus, node.memory_bytes, node.processors), reverse=True)[:3]
        has = "; ".join(str(node) for node in largest) or "none that is alive"
        return (
            f"No node of the Ray cluster can hold this run: it needs {plural(self.processors, 'processor')}{gpus}"
            f"{memory}. The nodes: {has}{', ...' if len(nodes) > len(largest) else ''}."
        )


def needs_of(job: Job, threads: int) -> Needs:
    """A run's processors, its GPU, and the memory that was predicted for it."""
    cuda = job.device == "cuda"
    return Needs(threads, int(cuda), _memory(job.predicted, cuda))


def _memory(predicted: Prediction | None, cuda: bool) -> int:
    """On a GPU the tensors lie there; the weights are read through the node's own memory."""
    if predicted is None:
        return 0
    needed = PROCESS_BYTES + (predicted.memory.weights if cuda else predicted.peak_memory_bytes)
    return math.ceil(needed / STEP_BYTES) * STEP_BYTES


def threads_of(asked: int | None, variable: str | None, nodes: Sequence[Node], most: int) -> int:
    """Processors of each run: as asked; else as OMP_NUM_THREADS says; else the smallest node's, at most `most`."""
    if asked is not None:
        return asked
    if variable is not None and variable.isdigit() and int(variable) > 0:
        return int(variable)
    have = [int(node.processors) for node in nodes if node.processors >= 1]
    return max(1, min([*have, most]))
