"""Between the study and the nodes: progress comes in, and the word that the study has ended goes out.

It is a Ray actor on the study's own node, so that no other node's loss takes it along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thriftune.study.events import Notice, RunLooked, RunProgress, RunTold, SearchProgress


@dataclass(frozen=True)
class Began:
    """A task runs; where."""

    node: str
    """The node's id in the cluster."""
    host: str
    at: float
    """By the node's clock."""


Told = Began | RunTold | SearchProgress


@dataclass(frozen=True)
class Message:
    """What a task tells; `attempt` counts its starts, so that nothing is heard of one that was given up."""

    task: int
    attempt: int
    told: Told


class Mailbox:
    """Keeps messages until they are taken, in the order in which they came."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._ended = False

    def put(self, messages: list[Message]) -> bool:
        """Takes messages in; whether the study has ended, and with it the one who tells."""
        self._messages += messages
        return self._ended

    def take(self) -> list[Message]:
        """Gives what has come since the last time."""
        found, self._messages = self._messages, []
        return found

    def end(self) -> None:
        """From now on every task that tells something hears that it is to end."""
        self._ended = True


class Unsent:
    """What a task has to tell and has not told yet: of each epoch, or trial, the last word alone."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Any, ...], Told] = {}

    def add(self, told: Told) -> None:
        """Keeps it, in place of what it is the next word of."""
        self._waiting.pop(_subject(told), None)
        self._waiting[_subject(told)] = told

    def taken(self) -> list[Told]:
        """All of it, oldest first; nothing is kept."""
        found, self._waiting = self._waiting, {}
        return list(found.values())


def _subject(told: Told) -> tuple[Any, ...]:
    match told:
        case RunProgress():
            return told.stage, told.epoch, told.tried_rate
        case RunLooked():
            return "looked", told.step, told.tried_rate
        case SearchProgress():
            return "search", told.trial, told.epoch
        case Notice(text):
            return "notice", text
    return ("began",)
