"""The logits of texts of several classifiers, side by side in packed batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import ROWS_PER_BATCH, packed_batch
from thriftune.engine.forward import autocast, row_dtype
from thriftune.engine.stored.transformer import SHORT
from thriftune.models.ops.mean import mean_rows
from thriftune.models.ops.rows import Rows
from thriftune.use.many.plan import Member, Node, Plan


def logits_of(plan: Plan, asked: Mapping[str, Tokens]) -> dict[str, np.ndarray]:
    """Logits (texts, labels) of each member's tokens, by its name; not a number for a text without any token."""
    keep_freed_memory()
    if sum(int(tokens.lengths.sum()) for tokens in asked.values()) <= SHORT:
        plan.keep_ordered()
    out: dict[str, np.ndarray] = {}
    for root in plan.roots:
        present = [member for member in root.members if len(asked.get(member.name, ())) > 0]
        if present:
            out |= _Pass.of(plan, root, present, asked).run()
    return out


@dataclass
class _Pass:
    """The texts of one tree's members, by member and longest first."""

    plan: Plan
    root: Node
    members: list[Member]
    tokens: Tokens
    owner: np.ndarray
    """(texts,) whose a text is, a place in `members`."""
    logits: list[np.ndarray]
    """(texts, labels) of each member."""
    first: np.ndarray
    """(members,) where a member's texts begin."""

    @classmethod
    def of(cls, plan: Plan, root: Node, members: list[Member], asked: Mapping[str, Tokens]) -> _Pass:
        parts = [asked[member.name] for member in members]
        counts = [len(part) for part in parts]
        shapes = [(count, len(member.model.labels)) for count, member in zip(counts, members, strict=True)]
        empty = [np.full(shape, np.nan, dtype=np.float32) for shape in shapes]
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return cls(plan, root, members, _joined(parts), np.repeat(np.arange(len(members)), counts), empty, first)

    def run(self) -> dict[str, np.ndarray]:
        lengths = np.asarray(self.tokens.lengths)
        order = np.lexsort((-lengths, self.owner))
        order = order[lengths[order] > 0]
        ends = np.cumsum(lengths[order])
        breaks = np.flatnonzero(np.diff((ends - 1) // ROWS_PER_BATCH)) + 1
        lead = self.root.lead
        for indices in np.split(order, breaks) if len(order) else []:
            with torch.inference_mode(), autocast(lead.network, lead.model.protocol):
                self._node(self.root, indices, None)
        return {member.name: logits for member, logits in zip(self.members, self.logits, strict=True)}

    def _node(self, node: Node, indices: np.ndarray, hidden: torch.Tensor | None) -> None:
        """Runs some texts, all of the node's members, to their logits; without `hidden` from their embeddings on."""
        network = node.lead.network
        rows = packed_batch(self.tokens, indices, network.device)
        if hidden is None:
            hidden = network.family.embed(network.encoder, rows)
            dtype = row_dtype(network, node.lead.model.protocol)
            hidden = hidden if dtype is None else hidden.to(dtype)
        if node.layers:
            hidden = self._layers(node, indices, rows, hidden)
        if not node.children:
            self._heads(node, indices, rows, hidden)
            return
        owner = self.owner[indices]
        for child in node.children:
            mine = [place for place, member in enumerate(self.members) if member in child.members]
            texts = np.flatnonzero(np.isin(owner, mine))
            if len(texts):
                start, stop = int(texts[0]), int(texts[-1]) + 1
                self._node(child, indices[start:stop], hidden[self._span(indices, start, stop)])

    def _layers(self, node: Node, indices: np.ndarray, rows: Rows, hidden: torch.Tensor) -> torch.Tensor:
        """The output of the node's layers, (rows, hidden), or (texts, hidden) of the first tokens at the end."""
        network, running = node.lead.network, self.plan.running
        family, encoder = network.family, network.encoder
        parts = self._parts(indices)
        alone = [packed_batch(self.tokens, indices[part], network.device) for _, part in parts] if node.apart else []
        contexts = [family.context(encoder, each) for each in alone]
        context = family.context(encoder, rows)
        spans = [self._span(indices, part.start, part.stop) for _, part in parts]
        names = tuple(self.members[place].name for place, _ in parts)
        for index in node.layers:
            first = network.reads == "first" and index == len(network.layers) - 1
            if index in node.apart and len(parts) > 1:
                outputs = []
                for name, span, own, known in zip(names, spans, alone, contexts, strict=True):
                    running.names = (name,)
                    outputs.append(family.layer(encoder, index, hidden[span], own, known, first))
                hidden = torch.cat(outputs)
                continue
            running.names, running.rows = names, tuple(spans)
            running.texts, running.counts = tuple(part for _, part in parts), (len(rows.ids), rows.texts)
            hidden = family.layer(encoder, index, hidden, rows, context, first)
        return hidden

    def _heads(self, node: Node, indices: np.ndarray, rows: Rows, hidden: torch.Tensor) -> None:
        """Reads each member's own head."""
        network = node.lead.network
        hidden = hidden.float() if hidden.dtype == torch.bfloat16 else hidden
        hidden = network.family.finish(network.encoder, hidden)
        read = hidden if network.reads == "first" else mean_rows(hidden, rows)
        for place, part in self._parts(indices):
            own = self.members[place].network
            logits = own.family.read_head(own.network, own.head, read[part])
            self.logits[place][indices[part] - self.first[place]] = logits.float().cpu().numpy()

    def _parts(self, indices: np.ndarray) -> list[tuple[int, slice]]:
        """Whose texts lie side by side, and where."""
        owner = self.owner[indices]
        starts = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(owner)]
        return [(int(owner[start]), slice(start, stop)) for start, stop in pairwise(starts)]

    def _span(self, indices: np.ndarray, start: int, stop: int) -> slice:
        """The rows of neighbouring texts."""
        ends = np.concatenate([[0], np.cumsum(self.tokens.lengths[indices])])
        return slice(int(ends[start]), int(ends[stop]))


def _joined(parts: list[Tokens]) -> Tokens:
    """The texts of several, one after another."""
    if len(parts) == 1:
        return replace(parts[0])
    starts = np.cumsum([0, *(len(part.ids) for part in parts[:-1])])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=True)]
    end = int(starts[-1]) + len(parts[-1].ids)
    types = [part.types for part in parts if part.types is not None]
    return Tokens(
        np.concatenate([part.ids for part in parts]),
        np.concatenate(types) if types else None,
        np.concatenate([*offsets, [end]]).astype(np.int64),
        truncated=0,
    )
