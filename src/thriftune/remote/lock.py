"""Who writes to a folder elsewhere: one process at a time, by an object in it with an owner and a heartbeat.

The object is made where none is, which S3, GCS and memory do for one of several at once. A lock without a sign of life
for `DEAD` seconds, or of a process of this machine that is gone, is taken over. So no two writers are let in at once
where clocks agree within minutes; one that was suspended for longer finds at its next push that it lost the lock, and
pushes no more.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass

from thriftune.endings import is_there
from thriftune.errors import InputError
from thriftune.remote.objects import Objects, UnreachableError

NAME = ".thriftune/lock.json"
BEAT = 30.0
"""Seconds between signs of life."""
DEAD = 300.0
"""Seconds without one after which a writer counts as gone."""


@dataclass(frozen=True)
class Owner:
    """What the lock's object says."""

    token: str
    host: str
    process: int
    seen: float
    """Unix time of the last sign of life, by its machine's clock."""

    def gone(self, now: float) -> bool:
        """Whether it lives no more, as far as can be told from here."""
        if now - self.seen > DEAD:
            return True
        return self.host == socket.gethostname() and not is_there(self.process)


class RemoteLock:
    """A folder's lock, held from `acquire` to `release`; a thread of its own gives the signs of life."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Takes the lock; raises `InputError` where another process has it, `UnreachableError` where none can be."""
        if not self._objects.create(NAME, self._text()):
            owner = self.owner()
            if owner is not None and owner.token != self._token and not owner.gone(time.time()):
                ago = max(0, round(time.time() - owner.seen))
                raise InputError(
                    f"Another thriftune is writing to {self._objects.name}: process {owner.process} on {owner.host}, "
                    f"last seen {ago} s ago. Wait for it; what gave no sign for {DEAD / 60:.0f} minutes is no longer "
                    "waited for."
                )
            self._objects.write(NAME, self._text())
            if not self.held():
                raise InputError(f"Another thriftune has begun to write to {self._objects.name}. Wait for it.")
        self._thread = threading.Thread(target=self._beat, daemon=True, name="thriftune-remote-lock")
        self._thread.start()

    def held(self) -> bool:
        """Whether the lock is still this process's."""
        owner = self.owner()
        return owner is not None and owner.token == self._token

    def release(self) -> None:
        """Gives it back; where the folder cannot be reached it lapses by itself."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(BEAT)
        try:
            if self.held():
                self._objects.delete(NAME)
        except UnreachableError:
            return

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                if not self.held():
                    return
                self._objects.write(NAME, self._text())
            except UnreachableError:
                continue  # the network may come back before the lock has lapsed

    def owner(self) -> Owner | None:
        """Whose it is; None where it is nobody's."""
        found = self._objects.read(NAME)
        if found is None:
            return None
        try:
            return Owner(**json.loads(found))
        except (ValueError, TypeError):
            return Owner("", "unknown", 0, 0.0)  # cut short: nobody's

    def _text(self) -> bytes:
        return json.dumps(asdict(Owner(self._token, socket.gethostname(), os.getpid(), time.time()))).encode()
