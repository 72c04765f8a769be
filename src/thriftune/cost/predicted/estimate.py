"""Predicts what a run will cost: the engine's own step on tensors without data, under the counter that measures.

There is no formula per architecture: what is estimated is what runs. No weight is ever allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)

from thriftune.cost.measured.memory import make_state, step_peak
from thriftune.cost.predicted.cuda import GRANULE, CudaKernels, Gpu
from thriftune.cost.predicted.shapes import leave_memory, materialise, without_data
from thriftune.cost.predicted.solving import Solving
from thriftune.cost.predicted.work import CountWork, Work
from thriftune.data.tokens import Tokens
from thriftune.engine.batches import packed_batch
from thriftune.engine.examples import NARROW, Examples, Prefix
from thriftune.engine.forward import row_dtype
from thriftune.engine.frozen.cache import cache_limit
from thriftune.engine.frozen.layers import has_constant_prefix
from thriftune.engine.frozen.prefix import kind_of, prefix_bytes
from thriftune.engine.frozen.words import narrow
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.errors import InputError
from thriftune.methods.base import TransformerMethod
from thriftune.models.classifier import Classifier
from thriftune.models.device import pretend
from thriftune.models.head import HeadSettings
from thriftune.models.packed import prefix_output
from thriftune.models.pretrained.load import skeleton
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.models.residence import round_frozen
from thriftune.models.trained.save import delta_bytes, stored_bytes
from thriftune.results.cost import Memory, StepFootprint


@dataclass(frozen=True)
class Case:
    """One model trained by one method under one protocol: what an estimate is made for."""

    model: Path
    """A folder; config.json is all that is read of it."""
    method: TransformerMethod
    protocol: Protocol
    lengths: tuple[int, ...]
    """Tokens of each text in the batch where a step's memory peaks (`widest_batch`)."""
    head: HeadSettings = field(default_factory=HeadSettings)
    classes: int = 2
    gpu: Gpu | None = None
    """None: the CPU."""
    typical: tuple[int, ...] | None = None
    """Tokens of each text in an ordinary batch (`typical_batch`), whose work is counted; None: `lengths`."""
    tokens: int | None = None
    """Tokens of all training texts: whether the output of frozen layers fits into the cache; None: it does."""
    words: int | None = None
    """Distinct token ids of the texts that training sees; None: the whole vocabulary."""
    texts: int = 0
    """Training texts, which a solved head reads all at once; 0: not known."""
    validation: int = 0
    """Validation texts."""


@dataclass(frozen=True, kw_only=True)
class Estimate(StepFootprint):
    """What a run is predicted to cost."""

    work: Work
    """Of one optimiser step on ordinary batches."""
    texts: int
    """Texts of that step."""
    prefix_work: Work
    """Of running the frozen layers once over one ordinary batch; nothing where they run in every step."""
    prefix_texts: int
    solve_work: Work = field(default_factory=Work)
    """Of solving the head before the first step, about; nothing where it begins at random."""
    solve_texts: int = 0
    """Where the head is solved instead of trained: the training texts; then no steps are run."""

    @property
    def flops_per_sample(self) -> float:
        """Of training; the frozen layers' single pass counts apart."""
        return self.solve_work.flops / self.solve_texts if self.solve_texts else self.work.flops / self.texts

    @property
    def prefix_flops_per_sample(self) -> float:
        """Of the frozen layers' single pass."""
        return self.prefix_work.flops / self.prefix_texts


class NoEstimateError(InputError):
    """A step that cannot run without data, because it looks at the values of its tensors."""


def estimate(case: Case) -> Estimate:
    """Predicts a case's cost from its model's configuration.

    Raises `InputError` where the configuration cannot be used or the method does not fit it, `NoEstimateError`
    where the method's step cannot run without data.
    """
    classifier = _classifier(case)
    counts, stored, delta = classifier.counts(), stored_bytes(classifier), delta_bytes(classifier)
    typical = case.typical or case.lengths
    with _on(case):
        materialise(classifier)
        cut = _cut(classifier, case)
        prefix_work = (
            Work()
            if cut is None
            else _prefix_work(classifier, _examples(classifier, typical, None), cut, case.protocol)
        )
        if cut is not None:
            leave_memory(classifier, cut)
        step = _step(classifier, case, (*case.lengths, *typical), cut)
        widest, usual = np.split(np.arange(len(step.examples)), [len(case.lengths)])
        counter = CountWork()
        if typical != case.lengths:
            make_state(step)
            with counter:
                step([usual] * case.protocol.accumulate, 0.0)
        beside = counter if typical == case.lengths else None
        peak, memory = step_peak(step, [widest] * case.protocol.accumulate, _granule(case), beside)
        solving, solve_work = _solving(classifier, case), Work()
        if solving is not None:
            peak, memory = _larger(peak, memory, solving, classifier, cut)
            solve_work = solving.work(classifier, step.examples, usual, case.protocol)
    if case.gpu is not None:
        peak += case.gpu.workspaces
        memory = replace(memory, other=memory.other + case.gpu.workspaces)
    return Estimate(
        peak_memory_bytes=peak,
        memory=memory,
        trained_parameters=counts.trained,
        head_parameters=counts.head,
        total_parameters=counts.total,
        stored_bytes=stored,
        delta_bytes=delta,
        work=counter.work,
        texts=len(typical) * case.protocol.accumulate,
        prefix_work=prefix_work,
        prefix_texts=len(typical),
        solve_work=solve_work,
        solve_texts=0 if solving is None or not solving.alone else solving.texts,
    )


def peak_bytes(case: Case) -> int:
    """The predicted peak alone, in half the time."""
    classifier = _classifier(case)
    with _on(case):
        materialise(classifier)
        cut = _cut(classifier, case)
        if cut is not None:
            leave_memory(classifier, cut)
        batches = [np.arange(len(case.lengths))] * case.protocol.accumulate
        peak, memory = step_peak(_step(classifier, case, case.lengths, cut), batches, _granule(case))
        if (solving := _solving(classifier, case)) is not None:
            peak, _ = _larger(peak, memory, solving, classifier, cut)
    return peak + (0 if case.gpu is None else case.gpu.workspaces)


def _classifier(case: Case) -> Classifier:
    """The case's classifier on the meta device, with the method applied."""
    classifier = skeleton(case.model, tuple(f"label {index}" for index in range(case.classes)), case.head)
    if classifier.family.layers is not None and not len(classifier.layers):
        raise InputError(f"{case.model / 'config.json'} describes a model without layers. Check its number of layers.")
    if classifier.config.pad_token_id is None:  # decoders; a batch cannot be classified without one
        classifier.config.pad_token_id = 0
    if not case.method.reads_weights:
        case.method.apply(classifier, torch.Generator().manual_seed(0))
    if classifier.input_tuner or case.method.reads_weights:
        raise NoEstimateError(
            f"{case.method.label} on {case.model.name} cannot be estimated: PEFT makes what it adds "
            "from the values of its weights."
        )
    return classifier


@contextmanager
def _on(case: Case) -> Iterator[None]:
    """Runs without data what the case's device would run."""
    with ExitStack() as stack:
        stack.enter_context(pretend("cpu" if case.gpu is None else "cuda"))
        stack.enter_context(without_data())
        if case.gpu is not None:
            stack.enter_context(CudaKernels())
        try:
            yield
        except (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException) as error:
            raise NoEstimateError(
                f"{case.method.label} on {case.model.name} cannot be estimated: its step looks at values ({error})."
            ) from error


def _granule(case: Case) -> int:
    return 1 if case.gpu is None else GRANULE


def _cut(classifier: Classifier, case: Case) -> int | None:
    """How many frozen layers run once for all; None where they run in every step."""
    if not has_constant_prefix(classifier, case.protocol):
        return None
    count = sum(case.lengths) if case.tokens is None else case.tokens
    tokens = Tokens(np.broadcast_to(np.int32(0), count), None, np.zeros(1, dtype=np.int64), 0)
    needed = prefix_bytes(classifier, tokens, kind_of(classifier, case.protocol, "train"))
    return classifier.cut if needed <= cache_limit() else None


def _solving(classifier: Classifier, case: Case) -> Solving | None:
    """What is to be solved before the first step; None where nothing is, or the number of texts is not known."""
    if case.method.head_start != "solved" or not case.texts:
        return None
    return Solving.of(classifier, case.texts, case.validation)


def _larger(peak: int, memory: Memory, solving: Solving, classifier: Classifier, cut: int | None) -> tuple[int, Memory]:
    """A step's peak, or the solver's where that is larger, or all there is: no steps, frozen layers that ran once."""
    weights, rest = solving.peak_bytes(classifier)
    if weights + rest > peak or (solving.alone and cut is not None):
        return weights + rest, Memory(weights, 0, 0, 0, 0, rest)
    return peak, memory


def _step(classifier: Classifier, case: Case, lengths: tuple[int, ...], cut: int | None) -> Step:
    classifier.train_mode(case.protocol.frozen_dropout == "on")
    if row_dtype(classifier, case.protocol) is not None:
        round_frozen(classifier)
    if case.words is not None:
        tokens = Tokens(np.arange(case.words, dtype=np.int32), None, np.array([0, case.words]), 0)
        narrow(classifier, [Examples(tokens, np.zeros(1, dtype=np.int64))], case.protocol)
    optimizer = build_optimizer(classifier, case.protocol.optimizer, 0.0)
    examples = _examples(classifier, lengths, cut, row_dtype(classifier, case.protocol) is not None)
    return Step(classifier, examples, case.protocol, optimizer)


def _examples(classifier: Classifier, lengths: tuple[int, ...], cut: int | None, bf16: bool = False) -> Examples:
    """Texts of these lengths, with the output of the layers below the cut where they have run."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.ones(offsets[-1], dtype=np.int32)
    types = np.zeros(len(ids), dtype=np.uint8) if token_types(classifier.config) else None
    examples = Examples(Tokens(ids, types, offsets, 0), np.zeros(len(lengths), dtype=np.int64))
    if cut is None:
        return examples
    per_text = cut == len(classifier.layers)
    rows = len(lengths) if per_text else len(ids)
    dtype = NARROW if bf16 and not per_text else np.dtype("float32")
    values = np.zeros((rows, classifier.config.hidden_size), dtype=dtype)
    prefix = Prefix(cut, values, None if per_text else offsets, 0.0, reused=False, mapped=True, peak_memory_bytes=None)
    return replace(examples, prefix=prefix)


def _prefix_work(classifier: Classifier, examples: Examples, cut: int, protocol: Protocol) -> Work:
    classifier.eval_mode()
    order = np.argsort(-examples.tokens.lengths, kind="stable")
    counter = CountWork()
    with torch.no_grad(), counter:
        rows = packed_batch(examples.tokens, order, classifier.device)
        prefix_output(classifier, rows, cut, dtype=row_dtype(classifier, protocol))
    return counter.work
