"""When a run's checkpoints are written, and what the last one gave back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from thriftune.engine.resume import folder as on_disk
from thriftune.engine.resume.folder import CheckpointInfo
from thriftune.engine.resume.reached import Reached, ReachedFile, read_reached
from thriftune.engine.resume.state import State, read_state, write_state
from thriftune.results.files import DamagedError, delete, sha256
from thriftune.wording import listing

RAREST = 10
"""A checkpoint that holds training up comes no sooner than after so many times as long."""


@dataclass(frozen=True)
class Place:
    """Where training stands when a checkpoint is written."""

    steps: int
    """Of the training under way."""
    most_steps: int


class Checkpoints:
    """A run's checkpoints, written between two steps and read when the run starts again.

    What a run consists of is provided in parts, by name. A write takes the parts' tensors from where they lie into the
    system's file cache, with no copy in this process's memory; hashes and the disk are a thread's work, while training
    goes on. Where a disk is full or cannot be written, training goes on without.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], every: float, say: Callable[[str], None]) -> None:
        self._path, self._identity, self._every, self._say = path, dict(identity), every, say
        self._parts: dict[str, Callable[[], State]] = {}
        self._files: list[Path] = []
        self._hashes: dict[tuple[int, int, int], str] = {}
        self._thread: threading.Thread | None = None
        self._trouble: Exception | None = None
        self._told: set[str] = set()
        self._opened = time.perf_counter()
        self._last: float | None = None
        self._took = self._blocked = 0.0
        self.notes: list[str] = []
        """Of this and of earlier parts of the run, for its record."""
        self.reached = Reached()
        self.seconds = 0.0
        """That training waited for checkpoints."""
        self.count = 0
        """Checkpoints that were written."""
        self._restored = self._open()
        self._reached_file = ReachedFile(path)
        self._reached_file.write(self.reached)

    @property
    def resuming(self) -> bool:
        """Whether there is a state that nobody has taken yet."""
        return bool(self._restored)

    def take(self, name: str) -> State | None:
        """A part of the checkpoint that the run goes on from, once; None where there is none."""
        found: State | None = self._restored.pop(name, None)
        if found is not None and not self._restored:
            seconds = time.perf_counter() - self._opened
            self.reached = replace(self.reached, uncounted=self.reached.uncounted + seconds)
        return found

    def provide(self, name: str, part: Callable[[], State]) -> None:
        """Names a part of what is written from now on; a later one of the same name takes its place."""
        self._parts[name] = part

    def drop(self, name: str) -> None:
        """The part is over; nothing refers to it any more."""
        self._parts.pop(name, None)

    def keep(self, file: Path) -> None:
        """Names a file of the run's folder that belongs to its state, where it exists; puts it back where one does.

        It must be replaced by renaming another one, never written in place.
        """
        if file not in self._files:
            self._files.append(file)
            if self._from is not None and (self._from / file.name).exists():
                on_disk.link(self._from / file.name, file)

    def started(self) -> None:
        """Before steps: the time until the first checkpoint counts from the first of them."""
        self._last = self._last or time.perf_counter()

    def stepped(self, seconds: float) -> None:
        """After a step, with the seconds since the timed part that it belongs to began."""
        done = self.reached
        self.reached = replace(done, steps=done.steps + 1)
        self._reached_file.write(replace(self.reached, seconds=done.seconds + seconds))

    def trained(self, seconds: float) -> None:
        """After a timed part."""
        self.reached = replace(self.reached, seconds=self.reached.seconds + seconds)

    def due(self) -> bool:
        """Whether so much time has passed that the next checkpoint, when it is written, is in time."""
        wait = max(self._every - self._took, self._every / 2, RAREST * self._blocked)
        return self._last is not None and time.perf_counter() - self._last >= wait

    def write(self, place: Place) -> None:
        """Takes all parts as they are now; the checkpoint is there soon after (`close` waits for it)."""
        self._join()
        started = time.perf_counter()
        unfinished: Path | None = None
        try:
            unfinished = on_disk.begin(self._path)
            before = on_disk.numbered(self._path)
            for file in self._files:
                if file.exists():
                    on_disk.link(file, unfinished / file.name, before[-1] / file.name if before else None)
            write_state(unfinished, {name: part() for name, part in self._parts.items()} | {"own": self._own()})
        except OSError as error:
            if unfinished is not None:
                delete(unfinished)
            self._failed(error)
        else:
            about = {
                "identity": self._identity,
                "steps": place.steps,
                "most_steps": place.most_steps,
                "written": time.time(),
                "trained_steps": self.reached.steps,
                "trained_seconds": self.reached.seconds,
            }
            self._thread = threading.Thread(target=self._finish, args=(unfinished, about, started), name="checkpoint")
            self._thread.start()
        self._last = started
        self._blocked = time.perf_counter() - started
        self.seconds += self._blocked

    def close(self) -> None:
        """Waits until the last checkpoint is on the disk, and lets go of all parts."""
        self._join()
        self._parts.clear()
        self._reached_file.close()

    def _own(self) -> State:
        """What this object itself goes on with."""
        own = {"notes": self.notes, "seconds": self.seconds, "count": self.count, "circumstances": circumstances()}
        return own | {"resumed": self.reached.resumed, "uncounted": self.reached.uncounted}

    def _finish(self, unfinished: Path, about: Mapping[str, Any], started: float) -> None:
        try:
            on_disk.finish(unfinished, about, {file.name: self._hash(unfinished / file.name) for file in self._files})
            self.count += 1
            self._took = time.perf_counter() - started
        except Exception as error:  # noqa: BLE001 - told by the thread that trains
            with suppress(OSError):
                delete(unfinished)
            self._trouble = error

    def _hash(self, path: Path) -> str:
        """Of a kept file, once for each content; empty where there is none."""
        if not path.exists():
            return ""
        about = path.stat()
        key = (about.st_ino, about.st_size, about.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = sha256(path)
        return self._hashes[key]

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        trouble, self._trouble = self._trouble, None
        if isinstance(trouble, OSError):
            self._failed(trouble)
        elif trouble is not None:
            raise trouble

    def _failed(self, error: OSError) -> None:
        why = error.strerror or str(error)
        if why not in self._told:
            self._told.add(why)
            self._tell(f"A checkpoint could not be written ({why}); training went on without.")

    def _tell(self, note: str) -> None:
        self.notes.append(note)
        self._say(note)

    def _open(self) -> State:
        """The state of the newest checkpoint that is whole and this run's; what cannot be used goes."""
        self._from: Path | None = None
        on_disk.sweep(self._path)
        told: list[str] = []
        state: State = {}
        for path in reversed(on_disk.numbered(self._path)):
            try:
                info = on_disk.checked(path)
                if differing := self._differing(info):
                    told.append(f"A checkpoint was not used: it has another {listing(differing)}.")
                else:
                    state = read_state(path)
                    self._from = path
                    break
            except DamagedError as error:
                told.append(f"Checkpoint {path.name} was not used: {error.path.name} is damaged: {error.why}.")
            delete(path)
        if self._from is not None:
            self._go_on(info, state.pop("own"))
        for note in told:
            self._tell(note if state else f"{note} Training started anew.")
        return state

    def _differing(self, info: CheckpointInfo) -> list[str]:
        keys = sorted(self._identity.keys() | info.identity.keys())
        return [key.replace("_", " ") for key in keys if self._identity.get(key) != info.identity.get(key)]

    def _go_on(self, info: CheckpointInfo, own: State) -> None:
        self.notes, self.seconds, self.count = list(own["notes"]), own["seconds"], own["count"]
        before = Reached(info.trained_steps, info.trained_seconds, own["resumed"], own["uncounted"])
        last = read_reached(self._path) or before
        lost = max(0.0, last.seconds - before.seconds)
        self.reached = replace(before, resumed=last.resumed + 1, uncounted=last.uncounted + lost)
        now = circumstances()
        changed = [key for key in now if own["circumstances"].get(key) != now[key]]
        if changed:
            were = listing([f"{key} was {own['circumstances'].get(key)}, now {now[key]}" for key in changed])
            self._tell(
                f"Training went on under other circumstances ({were}): its numbers are rounded otherwise than those of "
                "one that was not interrupted."
            )


def circumstances() -> dict[str, Any]:
    """What rounds numbers otherwise, and makes no result wrong."""
    found: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        found["GPU"] = torch.cuda.get_device_name()
    return found
