"""Training batches of few shapes, put together on the device from nothing but the texts' numbers.

A CUDA graph replays one shape. So a batch's rows are rounded up: the spare ones form one more text, which attention
keeps to itself, and whose loss nobody reads. Nothing else about the packed forward changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from thriftune.engine.examples import Examples, Prefix, array_of, tensor_of
from thriftune.models.ops.rows import Group, Rows

WIDTH_STEP = 16
"""Widths are multiples of it, as fused attention kernels like them."""
BLOCK_BYTES = 64 << 20
"""A prefix goes to the device in blocks of about so many bytes."""


@dataclass(frozen=True)
class Bucket:
    """The shape of a batch."""

    texts: int
    """Real ones; one of spare rows follows."""
    rows: int
    """Spare ones included, at least one and no more than the longest text has."""
    width: int
    """No text is longer."""


def bucket_of(lengths: np.ndarray) -> Bucket:
    """The bucket for texts of these lengths: rows and width rounded up by at most an eighth, or to 16."""
    longest, rows = int(lengths.max()), int(lengths.sum())
    width_step = max(WIDTH_STEP, _power_of_two(longest // 8))
    width = -(-longest // width_step) * width_step
    # The text of spare rows is no longer than the longest one, so that it needs no further position.
    step = min(_power_of_two(rows // 8), _power_of_two(longest))
    return Bucket(len(lengths), rows // step * step + step, width)


def _power_of_two(limit: int) -> int:
    """The largest one that is not above the limit; 1 for smaller limits."""
    return 1 << max(0, limit.bit_length() - 1)


@dataclass(frozen=True)
class Batch:
    """What the packed forward reads."""

    rows: Rows
    hidden: torch.Tensor | None
    """The prefix's rows, (rows, hidden), where there is one."""


class DeviceTexts:
    """All training texts on the device, and what makes a batch of a bucket's shape out of some of them.

    Of a prefix that is larger than `prefix_bytes` only the rows of one batch are on the device; `load` brings them.
    """

    def __init__(self, examples: Examples, device: torch.device, largest_batch: int, prefix_bytes: int = 0) -> None:
        tokens, prefix = examples.tokens, examples.prefix
        # Where only first tokens are read above the cut, a text is one row.
        per_text = prefix is not None and prefix.offsets is None
        self._lengths = np.ones(len(tokens), dtype=np.int64) if per_text else np.asarray(tokens.lengths)
        ends = np.cumsum(self._lengths)
        # The last text stands for the spare rows of any batch: longer than they are, its tokens the first ones.
        self._begins = torch.from_numpy(np.append(ends - self._lengths, 0)).to(device)
        self._sizes = torch.from_numpy(np.append(self._lengths, ends[-1])).to(device)
        self._chosen = torch.full((largest_batch + 1,), len(tokens), device=device)
        self._ids = torch.zeros(0, dtype=torch.int32, device=device)
        self._types: torch.Tensor | None = None
        self._values: torch.Tensor | None = None
        self._feed: Feed | None = None
        if prefix is None:
            self._ids = torch.from_numpy(np.array(tokens.ids)).to(device)
            self._types = None if tokens.types is None else torch.from_numpy(np.array(tokens.types)).to(device)
        elif prefix.values.nbytes <= prefix_bytes:
            self._values = _moved(prefix.values, device)
        else:
            self._feed = Feed(prefix, int(np.sort(self._lengths)[-largest_batch:].sum()), device)

    def load(self, indices: np.ndarray, same: torch.Tensor) -> Bucket:
        """Says which texts the next batch has, by their numbers here and, the `same`, on the device.

        Brings what they need from the host, without waiting for it; returns their bucket.
        """
        self._chosen[: len(indices)].copy_(same)
        if len(indices) < len(self._chosen) - 1:
            self._chosen[len(indices) :].fill_(len(self._lengths))
        if self._feed is not None:
            self._feed.load(indices)
        return bucket_of(self._lengths[indices])

    def texts(self, bucket: Bucket) -> torch.Tensor:
        """The numbers of the loaded texts, (texts,)."""
        return self._chosen[: bucket.texts]

    def batch(self, bucket: Bucket) -> Batch:
        """The loaded texts in their order and in the bucket's shape.

        It depends on what lies on the device alone: the host need not wait for it, and a graph can hold it.
        """
        chosen = self._chosen[: bucket.texts + 1]
        begins, sizes = self._begins.index_select(0, chosen), self._sizes.index_select(0, chosen)
        ends = sizes.cumsum(0)
        starts = ends - sizes
        lengths = torch.minimum(sizes, bucket.rows - starts)
        rows = torch.arange(bucket.rows, device=chosen.device)
        text = torch.searchsorted(ends, rows, right=True)
        places = rows - starts.index_select(0, text)
        source = places + begins.index_select(0, text)
        group = Group(
            first_row=0,
            rows=bucket.rows,
            first_text=0,
            texts=bucket.texts + 1,
            width=bucket.width,
            slots=torch.add(places, text, alpha=bucket.width),
            mask=(torch.arange(bucket.width, device=chosen.device) < lengths.unsqueeze(1))[:, None, None, :],
        )
        packed = Rows(
            ids=self._ids.index_select(0, source) if len(self._ids) else self._ids,
            types=None if self._types is None else self._types.index_select(0, source).int(),
            positions=places,
            starts=starts,
            lengths=lengths,
            groups=(group,),
        )
        return Batch(packed, self._hidden(source, bucket))

    def _hidden(self, source: torch.Tensor, bucket: Bucket) -> torch.Tensor | None:
        if self._values is not None:
            return _wide(self._values.index_select(0, source))
        return None if self._feed is None else _wide(self._feed.hidden[: bucket.rows])


class Feed:
    """Rows of a prefix on the host, on their way to one place on the device, which steps read.

    Two buffers in page-locked memory take turns, so that one is filled while the other is copied.
    """

    def __init__(self, prefix: Prefix, rows: int, device: torch.device) -> None:
        self._prefix = prefix
        size = prefix.values.shape[1]
        dtype = tensor_of(np.empty(0, dtype=prefix.values.dtype)).dtype
        # A bucket has at most so many rows, and its spare ones must hold numbers.
        self.hidden = torch.zeros(rows + rows // 8 + 1, size, dtype=dtype, device=device)
        """(rows, hidden); the first ones are the batch's."""
        on_gpu = device.type == "cuda"
        self._buffers = [torch.empty(rows, size, dtype=dtype, pin_memory=on_gpu) for _ in range(2)]
        self._copied: list[Any] = [torch.cuda.Event() if on_gpu else None for _ in range(2)]

    def load(self, indices: np.ndarray) -> None:
        """Copies the rows of some texts, one text after another, once the work before has read the last ones."""
        buffer, copied = self._buffers[0], self._copied[0]
        self._buffers.reverse()
        self._copied.reverse()
        if copied is not None:
            copied.synchronize()
        values, offsets = self._prefix.values, self._prefix.offsets
        if offsets is None:
            count = len(indices)
            np.take(values, indices, axis=0, out=array_of(buffer)[:count])
        else:
            count = int((offsets[indices + 1] - offsets[indices]).sum())
            parts = [values[offsets[index] : offsets[index + 1]] for index in indices]
            np.concatenate(parts, out=array_of(buffer)[:count])
        self.hidden[:count].copy_(buffer[:count], non_blocking=True)
        if copied is not None:
            copied.record()


def _wide(rows: torch.Tensor) -> torch.Tensor:
    """Stored rows as the layers take them."""
    return rows.float() if rows.dtype == torch.bfloat16 else rows


def _moved(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """A copy on the device, block by block: the values may be a file that is larger than the host's memory."""
    rows = max(1, BLOCK_BYTES // max(1, values[:1].nbytes))
    out = torch.empty(values.shape, dtype=tensor_of(np.empty(0, values.dtype)).dtype, device=device)
    for start in range(0, len(values), rows):
        out[start : start + rows].copy_(tensor_of(np.array(values[start : start + rows])))
    return out
