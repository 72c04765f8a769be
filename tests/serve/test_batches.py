"""The queue: alone at once, together where several come, each with its own answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from thriftune.serve.batches import Batches
from thriftune.serve.limits import Limits
from thriftune.serve.models import Asked


class Counted:
    """A model whose probabilities are the texts' lengths."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls: list[list[str]] = []
        self.seconds = seconds

    def __call__(self, asked: Sequence[Asked]) -> list[np.ndarray]:
        self.calls.append([text for _, texts in asked for text in texts[0]])
        time.sleep(self.seconds)
        return [np.array([[len(text)] for text in texts[0]]) for _, texts in asked]


async def ask(batches: Batches, texts: list[str], tokens: int = 1) -> list[int]:
    found = await batches.submit(("a", [texts]), tokens)
    return [int(value) for value in found[:, 0]]


def test_alone_at_once_and_then_together() -> None:
    model = Counted(0.02)
    batches = Batches(model, Limits(wait=5.0))
    batches.start()

    async def all_of_them() -> list[list[int]]:
        started = time.monotonic()
        assert await ask(batches, ["a"]) == [1]
        assert time.monotonic() - started < 4, "a request that comes alone does not wait"
        return await asyncio.gather(*(ask(batches, ["x" * (1 + index)]) for index in range(20)))

    assert asyncio.run(all_of_them()) == [[1 + index] for index in range(20)]
    assert len(model.calls) < 20
    batches.stop()


def test_the_first_one_after_a_pause_does_not_wait_for_others() -> None:
    model = Counted()
    batches = Batches(model, Limits(wait=0.5))
    batches.start()

    async def some_of_them() -> float:
        await asyncio.gather(*(ask(batches, ["x"]) for _ in range(20)))
        await asyncio.gather(*(ask(batches, ["x"]) for _ in range(20)))
        await asyncio.sleep(0.6)
        started = time.monotonic()
        await ask(batches, ["a"])
        return time.monotonic() - started

    assert asyncio.run(some_of_them()) < 0.5
    assert model.calls[-1] == ["a"]
    batches.stop()


def test_a_batch_has_so_many_tokens() -> None:
    model = Counted()
    batches = Batches(model, Limits(batch=10))

    async def all_of_them() -> None:
        asked = [asyncio.ensure_future(ask(batches, ["a", "b"], 4)) for _ in range(6)]
        asked.append(asyncio.ensure_future(ask(batches, ["c"], 40)))
        await asyncio.sleep(0)
        batches.start()
        await asyncio.gather(*asked)

    asyncio.run(all_of_them())
    assert model.calls == [["a", "b"] * 2] * 3 + [["c"]]
    batches.stop()


def test_what_was_given_up_is_not_computed_and_the_end_answers_the_rest() -> None:
    model = Counted()
    batches = Batches(model, Limits())

    async def some_of_them() -> list[int]:
        kept, left = (asyncio.ensure_future(ask(batches, [text])) for text in ("kept", "left"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        batches.start()
        await asyncio.to_thread(batches.stop)
        return await kept

    assert asyncio.run(some_of_them()) == [4]
    assert model.calls == [["kept"]]
