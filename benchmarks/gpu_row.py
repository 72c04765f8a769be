"""One row of the GPU benchmark, in a process of its own: `python benchmarks/gpu_row.py JSON` prints its result.

The model has random weights in the shape of a published one, and the texts have random tokens and the lengths of SNLI
pairs: neither changes what a step costs. The head, LoRA's settings and all dropout rates are the published study's.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_model import classifier_of, first_texts, release, texts_of
from gpu_rows import BY_NAME, Job
from gpu_stand_in import surroundings

from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.gpu import graphs
from thriftune.engine.gpu.graphs import GraphedSteps, steps_of
from thriftune.engine.gpu.precision import use_precision
from thriftune.engine.hooks import Hook, Progress
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.engine.train import Task, fit
from thriftune.models.classifier import Classifier
from thriftune.models.device import synchronize

AGREEMENT = 1e-3
"""The largest relative difference that 50 losses may have."""
CHECKED_BATCHES, CHECKED_STEPS, CHECKED_RATE = 10, 50, 0.1
"""At a tenth of the learning rate, so few texts are not learned by heart, after which losses would say nothing."""


@dataclass
class Watch(Hook):
    """Seconds of each whole epoch, and the allocator's peak over all steps."""

    until: float
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    late: bool = False

    def train_started(self, step: Step) -> None:
        """What was allocated before does not count."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def stepped(self, progress: Progress) -> None:
        """Ends the training when its time is up."""
        if time.time() > self.until:
            self.late = True
            raise TimeoutError

    def steps_done(self, seconds: float) -> None:
        """A whole epoch counts."""
        if not self.late:
            self.seconds.append(seconds)
            self.peak_bytes = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def agreement(job: Job) -> float:
    """The largest relative difference of 50 losses from those of transformers' eager forward on padded batches."""
    ours = checked_losses(job, job.protocol(), steps_of)
    release()
    reference = job.protocol(padding="longest", frozen_dropout="on")
    theirs = checked_losses(job, reference, lambda step, changed_between: step)
    release()
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def checked_losses(job: Job, protocol: Protocol, choose: Callable[[Step, bool], Step | GraphedSteps]) -> np.ndarray:
    """Mean losses of the same few batches again and again, so that graphs are recorded and replayed; no dropout."""
    use_precision(protocol)
    ours = protocol.padding == "none"
    classifier = classifier_of(job, dropout=False, cut=ours)
    classifier.encoder.set_attn_implementation("eager")
    examples = texts_of(job, classifier.config.vocab_size)
    batches = training_batches(len(examples), protocol.batch_size, 0, 0)[:CHECKED_BATCHES]
    examples, batches = first_texts(examples, batches)
    if ours:
        examples = run_prefix(classifier, {"train": examples}, protocol, PrefixCache(None))["train"]
    classifier.train_mode(frozen_dropout=not ours)
    rate = CHECKED_RATE * job.row.method.learning_rates[0]
    torch.manual_seed(0)
    step = Step(classifier, examples, protocol, build_optimizer(classifier, protocol.optimizer, rate))
    rounds = CHECKED_STEPS // len(batches)
    groups = [[batch] for batch in batches * rounds]
    losses = [r.loss.clone() / r.texts for r in choose(step, False).epoch(groups, [rate] * len(groups))]
    return np.asarray(torch.stack(losses).cpu().numpy())


def trained(job: Job, protocol: Protocol, examples: Examples, classifier: Classifier) -> tuple[Watch, list[str]]:
    """A training by the loop itself; what it did until the time was up."""
    watch = Watch(job.until)
    rate = job.row.method.learning_rates[0]
    try:
        notes = fit(Task(classifier, examples, None, protocol, rate, 0, job.folder / "best"), [watch]).notes
    except TimeoutError:
        notes = []
    synchronize(classifier.device)
    return watch, notes


def speed(job: Job) -> dict[str, Any]:
    """Samples per second and peak memory of our engine; the prefix lies on the host and is counted apart."""
    classifier = classifier_of(job, dropout=True, cut=True)
    examples = texts_of(job, classifier.config.vocab_size)
    use_precision(job.protocol())
    with tempfile.TemporaryDirectory(dir=job.folder) as cache:
        examples = run_prefix(classifier, {"train": examples}, job.protocol(), PrefixCache(Path(cache)))["train"]
        watch, notes = trained(job, job.protocol(), examples, classifier)
    prefix = examples.prefix
    found = {
        "prefix_seconds": None if prefix is None else prefix.seconds,
        "prefix_host_gb": None if prefix is None else prefix.values.nbytes / 1e9,
        "notes": notes,
    }
    if len(watch.seconds) < 2:
        return {**found, "reason": f"not measured: the time was up after {len(watch.seconds)} epochs"}
    per_epoch = statistics.median(watch.seconds[1:])
    return {
        **found,
        "samples_per_second": len(examples) / per_epoch,
        "epoch_seconds": watch.seconds,
        "peak_gb": None if watch.peak_bytes is None else watch.peak_bytes / 1e9,
    }


def without_graphs(job: Job) -> dict[str, Any]:
    """The same batches and kernels, launched one by one: what the graphs alone gain."""
    classifier = classifier_of(job, dropout=True, cut=True)
    small = replace(job, row=replace(job.row, texts=100 * job.row.batch_size))
    examples = texts_of(small, classifier.config.vocab_size)
    examples = run_prefix(classifier, {"train": examples}, job.protocol(), PrefixCache(None))["train"]
    before = graphs.RECORDED_VISIT
    graphs.RECORDED_VISIT = sys.maxsize
    try:
        watch, _ = trained(job, job.protocol(2), examples, classifier)
    finally:
        graphs.RECORDED_VISIT = before
    return {"without_graphs_samples_per_second": _last(watch, len(examples))}


def study_setting(job: Job) -> dict[str, Any]:
    """As the published study trained: padded to 256, frozen layers and their dropout in every step, no graphs."""
    classifier = classifier_of(job, dropout=True, cut=False)
    small = replace(job, row=replace(job.row, texts=50 * job.row.batch_size))
    examples = texts_of(small, classifier.config.vocab_size)
    protocol = job.protocol(2, padding="max", max_tokens=256, frozen_dropout="on")
    watch, _ = trained(job, protocol, examples, classifier)
    return {
        "study_setting_samples_per_second": _last(watch, len(examples)),
        "study_setting_peak_gb": None if watch.peak_bytes is None else watch.peak_bytes / 1e9,
    }


def _last(watch: Watch, texts: int) -> float | None:
    return texts / watch.seconds[-1] if len(watch.seconds) > 1 else None


def measured(job: Job) -> dict[str, Any]:
    """The row's figures; no speed where losses disagree. Further columns come as long as there is time."""
    with surroundings(job.smoke):
        difference = agreement(job)
        found: dict[str, Any] = {"loss_difference": difference}
        if not difference <= AGREEMENT:
            found["reason"] = f"no speed: {CHECKED_STEPS} losses differ from the eager reference by {difference:.2g}"
            return found
        found |= speed(job)
        release()
        further = [without_graphs, *([study_setting] if job.row.study_setting else [])]
        for part in further if "reason" not in found else []:
            if time.time() < job.until - (0 if job.smoke else 10):
                found |= part(job)
                release()
        return found


def main() -> None:
    """Runs the row that the JSON names: {"row", "folder", "until", "smoke"}."""
    request = json.loads(sys.argv[1])
    job = Job(BY_NAME[request["row"]], Path(request["folder"]), request["until"], request["smoke"])
    print(json.dumps(measured(job)))


if __name__ == "__main__":
    main()
