"""`thriftune status`: where a study stands, while it runs here or elsewhere, and when nothing runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from thriftune.cli.options import AsJson, ResultsFolder
from thriftune.cli.output import print_json
from thriftune.errors import printable
from thriftune.wording import plural

if TYPE_CHECKING:
    from thriftune.study.shared.standing import RunStanding, Standing

EXAMPLES = ["thriftune status results", "thriftune status results --json"]
STATES = {"running": "running", "waiting": "waiting", "left": "left", "failed": "failed", "done": "done"}


def status(results: ResultsFolder, as_json: AsJson = False) -> None:
    """Show which runs of a study are done, running (where, and how far), waiting, failed or left, and the time left.

    Only the folder is read: the study may run in another terminal or on other machines, or not at all.
    """
    from dataclasses import asdict, replace

    from thriftune.paths import named, user_path
    from thriftune.remote.reading import records_here, writer_of
    from thriftune.study.shared.standing import study_standing

    here = records_here(results)
    found = study_standing(user_path(str(here)))
    found = replace(found, folder=named(here))
    if as_json:
        print_json(asdict(found))
        return
    for line in lines(found, time.time()):
        typer.echo(printable(line))
    if (writer := writer_of(results)) is not None:
        typer.echo(printable(writer))


def lines(found: Standing, now: float) -> list[str]:
    """What is printed: counts, processes, a line for each run that is not done, and the time left."""
    if found.name is None:
        return [f"A study is being prepared in {found.folder}.", *_processes(found, now)]
    counts = ", ".join(f"{found.counts[state]} {word}" for state, word in STATES.items() if state in found.counts)
    out = [f"{found.name} in {found.folder}: {plural(len(found.runs), 'run')}, {counts}."]
    if found.preparing:
        out.append("It is being prepared.")
    out += _processes(found, now)
    order = list(STATES)
    out += [f"  {_line(run, now)}" for run in sorted(found.runs, key=lambda run: order.index(run.state))]
    return [*out, *_left(found)]


def _processes(found: Standing, now: float) -> list[str]:
    return [f"At it: {each.kind} on {each.words}, for {_clock(now - each.since)}." for each in found.processes]


def _line(run: RunStanding, now: float) -> str:
    from thriftune import wording as f

    parts = [run.state if run.state != "failed" else (run.status or "failed").replace("_", " ")]
    if run.state == "running":
        parts.append(f"on {run.host}, process {run.pid}, for {_clock(now - (run.since or now))}")
        parts += [run.stage] if run.stage else []
        parts += [f"epoch {run.epoch}/{run.epochs}"] if run.epoch and run.epochs else []
        parts += [f"step {run.step:,} of {run.steps:,}"] if run.step and run.steps else []
    if run.checkpoint_step is not None:
        parts.append(f"checkpoint at step {run.checkpoint_step:,}")
    if run.seconds_left is not None and run.state != "done":
        parts.append(f"about {_clock(run.seconds_left)} {'left' if run.state == 'running' else 'to go'}")
    if run.accuracy is not None:
        parts.append(f"accuracy {f.percent(run.accuracy)}")
    if run.message and run.state == "failed":
        parts.append(run.message)
    return f"{run.name}: {', '.join(parts)}"


def _left(found: Standing) -> list[str]:
    from thriftune.study.forecast.duration import about

    open_ = sum(found.counts.get(state, 0) for state in ("running", "waiting", "left"))
    if not open_:
        return []
    go_on = [] if found.processes else [f"Nothing runs. To go on: thriftune compare {found.folder}"]
    if found.seconds_left is None:
        return [f"How long {plural(open_, 'run')} will take is not known.", *go_on]
    text = f"Expected: about {about(found.seconds_left)} of runs"
    if found.at_once > 1:
        text += f", {about(found.seconds_left / found.at_once)} with {found.at_once} at once"
    if found.unknown:
        text += f"; of {plural(found.unknown, 'run')} it is not known"
    return [f"{text}.", *go_on]


def _clock(seconds: float) -> str:
    from thriftune.progress import clock

    return clock(max(0.0, seconds))
