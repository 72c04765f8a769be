"""Which processes are at a study's folder: each has a small file there that it touches while it lives."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from thriftune.errors import InputError
from thriftune.study.folder import WORK
from thriftune.study.shared.holder import BEATS, LEASE_SECONDS, Heard, Holder, heard, myself

SHARED = "shared"
"""Folder in OUT/.work for what processes tell each other."""
MEMBERS = "members"
SHOWN = 3


def shared_folder(out: Path) -> Path:
    """`OUT/.work/shared`."""
    return out / WORK / SHARED


class Presence:
    """This process's file in a folder, and its heartbeat, a thread that touches it and the leases that it holds."""

    def __init__(self, out: Path, kind: str, seconds: float = LEASE_SECONDS) -> None:
        self.out = out
        self.me = myself(kind, time.time(), seconds)
        self.folder = shared_folder(out) / MEMBERS
        self.path = self.folder / self.me.token
        self._beaten: dict[str, tuple[Path, Callable[[], bool]]] = {}
        self._heard: dict[str, float] = {}
        self._lost: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def begin(self) -> None:
        """Writes the file, and keeps it young."""
        self.write()
        self._thread.start()

    def write(self) -> None:
        """Writes the file anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(self.me.text)

    def join(self, session: str) -> None:
        """Says of which plan this process makes runs."""
        self.me = replace(self.me, session=session)
        self.write()

    def end(self) -> None:
        """Takes the file away, and the folders where nobody else has one."""
        self._over.set()
        self._thread.join()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            for folder in (self.folder, self.folder.parent, self.folder.parent.parent):
                folder.rmdir()

    def now(self) -> float:
        """The time by the file system's clock, which all machines that use it share; seconds since 1970."""
        for _ in range(5):
            try:
                os.utime(self.path)
                found = heard(self.path)
            except FileNotFoundError:
                found = None
            if found is not None:
                return found.at
            self.write()
        raise OSError(f"{self.path} goes as often as it is written")

    def others(self) -> list[Holder]:
        """Processes at the folder that live, but for this one; files of dead ones go."""
        return [each.holder for each in living(self.folder, self.now(), sweep=True, but=self.path) if each.holder]

    def hold(self, key: str, path: Path, superseded: Callable[[], bool]) -> None:
        """From now on the heartbeat touches a file as well, unless it is gone or superseded: then it is lost."""
        with self._lock:
            self._beaten[key] = path, superseded
            self._heard[key] = time.monotonic()
            self._lost.discard(key)

    def let_go(self, key: str) -> None:
        """The contrary."""
        with self._lock:
            self._beaten.pop(key, None)
            self._lost.discard(key)

    def lost(self) -> set[str]:
        """What was held and is another's now."""
        with self._lock:
            return set(self._lost)

    def _beat(self) -> None:
        while not self._over.wait(self.me.seconds / BEATS):
            with suppress(OSError):
                os.utime(self.path)
            with self._lock:
                held = list(self._beaten.items())
            for key, (path, superseded) in held:
                self._renew(key, path, superseded)

    def _renew(self, key: str, path: Path, superseded: Callable[[], bool]) -> None:
        gone = False
        try:
            os.utime(path)
            gone = superseded()
            if not gone:
                self._heard[key] = time.monotonic()
        except FileNotFoundError:
            gone = True
        except OSError:  # a file system that does not answer: after too long others take it for dead
            gone = time.monotonic() - self._heard[key] > self.me.seconds
        if gone:
            with self._lock:
                if key in self._beaten:
                    self._lost.add(key)


def living(folder: Path, now: float, sweep: bool = False, but: Path | None = None) -> list[Heard]:
    """Files of processes that live, by the folder that they are in."""
    found = []
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        each = heard(path)
        if path == but or each is None:
            continue
        if each.alive(now):
            found.append(each)
        elif sweep:
            with suppress(OSError):
                path.unlink()
    return found


@contextmanager
def alone_at(out: Path) -> Iterator[Presence]:
    """A `compare` in a folder that no `work` is at; raises `InputError` where one is."""
    presence = Presence(out, "compare")
    presence.begin()
    try:
        others = [each for each in presence.others() if each.kind == "work"]
        if others:
            raise InputError(
                f"{_count(others)} at the study in {out} ({named(others)}). Wait for their end, or take part with "
                f"`thriftune work {out}`."
            )
        yield presence
    finally:
        presence.end()


@contextmanager
def at_work_in(out: Path, seconds: float) -> Iterator[Presence]:
    """One of several processes that make a study's runs; raises `InputError` where a `compare` has the folder alone."""
    presence = Presence(out, "work", seconds)
    presence.begin()
    try:
        others = [each for each in presence.others() if each.kind == "compare"]
        if others:
            raise InputError(
                f"`thriftune compare` is writing to {out} ({named(others)}) and shares it with nobody. Wait for its "
                "end; to share a study start all of its processes with `thriftune work`."
            )
        yield presence
    finally:
        presence.end()


def named(holders: list[Holder]) -> str:
    """ "node1, process 7; node2, process 9; 3 more"."""
    words = [each.words for each in holders[:SHOWN]]
    return "; ".join([*words, f"{len(holders) - SHOWN} more"] if len(holders) > SHOWN else words)


def _count(holders: list[Holder]) -> str:
    one = len(holders) == 1
    return f"{'One process' if one else f'{len(holders)} processes'} of `thriftune work` {'is' if one else 'are'}"
