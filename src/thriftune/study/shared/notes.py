"""What a run's parent process notes of it while it is under way, for `thriftune status` elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from thriftune.results.files import write_text
from thriftune.results.json_text import json_text
from thriftune.results.plain import record_from, values_of
from thriftune.study.events import Event, Listener, RunFinished, RunProgress, RunStarted
from thriftune.study.run.job import Job
from thriftune.study.shared.presence import Presence, shared_folder

NOTE_SECONDS = 5.0
"""Between two notes of one run, unless its stage changes."""


@dataclass(frozen=True)
class Note:
    """`OUT/.work/shared/now/RUN_ID.json`."""

    run_id: str
    name: str
    host: str
    pid: int
    """Of the process that started the run's own."""
    token: str
    """Of its file among the members."""
    since: float
    """When the run began, by that machine's clock: seconds since 1970."""
    at: float
    """When this was written, by the same."""
    stage: str = "starting"
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    seconds_left: float | None = None
    """By the run's speed so far."""
    predicted_seconds: float | None = None


def notes_folder(out: Path) -> Path:
    """`OUT/.work/shared/now`."""
    return shared_folder(out) / "now"


def read_notes(out: Path) -> list[Note]:
    """The notes that are there and whole."""
    from thriftune.results.files import parse_json

    found = []
    for path in sorted(notes_folder(out).glob("*.json")):
        with suppress(OSError, ValueError):
            found.append(record_from(Note, parse_json(path.read_bytes())))
    return found


def noting(listen: Listener, out: Path, presence: Presence, jobs: Mapping[str, Job]) -> Listener:
    """A listener that passes on what it is told, and notes it of runs under way; a folder that is full costs no run."""
    notes: dict[str, Note] = {}

    def write(note: Note) -> None:
        notes[note.name] = note
        with suppress(OSError):
            write_text(notes_folder(out) / f"{note.run_id}.json", json_text(values_of(note)), durable=False)

    def tell(event: Event) -> None:
        now, me = time.time(), presence.me
        match event:
            case RunStarted(name) if name in jobs:
                write(Note(jobs[name].run_id, name, me.host, me.pid, me.token, now, now))
            case RunProgress(name, stage) if name in notes:
                last = notes[name]
                if stage != last.stage or now - last.at >= NOTE_SECONDS:
                    begun = (last.run_id, name, me.host, me.pid, me.token, last.since, now)
                    at = (event.epoch, event.epochs, event.step, event.steps, event.seconds_left)
                    write(Note(*begun, stage, *at))
            case RunFinished(name) if name in notes:
                with suppress(OSError):
                    (notes_folder(out) / f"{notes.pop(name).run_id}.json").unlink(missing_ok=True)
        listen(event)

    return tell
