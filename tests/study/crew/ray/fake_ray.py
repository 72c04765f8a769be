"""A stand-in for the package ray: tasks end as a test says, at the next look; nothing is started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from thriftune.study.crew.ray.mailbox import Mailbox


class RayError(Exception):
    """As ray.exceptions has them."""


class NodeDiedError(RayError):
    """A node was lost."""


class WorkerCrashedError(RayError):
    """A worker was lost."""


class LocalRayletDiedError(RayError):
    """The study's own node was lost."""


class OutOfMemoryError(RayError):
    """A node killed a task."""


class Fake:
    """What the module's functions share: `answers` says what comes of a task's n-th start, by the task's name."""

    def __init__(self, answers: Callable[[str, int], Any], nodes: list[dict[str, Any]]) -> None:
        self.answers, self.nodes = answers, nodes
        self.starts: list[tuple[str, Any]] = []
        self.options: list[dict[str, Any]] = []
        self.cancelled: list[tuple[str, bool]] = []
        self.mailbox = Mailbox()
        self.killed = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Fake:
        """Puts the stand-in in the package's place."""
        ray, strategies, exceptions = ModuleType("ray"), ModuleType("strategies"), ModuleType("ray.exceptions")
        for error in (RayError, NodeDiedError, WorkerCrashedError, LocalRayletDiedError, OutOfMemoryError):
            setattr(exceptions, error.__name__, error)
        strategies.NodeAffinitySchedulingStrategy = lambda *a, **k: None  # type: ignore[attr-defined]
        for name in ("wait", "get", "cancel", "kill", "remote"):
            setattr(ray, name, getattr(self, f"_{name}"))
        ray.nodes = lambda: self.nodes  # type: ignore[attr-defined]
        ray.exceptions = exceptions  # type: ignore[attr-defined]
        ray.get_runtime_context = lambda: SimpleNamespace(get_node_id=lambda: "here")  # type: ignore[attr-defined]
        for name, module in (
            ("ray", ray),
            ("ray.exceptions", exceptions),
            ("ray.util", ModuleType("ray.util")),
            ("ray.util.scheduling_strategies", strategies),
        ):
            monkeypatch.setitem(sys.modules, name, module)
        return self

    def _remote(self, *given: Any, **options: Any) -> Any:
        if given and given[0] is Mailbox:
            actor = SimpleNamespace()
            for name in ("take", "put", "end"):
                call = getattr(self.mailbox, name)
                setattr(actor, name, SimpleNamespace(remote=lambda *a, call=call: ("call", call(*a))))
            return SimpleNamespace(options=lambda **k: SimpleNamespace(remote=lambda: actor))
        return lambda function: SimpleNamespace(options=lambda **k: SimpleNamespace(remote=self._starter(k)))

    def _starter(self, options: dict[str, Any]) -> Callable[..., Any]:
        def start(parcel: Any, mailbox: Any) -> Any:
            self.options.append(options)
            self.starts.append((options["name"], parcel))
            attempt = sum(name == options["name"] for name, _ in self.starts)
            return ("task", options["name"], attempt, len(self.starts) - 1)

        return start

    def _wait(self, references: list[Any], num_returns: int = 1, timeout: float | None = None) -> Any:
        ended = [each for each in references if self._answer(each) is not None]
        return ended[:num_returns], [each for each in references if each not in ended[:num_returns]]

    def _answer(self, reference: Any) -> Any:
        answer = self.answers(reference[1], reference[2])
        return answer(self.starts[reference[3]][1], self.mailbox) if callable(answer) else answer

    def _get(self, reference: Any, timeout: float | None = None) -> Any:
        if reference[0] == "call":
            return reference[1]
        answer = self._answer(reference)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _cancel(self, reference: Any, force: bool = False) -> None:
        self.cancelled.append((reference[1], force))

    def _kill(self, actor: Any) -> None:
        self.killed = True


def node(cpus: float, memory: int = 10**10, gpus: float = 0, alive: bool = True, name: str = "n1") -> dict[str, Any]:
    """A node as `ray.nodes()` lists it."""
    has = {"CPU": cpus, "memory": memory, **({"GPU": gpus} if gpus else {})}
    return {"NodeID": name, "NodeManagerHostname": name, "Alive": alive, "Resources": has}
