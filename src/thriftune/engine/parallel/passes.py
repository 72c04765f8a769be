"""Passes of a team over texts, forward alone: every process takes every so many-th batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine.examples import Prefix, gather, tensor_of
from thriftune.engine.parallel.commands import Frozen, Predict, Prefixed, Stage
from thriftune.engine.parallel.team import Team, present
from thriftune.models.classifier import Classifier

if TYPE_CHECKING:
    from thriftune.engine.examples import Examples

PIECE = 1 << 24
"""Numbers of a prefix that go through the connection at once."""


@dataclass(frozen=True)
class Part:
    """What of a prediction this process does: the batches from `first` on, every `every`-th."""

    first: int = 0
    every: int = 1
    team: Team | None = None

    def of(self, batches: list[np.ndarray]) -> list[np.ndarray]:
        """This process's batches."""
        return batches[self.first :: self.every]

    def blank(self, array: np.ndarray) -> np.ndarray:
        """Room for a result, all zeros where others fill the rest."""
        if self.team is not None:
            array[...] = 0
        return array

    def join(self, array: np.ndarray) -> np.ndarray:
        """The whole from parts that are zero where another process's are, in place: on every process."""
        if self.team is not None:
            flat = array.reshape(-1)
            for start in range(0, flat.size, PIECE):
                piece = flat[start : start + PIECE]
                wide = piece.astype(np.float32)
                self.team.sum_array(wide)
                piece[:] = wide
        return array

    def join_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """The same for (texts, width), where a process without any does not know the width."""
        if self.team is None:
            return vectors
        width = max(self.team.gather(vectors.shape[1]))
        return self.join(vectors if vectors.shape[1] else np.zeros((len(vectors), width), dtype=vectors.dtype))


def part_of(classifier: Classifier, examples: Examples, texts: np.ndarray | None = None) -> Part:
    """This process's part of a prediction; all of it where it works alone. The first process tells the others.

    `texts`: whose vectors are wanted as well.
    """
    team = present()
    split = None if team is None else team.split_of(examples.tokens.offsets)
    if team is None or split is None:
        return Part()
    if not team.rank:
        weights = team.unequal
        team.tell(Predict(split, weights, texts))
        if weights:
            spread_weights(team, classifier)
    return Part(team.rank, team.size, team)


def spread_weights(team: Team, classifier: Classifier) -> None:
    """Gives all processes the first one's trained weights; all are to call it."""
    with torch.no_grad():
        team.spread([p.data for _, p in classifier.trained()])


def outputs(
    tokens: Tokens,
    stage: tuple[int | None, int],
    first: int,
    batches: Sequence[np.ndarray],
    source: np.ndarray | None,
    run: Callable[[np.ndarray], torch.Tensor],
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Batches and what frozen layers make of each, in order; `run` computes it here, a team's others do their part.

    `stage` says which layers, `first` how many batches of the texts come before these; `source` holds what the layers
    below them made.
    """
    team = present()
    split = None if team is None or team.rank else team.split_of(tokens.offsets)
    if team is None or split is None:
        for indices in batches:
            yield indices, run(indices)
        return
    team.tell(Stage(split, *stage, first))
    for start in range(0, len(batches), team.size):
        turn = batches[start : start + team.size]
        if source is not None:
            for rank, indices in enumerate(turn[1:], start=1):
                team.send(_sent(tensor_of(gather(source, tokens.offsets, indices))), rank)
        yield turn[0], run(turn[0])
        for rank, indices in enumerate(turn[1:], start=1):
            yield indices, _received(team, rank)


def _received(team: Team, rank: int) -> torch.Tensor:
    shape = torch.zeros(3, dtype=torch.int64)
    team.receive(shape, rank)
    rows, width, double = shape.tolist()
    out = torch.empty(rows, width, dtype=torch.float64 if double else torch.float32)
    team.receive(out, rank)
    return out


def send_rows(team: Team, hidden: torch.Tensor) -> None:
    """To the first process, which asks for it by `outputs`."""
    rows = _sent(hidden.detach().cpu()).contiguous()
    team.send(torch.tensor([*rows.shape, int(rows.dtype == torch.float64)]), 0)
    team.send(rows, 0)


def _sent(rows: torch.Tensor) -> torch.Tensor:
    """As rows go from process to process: bfloat16 as float32, which holds its numbers."""
    return rows.float() if rows.dtype == torch.bfloat16 else rows


def hand_out(tokens: Tokens, prefix: Prefix, file: Callable[[], Path | None]) -> None:
    """Tells a team that a prefix is there, and where; those that cannot read its file get its numbers."""
    team = present()
    split = None if team is None or team.rank else team.split_of(tokens.offsets)
    if team is None or split is None:
        return
    values = prefix.values
    path = file()
    name = None if path is None else str(path.resolve())
    team.tell(Prefixed(split, prefix.layer, values.shape, str(values.dtype), name))
    if all(team.gather(True)):
        return
    flat = values.reshape(-1)
    for start in range(0, flat.size, PIECE):
        team.spread([torch.from_numpy(np.array(flat[start : start + PIECE]).view(np.uint8))])


def taken(team: Team, told: Prefixed, tokens: Tokens) -> Prefix:
    """A prefix that the first process hands out."""
    values: np.ndarray | None = None
    if told.path is not None:
        try:
            values = np.load(told.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):  # another machine's disk
            values = None
    if values is not None and (values.shape != told.shape or str(values.dtype) != told.dtype):
        values = None
    mapped = values is not None
    if not all(team.gather(mapped)):
        whole = np.empty(told.shape, dtype=told.dtype)
        flat = whole.reshape(-1)
        for start in range(0, flat.size, PIECE):
            team.spread([torch.from_numpy(flat[start : start + PIECE].view(np.uint8))])
        values = whole if values is None else values
    assert values is not None
    offsets = None if len(values) == len(tokens) else np.asarray(tokens.offsets)
    return Prefix(told.layer, values, offsets, 0.0, None, reused=True, mapped=mapped)


def settled(released: bool) -> None:
    """Tells a team whether the weights of the frozen layers are let go or needed after all."""
    team = present()
    if team is not None and not team.rank and team.loaded:
        team.tell(Frozen(released))
