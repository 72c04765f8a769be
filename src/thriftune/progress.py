"""Shows a running study: a live table on a terminal, plain lines everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from thriftune import wording as f
from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch
from thriftune.study.events import (
    Event,
    Expected,
    Notice,
    RunFinished,
    RunProgress,
    RunStarted,
    SearchFinished,
    SearchProgress,
    Stage,
    StudyPlanned,
)
from thriftune.terminal import PlainConsole

Listener = Callable[[Event], None]

COLUMNS = ("Run", "Status", "Epoch", "Loss", "Samples/s", "Memory", "Time", "Acc.")
STATUS_WIDTH = len("evaluating")


@contextmanager
def display(console: Console | None = None) -> Iterator[Listener]:
    """A listener for a study's events, on standard error unless a console is given."""
    console = console or PlainConsole(stderr=True, markup=False, highlight=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainLines(lambda line: print(line, file=console.file, flush=True))
        return
    table = LiveTable(console)
    live = Live(get_renderable=table.render, console=console, refresh_per_second=4)
    live.start()
    try:
        yield table
    finally:
        with suppress(OSError):  # the terminal was closed: what was computed is not lost for that
            live.stop()


def said(event: Event) -> list[str]:
    """What is said of an event, in lines, on a terminal and elsewhere alike."""
    match event:
        case StudyPlanned(_, _, warnings):
            return [f"! {f.one_line(warning)}" for warning in warnings]
        case Expected():
            return [expected_text(event)]
        case Notice(text):
            return [text]
        case SearchFinished(search, reused):
            return [search_outcome(search, reused)]
    return []


class PlainLines:
    """One line per run and search started and finished, per stage and per epoch; no control characters."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._stage = ""
        self._searched = ""
        self._places: dict[str, str] = {}
        self._last: dict[str, RunProgress] = {}

    def __call__(self, event: Event) -> None:
        """Writes what the event adds."""
        for line in said(event):
            self._write(line)
        match event:
            case StudyPlanned(names, reused):
                done = f", {len(reused)} of them done before" if reused else ""
                self._write(f"{f.plural(len(names), 'run')}{done}")
            case Stage(text) if text != self._stage:
                self._stage = text
                self._write(text)
            case SearchProgress(name) if name != self._searched:
                self._searched = name
                self._write(search_line(event))
            case RunStarted(name, index, total):
                self._last.pop(name, None)
                self._places[name] = f"[{index}/{total}] "
                self._write(f"{self._places[name]}{name}: started")
            case RunProgress(name):
                if name in self._last and _place(event) != _place(self._last[name]):
                    self._flush(name)
                self._last[name] = event
            case RunFinished(name, record, reused):
                self._flush(name)
                self._last.pop(name, None)
                self._write(f"{'' if reused else self._places.get(name, '')}{name}: {outcome(record, reused)}")

    def _flush(self, name: str) -> None:
        """Writes the line of the epoch of a run that has just ended."""
        last = self._last.get(name)
        if last is None or last.stage != "training" or last.epoch is None:
            return
        parts = [] if last.tried_rate is None else [f"trying rate {last.tried_rate:g}"]
        parts.append(f"epoch {_of(last.epoch, last.epochs)}")
        if last.loss is not None:
            parts.append(f"loss {last.loss:.4f}")
        if last.samples_per_second is not None:
            parts.append(f"{f.number(last.samples_per_second)} samples/s")
        if last.memory_bytes is not None:
            parts.append(f.size(last.memory_bytes))
        if last.seconds_left:
            parts.append(f"{clock(last.seconds_left)} left")
        self._write(f"{self._places.get(name, '')}{name}: {', '.join(parts)}")


@dataclass(frozen=True)
class Row:
    """What the live table knows of one run."""

    name: str
    status: str = "waiting"
    progress: RunProgress | None = None
    record: RunRecord | None = None


class LiveTable:
    """One row per run: what runs now, and accuracy and time of what has finished."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, Row] = {}
        self._current: dict[str, None] = {}
        """Names of the runs under way, in the order of their starts; where none is, the one that ended last."""
        self._stage: Stage | None = None

    def __call__(self, event: Event) -> None:
        """Takes the event in; the table is drawn by the clock."""
        for line in said(event):
            self._console.print(Text(line))
        match event:
            case StudyPlanned(names):
                self._rows = {name: Row(name) for name in names}
            case Stage():
                self._stage = event
            case SearchProgress():
                self._stage = Stage(search_line(event))
            case SearchFinished():
                self._stage = None
            case RunStarted(name):
                if not self._running:
                    self._current = {}
                self._stage, self._current[name] = None, None
                self._change(name, status="starting")
            case RunProgress(name, stage):
                rate = event.tried_rate
                self._change(name, status=stage if rate is None else f"rate {rate:g}", progress=event)
            case RunFinished(name, record, reused):
                if record.status == "failed" and name not in self._current:  # refused: it never started
                    self._console.print(Text(f"{name}: {outcome(record, reused)}"))
                status = "done before" if reused and record.status == "done" else record.status.replace("_", " ")
                self._change(name, status=status, record=record)
                if len(self._current) > 1:
                    self._current.pop(name, None)

    @property
    def rows(self) -> list[Row]:
        """Every run, in the study's order."""
        return list(self._rows.values())

    @property
    def stage(self) -> Stage | None:
        """What is being done that belongs to no run."""
        return self._stage

    def render(self) -> RenderableType:
        """The table as it stands, cut to the terminal's height around the runs under way."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for index, column in enumerate(COLUMNS):
            table.add_column(
                column,
                justify="left" if index < 2 else "right",
                no_wrap=index > 1,
                min_width=STATUS_WIDTH if column == "Status" else None,
                overflow="fold",
            )
        rows, hidden = self._window(max(3, self._console.height - 6))
        for row in rows:
            table.add_row(*(Text(cell) for cell in cells(row)))
        parts: list[RenderableType] = [table] if self._rows else []
        if hidden:
            parts.append(Text(f"{f.plural(hidden, 'more run')} not shown"))
        if self._stage is not None:
            parts.append(Text(stage_line(self._stage)))
        return Group(*parts)

    @property
    def _running(self) -> bool:
        return any(self._rows[name].record is None for name in self._current if name in self._rows)

    def _change(self, name: str, **changes: object) -> None:
        self._rows[name] = replace(self._rows.get(name, Row(name)), **changes)  # type: ignore[arg-type]

    def _window(self, height: int) -> tuple[list[Row], int]:
        rows = list(self._rows.values())
        names = list(self._rows)
        places = sorted(names.index(name) for name in self._current if name in names)
        middle = places[len(places) // 2] if places else 0
        first = max(0, min(middle - height // 2, len(rows) - height))
        return rows[first : first + height], max(0, len(rows) - height)


def cells(row: Row) -> list[str]:
    """The texts of one row of the live table."""
    if row.record is not None:
        cost, test = row.record.cost, row.record.test
        return [
            row.name,
            row.status,
            "",
            "",
            f.number(cost.samples_per_second) if cost and cost.samples_per_second else "",
            f.size(cost.peak_memory_bytes) if cost and cost.peak_memory_bytes else "",
            f.seconds(cost.train_seconds + cost.prefix_seconds) if cost else "",
            f.percent(test.accuracy) if test else "",
        ]
    at = row.progress
    if at is None:
        return [row.name, row.status, "", "", "", "", "", ""]
    return [
        row.name,
        row.status,
        _of(at.epoch, at.epochs),
        "" if at.loss is None else f"{at.loss:.4f}",
        "" if at.samples_per_second is None else f.number(at.samples_per_second),
        "" if at.memory_bytes is None else f.size(at.memory_bytes),
        "" if at.seconds_left is None else f"{clock(at.seconds_left)} left",
        "",
    ]


def outcome(record: RunRecord, reused: bool) -> str:
    """How a run ended, in words: "done, accuracy 77.2%, 12.3 s of training"."""
    parts = [record.status.replace("_", " ") + (" before" if reused and record.status == "done" else "")]
    if record.test is not None:
        parts.append(f"accuracy {f.percent(record.test.accuracy)}")
    if record.training is not None and record.training.state == "improving":
        parts.append("still improving")
    if record.cost is not None:
        text = f"{f.seconds(record.cost.train_seconds + record.cost.prefix_seconds)} of training"
        searched = record.cost.search_seconds
        parts.append(f"{text} ({f.seconds(searched)} of it search)" if searched else text)
    if record.message:
        parts.append(record.message)
    return ", ".join(parts)


def search_line(at: SearchProgress) -> str:
    """Where a search stands: "search lora: trial 7 of 20, best 84.1%, 2:10 left"."""
    parts = [f"search {f.one_line(at.name)}: trial {at.trial} of {at.trials}"]
    if at.epoch is not None:
        parts.append(f"epoch {at.epoch:g}/{at.epochs:g}" if isinstance(at.epochs, int) else f"epoch {at.epoch:g}")
    if at.best is not None:
        parts.append(f"best {f.select_score(at.best, at.select)}")
    if at.seconds_left is not None:
        parts.append(f"{clock(max(0.0, at.seconds_left))} left")
    return ", ".join(parts)


def search_outcome(search: CellSearch, reused: bool) -> str:
    """How a search ended: "search lora: 20 trials (6 pruned), best 84.1% with learning rate 0.0003, rank 16; 92 s"."""
    gone = [
        f"{search.count(state)} {state.replace('_', ' ')}"
        for state in ("pruned", "diverged", "out_of_memory", "killed", "failed")
        if search.count(state)  # type: ignore[arg-type]
    ]
    text = f"search {f.one_line(search.cell)}: {f.plural(len(search.trials), 'trial')}{' before' if reused else ''}"
    text += f" ({', '.join(gone)})" if gone else ""
    best = search.best
    if best is None or best.score is None:
        return f"{text}, none of them complete"
    return (
        f"{text}, best {f.select_score(best.score, search.select)} on validation with {f.settings(best.params)}; "
        f"{f.seconds(search.seconds)}"
    )


def expected_text(expected: Expected) -> str:
    """Published times as an expectation: the sum, and the model that takes most of it."""
    parts = expected.seconds_by_model
    total, (model, most) = sum(parts.values()), max(parts.items(), key=lambda item: item[1])
    text = f"Expected: training takes {f.seconds(total)}{f' on {expected.device}' if expected.device else ''}"
    text += f" by the published times of {f.plural(expected.runs, 'run')}"
    if expected.others:
        text += f" ({f.plural(expected.others, 'other')} without one)"
    if len(parts) > 1:
        text += f"; {f.seconds(most)} of it is {model}"
    return f"{text}. --only and --without leave runs out."


def clock(seconds: float) -> str:
    """A time as "20 s", "1:58" or "2:05:00": as narrow as it can be."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"


def stage_line(stage: Stage) -> str:
    """A stage with its progress where that is known."""
    return f"{stage.text} ({f.count(stage.done)}/{f.count(stage.total)})" if stage.total else stage.text


def _place(at: RunProgress) -> tuple[object, ...]:
    """What a line of its own is for."""
    return at.stage, at.tried_rate, at.epoch


def _of(done: int | None, total: int | None) -> str:
    if done is None:
        return ""
    return str(done) if total is None else f"{done}/{total}"
