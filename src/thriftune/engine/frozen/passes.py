"""Runs texts through frozen layers, stage by stage and batch by batch, and goes on where an earlier pass broke off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.endings import asked_to_end, finishing
from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import packed_batch, token_batches
from thriftune.engine.examples import NARROW, gather, narrow_values, tensor_of
from thriftune.engine.frozen.partial import Partial, Position
from thriftune.engine.frozen.stages import PeakOf, Report, Stage, Start, stages_after, stages_of
from thriftune.engine.parallel.passes import outputs
from thriftune.models.classifier import Classifier
from thriftune.models.packed import prefix_output
from thriftune.models.residence import in_memory

CHUNK = 4
"""Batches that are done or not, where a pass goes on."""
MARK_SECONDS = 15.0
"""Between two notes of how far a pass came: what a killed process loses at most, and a chunk."""


def run_stages(
    classifier: Classifier,
    tokens: Tokens,
    cut: int,
    out: np.ndarray,
    report: Report | None,
    peak_of: PeakOf | None,
    start: Start | None = None,
    partial: Partial | None = None,
    rows: torch.dtype | None = None,
) -> tuple[float, int | None]:
    """Writes the output of the `cut` lowest layers into `out` and returns its seconds and the peak memory in bytes.

    `out` is (tokens, hidden), or (texts, hidden) where only first tokens are read above, in bf16 where `NARROW`. The
    batches depend on the lengths alone. The peak counts no weights above the cut, and is that of all the layers even
    where the lower ones ran before (`start`); the seconds are those of the rest. With `partial` the pass goes on where
    an earlier one ended, its seconds included, and an interrupt leaves what the next one needs. `rows` is the dtype
    between the layers, as `prefix_output` has it.
    """
    keep_freed_memory()
    classifier.eval_mode()
    run = _Pass(classifier, tokens, cut, out, report, peak_of, start, partial, rows)
    with finishing() if partial is not None else nullcontext(), torch.inference_mode():
        return run.run()


class _Pass:
    """One pass under way."""

    def __init__(
        self,
        classifier: Classifier,
        tokens: Tokens,
        cut: int,
        out: np.ndarray,
        report: Report | None,
        peak_of: PeakOf | None,
        start: Start | None,
        partial: Partial | None,
        rows: torch.dtype | None,
    ) -> None:
        self.classifier, self.tokens, self.out = classifier, tokens, out
        self.report, self.peak_of, self.start, self.partial, self.rows = report, peak_of, start, partial, rows
        self.batches = token_batches(tokens.lengths)
        self.total = int(tokens.offsets[-1])
        self.per_text = len(out) != self.total
        aside = self.per_text or out.dtype == NARROW  # what lies between stages is then no part of the result
        wide = np.dtype(np.float32) if out.dtype == NARROW else out.dtype
        spare = None if partial is None else partial.between
        size = self.total * out.shape[1] * wide.itemsize if aside else 0
        self.stages = stages_of(classifier, cut, size, spare)
        self.left = self.stages if start is None else stages_after(classifier, self.stages, cut, start.layer)
        self.between = self._between(wide, spare) if aside and len(self.left) > 1 else out
        self.at = Position()
        self._done = 0
        """Tokens, each as often as it went through a stage."""
        self._pending: list[int] = []
        self._made: Iterator[tuple[np.ndarray, torch.Tensor]] = iter(())
        """The batches of the stage under way that are left, and what it makes of them."""
        self._marked = time.perf_counter()

    def _between(self, dtype: np.dtype[Any], spare: Path | None) -> np.ndarray:
        """Room for every token's hidden state."""
        shape = (self.total, self.out.shape[1])
        if self.partial is None or spare is None:
            return np.empty(shape, dtype=dtype)
        return self.partial.array(spare, dtype, shape)

    def run(self) -> tuple[float, int | None]:
        """All stages that are left."""
        lengths, partial, peak_of = self.tokens.lengths, self.partial, self.peak_of
        chunks = -(-len(self.batches) // CHUNK)
        plan = [(stage.bottom, stage.top) for stage in self.left]
        if partial is not None:
            self.at = partial.position(plan, chunks, (self.out, self.between), self._chunk_bytes)
        at = self.at
        largest = max(self.batches, key=lambda batch: int(lengths[batch].sum() * lengths[batch].max()))
        fresh = not at.stage and not at.chunks
        if self.start is not None:
            at.peak = max(at.peak, self.start.peak or 0)
        if peak_of is not None and fresh and self.left != self.stages and len(self.stages) == 1:
            with in_memory(self.classifier, self.stages[0].modules):
                at.peak = max(at.peak, self._probe(self.stages[0], largest, None, peak_of))
        for number in range(at.stage, len(self.left)):
            at.stage, at.chunks = number, at.chunks if number == at.stage else 0
            self._stage(number, largest, chunks)
        return at.seconds, None if peak_of is None else at.peak

    def _stage(self, number: int, largest: np.ndarray, chunks: int) -> None:
        stage, at = self.left[number], self.at
        target = self.out if stage is self.left[-1] else self.between
        source = self.between if number else None if self.start is None else self.start.values
        before, started = at.seconds, time.perf_counter()
        passed = self.batches[: at.chunks * CHUNK]
        self._done = number * self.total + sum(int(self.tokens.lengths[batch].sum()) for batch in passed)
        with in_memory(self.classifier, stage.modules):
            if self.peak_of is not None and stage in self.stages and not at.chunks:
                loaded = time.perf_counter() - started
                at.peak = max(at.peak, self._probe(stage, largest, source, self.peak_of))
                started = time.perf_counter() - loaded
            self._pending = []
            rest = self.batches[at.chunks * CHUNK :]
            self._made = outputs(
                *(self.tokens, (stage.bottom, stage.top), at.chunks * CHUNK, rest, source),
                lambda indices: self._hidden(stage, indices, source),
            )
            try:
                for chunk in range(at.chunks, chunks):
                    self._chunk(chunk, source, target)
                    at.seconds = before + time.perf_counter() - started
                    started += self._note(target, last=chunk == chunks - 1 and target is not self.out)
            except (KeyboardInterrupt, SystemExit):
                self._note(target, last=True)
                raise

    def _chunk(self, chunk: int, source: np.ndarray | None, target: np.ndarray) -> None:
        """Runs some batches; they count as done when all of them are."""
        offsets = self._offsets(target)
        safe = self.partial is not None and source is target
        done: list[np.ndarray] = []
        batches = self._batches(chunk)
        for indices in batches:
            if self.partial is not None and asked_to_end():
                raise KeyboardInterrupt
            _, hidden = next(self._made)
            values = narrow_values(hidden) if target.dtype == NARROW else _whole(hidden).cpu().numpy()
            if safe:
                done.append(values)
            else:
                _write(target, values, indices, offsets)
            self._done += int(self.tokens.lengths[indices].sum())
            if self.report is not None:
                self.report(self._done, len(self.left) * self.total)
        if safe:
            assert self.partial is not None
            texts = np.concatenate(batches)
            rows = np.stack([self.tokens.offsets[texts], self.tokens.offsets[texts + 1]], axis=1)
            self.partial.replace(self.at, target, rows, np.concatenate(done), (self.out, self.between))
        else:
            self._pending.append(chunk)
            self.at.chunks += 1

    def _note(self, target: np.ndarray, last: bool) -> float:
        """Notes how far the pass came, when that is due; returns the seconds that it took."""
        started = time.perf_counter()
        if self.partial is None or not self._pending or (not last and started - self._marked < MARK_SECONDS):
            return 0.0
        self.partial.mark(self.at, target, self._pending, (self.out, self.between), self._chunk_bytes)
        self._pending, self._marked = [], time.perf_counter()
        return self._marked - started

    def _batches(self, chunk: int) -> list[np.ndarray]:
        return self.batches[chunk * CHUNK : (chunk + 1) * CHUNK]

    def _chunk_bytes(self, values: np.ndarray, chunk: int) -> bytes:
        return gather(values, self._offsets(values), np.concatenate(self._batches(chunk))).tobytes()

    def _offsets(self, values: np.ndarray) -> np.ndarray | None:
        return None if self.per_text and values is self.out else self.tokens.offsets

    def _hidden(self, stage: Stage, indices: np.ndarray, source: np.ndarray | None) -> torch.Tensor:
        rows = packed_batch(self.tokens, indices, self.classifier.device)
        if stage.bottom is None:
            return prefix_output(self.classifier, rows, stage.top, dtype=self.rows)
        assert source is not None
        hidden = tensor_of(gather(source, self.tokens.offsets, indices)).to(self.classifier.device)
        return prefix_output(self.classifier, rows, stage.top, stage.bottom, hidden, dtype=self.rows)

    def _probe(self, stage: Stage, batch: np.ndarray, source: np.ndarray | None, peak_of: PeakOf) -> int:
        """Peak bytes of a stage on a batch."""
        weights = [t for module in stage.modules for t in (*module.parameters(), *module.buffers()) if not t.is_meta]
        return peak_of(weights, lambda: self._hidden(stage, batch, source))


def _whole(hidden: torch.Tensor) -> torch.Tensor:
    return hidden.float() if hidden.dtype == torch.bfloat16 else hidden


def _write(out: np.ndarray, rows: np.ndarray, indices: np.ndarray, offsets: np.ndarray | None) -> None:
    if offsets is None:
        out[indices] = rows
        return
    row = 0
    for index in indices:
        start, end = offsets[index], offsets[index + 1]
        out[start:end] = rows[row : row + end - start]
        row += end - start
