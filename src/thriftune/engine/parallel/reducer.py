"""The gradients of a step, summed over a team in one message."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from thriftune.engine.parallel.team import Team


class Reducer:
    """Has gradients accumulate in one flat buffer, which is summed over the team once for each step.

    A parameter that has had a gradient in no step yet stays without one, so that the optimiser leaves it alone.
    """

    def __init__(self, team: Team, parameters: Sequence[torch.Tensor]) -> None:
        self._team = team
        self._parameters = list(parameters)
        self._used: list[int] = []
        self._buffers: dict[torch.dtype, torch.Tensor] = {}
        self._views: dict[int, torch.Tensor] = {}

    def begin(self) -> None:
        """Before a step's first backward pass."""
        for buffer in self._buffers.values():
            buffer.zero_()
        for index, view in self._views.items():
            self._parameters[index].grad = view

    def finish(self, further: torch.Tensor) -> torch.Tensor:
        """Sums the gradients, which then are every process's, and some further numbers, which are returned."""
        unused = [index for index in range(len(self._parameters)) if index not in self._views]
        found = further.new_tensor([float(self._parameters[index].grad is not None) for index in unused])
        tail = torch.cat([further, found]) if unused else further
        place = self._buffers.get(tail.dtype)
        if place is None:
            summed = self._team.sum(tail.clone())
        else:
            # The numbers ride behind the gradients.
            message = self._room(place, len(tail))
            message[-len(tail) :] = tail
            self._team.sum(message)
            summed = message[-len(tail) :].clone()
        for dtype, buffer in self._buffers.items():
            if dtype != tail.dtype:
                self._team.sum(buffer)
        if unused:
            new = [index for index, count in zip(unused, summed[len(further) :].tolist(), strict=True) if count > 0]
            if new:
                self._add(new)
        return summed[: len(further)]

    def _room(self, buffer: torch.Tensor, count: int) -> torch.Tensor:
        """The buffer and so many numbers behind it, which it was made with."""
        return buffer.as_strided((buffer.numel() + count,), (1,))

    def _add(self, new: list[int]) -> None:
        """Parameters that have a gradient for the first time: they are summed, and have their places from now on."""
        for index in new:
            parameter = self._parameters[index]
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.to_dense()
            parameter.grad = self._team.sum(gradient.contiguous())
        self._used = sorted([*self._used, *new])
        values = {index: self._parameters[index].grad for index in self._used}
        self._buffers, self._views = {}, {}
        for dtype in {self._parameters[index].dtype for index in self._used}:
            own = [index for index in self._used if self._parameters[index].dtype == dtype]
            sizes = [self._parameters[index].numel() for index in own]
            first = self._parameters[own[0]]
            whole = torch.zeros(sum(sizes) + self._tail, dtype=dtype, device=first.device)
            self._buffers[dtype] = whole[: sum(sizes)]
            start = 0
            for index, size in zip(own, sizes, strict=True):
                view = whole[start : start + size].view_as(self._parameters[index])
                value = values[index]
                assert value is not None
                self._parameters[index].grad = self._views[index] = view.copy_(value)
                start += size

    _tail = 0
    """How many further numbers there are at most."""

    def reserve(self, count: int) -> None:
        """Makes room for so many further numbers."""
        self._tail = count + len(self._parameters)
