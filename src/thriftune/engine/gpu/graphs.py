"""Whole training steps as CUDA graphs, one for each shape of batch: the GPU runs them without waiting for Python.

At small batches a step's hundreds of kernels take less time than launching them. A graph launches all of them at
once: putting the batch together, forward, backward, clipping, the optimiser's update and the losses.
"""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import torch

from thriftune.engine.forward import logits_of_rows, packs
from thriftune.engine.gpu.buckets import Bucket, DeviceTexts
from thriftune.engine.step import Step, StepResult, text_losses
from thriftune.errors import first_line
from thriftune.models.device import device_kind

RECORDED_VISIT = 3
"""A shape is recorded when it comes for this time; before that it runs eagerly, which also warms libraries up."""
MOST_GRAPHS = 64
"""Further shapes stay eager: each graph takes some memory that torch's allocator does not see."""

Work = Callable[[], None]


class Recorder(typing.Protocol):
    """Runs work on a device, and records it without running it."""

    def run(self, work: Work) -> None:
        """Runs work in the surroundings in which it may be recorded later."""
        ...

    def record(self, work: Work) -> Work:
        """What runs the same kernels on the same memory again; raises `RuntimeError` where that is not possible."""
        ...


_failed: list[torch.cuda.CUDAGraph] = []
"""Never freed: after a recording that failed torch's allocator may go on asking its graph what it records."""


@cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    """One for the process: cuBLAS keeps a workspace for every stream that it has seen."""
    return torch.cuda.Stream(device)


class CudaGraphs:
    """Records CUDA graphs that share one memory pool: none leaves a tensor in it when it is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _recording_stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, work: Work) -> None:
        """On the stream that records, for what libraries set up belongs to a stream."""
        present = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            work()
        present.wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """A graph's replay, which runs on whatever stream is the present one."""
        graph = torch.cuda.CUDAGraph()
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        spare = generator.clone_state()
        try:
            # thread_local: what other threads do on the GPU meanwhile is none of the graph's business. The stream is
            # set around, too, because a recording that fails leaves it set.
            with (
                torch.cuda.stream(self._stream),
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                work()
        except RuntimeError as error:
            _failed.append(graph)
            # The generator may be left waiting for the recording's end, and would refuse all further draws.
            generator.graphsafe_set_state(spare)
            # What went wrong first; the recording's end then only says that there was something.
            cause = error.__context__ if isinstance(error.__context__, RuntimeError) else error
            raise RuntimeError(str(cause)) from error
        return graph.replay


def why_not(step: Step, changed_between: bool) -> str | None:
    """Why a training's steps cannot be replayed; None where they can. `changed_between`: a method acts after steps."""
    classifier, protocol = step.classifier, step.protocol
    reasons = {
        "the device is no GPU": device_kind(classifier.device) != "cuda",
        "several processes share a step": step.joint,
        "batches are padded": not packs(classifier, protocol),
        "a step has several batches (accumulate)": protocol.accumulate > 1,
        "layers are recomputed, which saves the state of random numbers": protocol.recompute != "none",
        "the method changes the model after steps": changed_between,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def steps_of(step: Step, changed_between: bool) -> Step | GraphedSteps:
    """What a training runs: replayed steps on a GPU, where they are possible, else plain ones."""
    if why_not(step, changed_between) is not None:
        return step
    return GraphedSteps(step, CudaGraphs(step.classifier.device))


class GraphedSteps:
    """Steps whose batches come in few shapes; a shape that has come often enough is replayed from a graph.

    All that changes from step to step lies at fixed places on the device: the texts' numbers, the learning rate and
    the prefix's rows. The eager steps before a graph is recorded are steps of the training, so recording needs
    no warm-up, whose traces in weights, optimiser state and random numbers would have to be undone.
    """

    def __init__(self, step: Step, recorder: Recorder) -> None:
        device, protocol = step.classifier.device, step.protocol
        self.step = step
        self.texts = DeviceTexts(
            step.examples, device, protocol.batch_size, int(protocol.gpu_prefix_gb * 1_000_000_000)
        )
        self.refusal: str | None = None
        """Why recording failed, after which all steps run eagerly."""
        self._recorder = recorder
        self._replays: dict[Bucket, Work] = {}
        self._visits: Counter[Bucket] = Counter()
        self._places: list[int] = []
        self._rates = {group.get("scale", 1.0): torch.zeros((), device=device) for group in step.optimizer.param_groups}
        """By what the learning rate is multiplied with."""
        self._loss = torch.zeros((), device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def recorded(self) -> int:
        """How many shapes have a graph."""
        return len(self._replays)

    def epoch(self, groups: list[list[np.ndarray]], rates: list[float]) -> Iterator[StepResult]:
        """Steps on groups of one batch each; text numbers and rates of all of them are copied once."""
        device = self.step.classifier.device
        batches = [batch for (batch,) in groups]
        order = torch.from_numpy(np.concatenate(batches)).to(device)
        rates_there = {
            scale: torch.tensor([rate * scale for rate in rates], dtype=torch.float32, device=device)
            for scale in self._rates
        }
        self._begin()
        start = 0
        for number, batch in enumerate(batches):
            stop = start + len(batch)
            for scale, place in self._rates.items():
                place.copy_(rates_there[scale][number])
            self._run(self.texts.load(batch, order[start:stop]))
            start = stop
            yield StepResult(self._loss, self._correct, len(batch))

    def notes(self) -> list[str]:
        """Says so where steps could not be replayed after all."""
        if self.refusal is None:
            return []
        return [f"Steps ran without CUDA graphs, which could not be recorded: {self.refusal}"]

    def _begin(self) -> None:
        """Hands the optimiser the learning rate's place, and forgets graphs of tensors that were moved meanwhile."""
        for group in self.step.optimizer.param_groups:
            group["lr"], group["capturable"] = self._rates[group.get("scale", 1.0)], True
        if self._replays and self._places != self._present_places():
            self._replays.clear()

    def _present_places(self) -> list[int]:
        """Where the model's tensors lie."""
        root = self.step.classifier.root
        return [tensor.data_ptr() for tensor in (*root.parameters(), *root.buffers()) if not tensor.is_meta]

    def _run(self, bucket: Bucket) -> None:
        self._visits[bucket] += 1
        if bucket not in self._replays and self._visits[bucket] >= RECORDED_VISIT and self._may_record():
            self._record(bucket)
        replay = self._replays.get(bucket)
        if replay is None:
            self._recorder.run(partial(self._work, bucket))
        else:
            replay()

    def _may_record(self) -> bool:
        return self.refusal is None and len(self._replays) < MOST_GRAPHS

    def _record(self, bucket: Bucket) -> None:
        if not self._replays:
            self._places = self._present_places()
        random = torch.get_rng_state()
        try:
            self._replays[bucket] = self._recorder.record(partial(self._work, bucket))
            if not torch.equal(random, torch.get_rng_state()):
                raise RuntimeError("a module draws random numbers on the host, which a graph would freeze")
        except RuntimeError as error:
            # Graphs and eager steps must not draw from different generators, so those that there are go as well.
            self._replays.clear()
            self.step.optimizer.zero_grad(set_to_none=True)
            self.refusal = first_line(error)
            torch.set_rng_state(random)

    def _work(self, bucket: Bucket) -> None:
        """One whole step on the loaded texts; its results go to their places."""
        step, here = self.step, self.texts.texts(bucket)
        batch = self.texts.batch(bucket)
        logits = logits_of_rows(step.classifier, step.examples, batch.rows, batch.hidden, step.protocol)
        logits, labels = logits[: bucket.texts], step.labels.index_select(0, here)
        losses = text_losses(logits, labels)
        total = losses.sum()
        (total / bucket.texts).backward()
        with torch.no_grad():
            step.losses.index_copy_(0, here, losses)
            self._loss.copy_(total)
            self._correct.copy_((logits.argmax(dim=1) == labels).sum())
        step.apply()
