"""A thread that brings to the folder elsewhere what a study has done, while the study goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import PurePosixPath

from thriftune.errors import InputError
from thriftune.remote.copy import WorkingCopy
from thriftune.remote.lock import RemoteLock
from thriftune.remote.manifest import Entries, unit_of
from thriftune.remote.objects import Objects
from thriftune.remote.push import Pushed, push

CHECKPOINTS_EVERY = 300.0
"""Seconds between pushes of the checkpoints of runs under way."""


class Pusher:
    """Pushes when it is told to, and again at the next time where that failed; it raises nothing while it runs."""

    def __init__(self, copy: WorkingCopy, objects: Objects, lock: RemoteLock, known: Entries) -> None:
        self._copy, self._objects, self._lock, self._known = copy, objects, lock, known
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._notices: list[str] = []
        self._checkpoints = time.monotonic()
        self.sent = Pushed()
        self.behind = False
        """Whether the last push failed."""
        self.lost = False
        """Whether another process has taken the lock: nothing is pushed any more."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="thriftune-push")
        self._thread.start()

    def ask(self) -> None:
        """Has what is done pushed, soon."""
        self._asked.set()

    def ask_for_checkpoints(self) -> None:
        """The same, where checkpoints are due."""
        if time.monotonic() - self._checkpoints >= CHECKPOINTS_EVERY:
            self._asked.set()

    def notices(self) -> list[str]:
        """What is to be said, once."""
        said, self._notices = self._notices, []
        return said

    def finish(self, patient: bool = True) -> InputError | None:
        """Ends the thread and pushes everything that is left; returns why it could not. Without patience tries once."""
        self._ended.set()
        self._asked.set()
        if not patient:
            self._objects.waits = ()
        self._thread.join()
        return self._push(lambda name: True)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._ended.is_set():
                return
            due = time.monotonic() - self._checkpoints >= CHECKPOINTS_EVERY
            if due:
                self._checkpoints = time.monotonic()
            was_behind = self.behind
            error = self._push(self._settled(due))
            if error is not None and not was_behind:
                self._notices.append(
                    f"{error} The study goes on; its results are in {self._copy.folder}. Pushing is tried again after "
                    "every run."
                )
            elif error is None and was_behind:
                self._notices.append(f"{self._objects.name} is reached again, and has what is done.")

    def _push(self, wanted: Callable[[str], bool]) -> InputError | None:
        """Pushes and returns why that failed."""
        try:
            if self.lost or not self._lock.held():
                self.lost = self.behind = True
                return InputError(f"{self._objects.name} is written to by another thriftune now, so nothing is pushed.")
            self.sent += push(self._copy, self._objects, self._known, wanted)
            self.behind = False
        except InputError as error:
            self.behind = True
            return error
        except OSError as error:
            self.behind = True
            return InputError(f"{self._copy.folder} cannot be read ({error.strerror}), so nothing is pushed.")
        return None

    def _settled(self, checkpoints: bool) -> Callable[[str], bool]:
        """Which files may be pushed while a study goes on: not those of runs under way, but for their checkpoints."""

        def wanted(name: str) -> bool:
            unit, parts = unit_of(name), PurePosixPath(name).parts
            if parts[0] == "runs" and len(parts) > 2:
                whole = (self._copy.folder / unit / "run.json").exists()
                return whole or (checkpoints and parts[2] == "checkpoint")
            return parts[0] not in ("best", "refit")

        return wanted
