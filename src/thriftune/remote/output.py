"""The output folder of a command that writes: a folder here, or the copy of one elsewhere, which is kept up with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from thriftune.errors import InputError
from thriftune.remote.copy import WorkingCopy, opened
from thriftune.remote.lock import RemoteLock
from thriftune.remote.objects import AT_FIRST, WAITS, Objects
from thriftune.remote.pull import Wanted, look, pull
from thriftune.remote.push import Pushed
from thriftune.remote.pusher import Pusher
from thriftune.remote.url import place_of

Say = Callable[[str], None]


class Output:
    """Where a command writes."""

    def __init__(self, path: Path, pusher: Pusher | None = None, name: str = "") -> None:
        self.path = path
        """The folder here."""
        self.name = name or str(path)
        """What the user calls it."""
        self._pusher = pusher
        self.error: InputError | None = None
        """Why what is in the folder here is not elsewhere; None where it is, or where it belongs here."""

        self.changed = False
        """Whether anything was pushed, or was to be."""

    @property
    def elsewhere(self) -> bool:
        """Whether the folder is the copy of one elsewhere."""
        return self._pusher is not None

    def ask(self, checkpoints: bool = False) -> list[str]:
        """Has what is done pushed soon, or the checkpoints of what is under way where they are due.

        Returns what is to be said, once.
        """
        if self._pusher is None:
            return []
        if checkpoints:
            self._pusher.ask_for_checkpoints()
        else:
            self._pusher.ask()
        return self._pusher.notices()

    def push(self, patient: bool = True) -> str | None:
        """Pushes what is left, and says how that went; None for a folder here."""
        if self._pusher is None:
            return None
        pusher, self._pusher = self._pusher, None
        self.error = pusher.finish(patient)
        self.changed = self.error is not None or pusher.sent != Pushed()
        return self._failed(self.error) if self.error is not None else self._said(pusher.sent)

    def _said(self, sent: Pushed) -> str:
        from thriftune import wording as f

        if not sent.files and not sent.deleted:
            return f"{self.name} has everything already."
        return f"Pushed to {self.name}: {f.plural(sent.files, 'file')}, {f.size(sent.bytes)}."

    def _failed(self, error: InputError) -> str:
        return (
            f"Not pushed: {error} Everything is in {self.path}. The same command pushes it when {self.name} can be "
            f"reached, and so does: thriftune report {self.name}"
        )


@contextmanager
def output(out: Path | str, say: Say, wanted: Wanted = lambda name, size: True) -> Iterator[Output]:
    """The folder to write to. One elsewhere is locked, and its wanted files are here first, however old the copy is.

    What was not pushed at the end is pushed then, where that is possible at once, and `say` is told. Raises
    `InputError` before anything is computed where the place cannot be read and written, or another process has it.
    """
    place = place_of(out)
    if isinstance(place, Path):
        yield Output(place)
        return
    objects, copy = Objects(place, AT_FIRST), opened(place)
    with copy.alone() as alone:
        if not alone:
            raise InputError(f"Another thriftune on this machine is writing to {objects.name}. Wait for it.")
        lock = RemoteLock(objects)
        lock.acquire()
        try:
            found = Output(copy.folder, _filled(copy, objects, lock, wanted, say), objects.name)
            try:
                yield found
            finally:
                if (said := found.push(patient=False)) is not None and found.changed:
                    say(said)
        finally:
            lock.release()


def _filled(copy: WorkingCopy, objects: Objects, lock: RemoteLock, wanted: Wanted, say: Say) -> Pusher:
    there = look(objects)
    if there.sizes:
        say(f"Reading {objects.name} ({len(there.sizes):,} files) into {copy.folder} ...")
    for name in pull(copy, objects, there, wanted):
        say(f"{objects.name}/{name} is not what was pushed there, and is not used.")
    objects.waits = WAITS
    return Pusher(copy, objects, lock, dict(there.known))
