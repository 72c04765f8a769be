"""The progress display: plain lines when piped, a live table on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from thriftune.progress import LiveTable, display, outcome
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.scores import Scores
from thriftune.results.search import CellSearch, Trial
from thriftune.results.training import Training
from thriftune.study.events import (
    Event,
    RunFinished,
    RunProgress,
    RunStarted,
    SearchFinished,
    SearchProgress,
    Stage,
    StudyPlanned,
)

COST = Cost(
    train_seconds=12.3,
    prefix_seconds=0.0,
    prefix_reused=False,
    evaluate_seconds=1.0,
    load_seconds=1.0,
    samples_per_second=240.0,
    peak_memory_bytes=123_000_000,
    peak_reserved_bytes=None,
    peak_process_bytes=None,
    prefix_peak_memory_bytes=None,
    memory=None,
    trained_parameters=1,
    head_parameters=1,
    total_parameters=1,
    stored_bytes=1,
    delta_bytes=1,
    energy_joules=None,
)


def record(name: str, status: str = "done") -> RunRecord:
    done = status == "done"
    return RunRecord(
        run_id="0",
        name=name,
        cell=name,
        status=status,  # type: ignore[arg-type]
        message=None if done else "ran out of memory",
        model=None,
        method={"name": name},
        seed=0,
        protocol={},
        head={},
        learning_rate=None,
        best_epoch=None,
        test=Scores(0.772, 0.77, 0.5, {}, [[1]]) if done else None,
        validation=None,
        cost=COST if done else None,
    )


def test_a_finished_run_says_whether_it_was_still_improving() -> None:
    still = Training("epochs", 94, 3, 0.024, 0.01, "improving")
    assert outcome(replace(record("full"), training=still), False).startswith("done, accuracy 77.2%, still improving, ")
    assert "improving" not in outcome(record("full"), False)


def test_warnings_are_said_before_anything_runs() -> None:
    event = StudyPlanned(["full"], [], ["28 of 60 test texts\x1b[31m stand in train."])
    for terminal in (False, True):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100, markup=False)
        with display(console) as listener:
            listener(event)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert "! 28 of 60 test texts [31m stand in train." in shown


EVENTS: list[Event] = [
    Stage("reading data"),
    Stage("reading data", 10, 20),
    StudyPlanned(["majority", "[red]full", "lora"], ["majority"]),
    RunFinished("majority", record("majority"), reused=True),
    RunStarted("[red]full", 2, 3),
    RunProgress("[red]full", "loading"),
    RunProgress("[red]full", "training", 1, 2, 5, 20, 0.9, 200.0, 10**8, 30.0),
    RunProgress("[red]full", "training", 1, 2, 10, 20, 0.8, 210.0, 10**8, 20.0),
    RunProgress("[red]full", "training", 2, 2, 20, 20, 0.7, 220.0, 10**8, 0.0),
    RunProgress("[red]full", "evaluating"),
    RunFinished("[red]full", record("[red]full"), reused=False),
    RunStarted("lora", 3, 3),
    RunProgress("lora", "training", 1, 2, 10, 20, 1.1, tried_rate=0.003),
    RunProgress("lora", "training", 1, 2, 10, 20, 0.9, tried_rate=0.01),
    RunProgress("lora", "training", 1, 2, 10, 20, 0.6),
    RunFinished("lora", record("lora", "out_of_memory"), reused=False),
]


def test_plain_lines() -> None:
    text = io.StringIO()
    with display(Console(file=text, markup=False)) as listener:
        for event in EVENTS:
            listener(event)
    assert text.getvalue().splitlines() == [
        "reading data",
        "3 runs, 1 of them done before",
        "majority: done before, accuracy 77.2%, 12.3 s of training",
        "[2/3] [red]full: started",
        "[2/3] [red]full: epoch 1/2, loss 0.8000, 210 samples/s, 100.0 MB, 20 s left",
        "[2/3] [red]full: epoch 2/2, loss 0.7000, 220 samples/s, 100.0 MB",
        "[2/3] [red]full: done, accuracy 77.2%, 12.3 s of training",
        "[3/3] lora: started",
        "[3/3] lora: trying rate 0.003, epoch 1/2, loss 1.1000",
        "[3/3] lora: trying rate 0.01, epoch 1/2, loss 0.9000",
        "[3/3] lora: epoch 1/2, loss 0.6000",
        "[3/3] lora: out of memory, ran out of memory",
    ]


def terminal(height: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=height, markup=False)


def rendered(table: LiveTable, console: Console) -> str:
    with console.capture() as capture:
        console.print(table.render())
    return capture.get()


def searching() -> list[Event]:
    """A search of two trials, one of them pruned."""
    trials = [
        Trial(1, 7, {"learning_rate": 3.123e-4, "rank": 8}, "complete", 0.841, None, 2.0, 20, 0.0, 20.0, 1.0),
        Trial(2, 8, {"learning_rate": 1e-2, "rank": 4}, "pruned", 0.5, "below", 1.0, 10, 0.0, 10.0, 0.5),
    ]
    search = CellSearch("lora\x1b[31m", "demo:minilm", {}, "key", {}, "accuracy", trials)
    return [
        SearchProgress(search.cell, 1, 2, "accuracy", None),
        SearchProgress(search.cell, 2, 2, "accuracy", 0.841, 21.0, 1.5, 3),
        SearchFinished(search, reused=False),
    ]


SEARCH_OUTCOME = (
    "search lora [31m: 2 trials (1 pruned), best 84.1% on validation with learning rate 0.000312, rank 8; 31.5 s"
)


def test_a_search_has_a_line_at_its_begin_and_one_at_its_end() -> None:
    text = io.StringIO()
    with display(Console(file=text, markup=False)) as listener:
        for event in searching():
            listener(event)
    assert text.getvalue().splitlines() == ["search lora [31m: trial 1 of 2", SEARCH_OUTCOME]


def test_a_terminal_shows_where_a_search_stands() -> None:
    console = terminal()
    table = LiveTable(console)
    *steps, finished = searching()
    for event in steps:
        table(event)
    assert "search lora [31m: trial 2 of 2, epoch 1.5/3, best 84.1%, 21 s left" in rendered(table, console)
    with console.capture() as capture:
        table(finished)
    assert SEARCH_OUTCOME in capture.get()
    assert "trial 2 of 2" not in rendered(table, console)


def test_live_table_shows_what_runs_and_what_is_done() -> None:
    console = terminal()
    table = LiveTable(console)
    for event in EVENTS[:8]:
        table(event)
    text = rendered(table, console)
    for part in ("done before", "77.2%", "[red]full", "training", "1/2", "0.8000", "210", "100.0 MB", "20 s left"):
        assert part in text
    assert "waiting" in text
    for event in EVENTS[8:]:
        table(event)
    assert "out of memory" in rendered(table, console)


def test_a_long_study_is_cut_to_the_terminal_around_the_current_run() -> None:
    console = terminal(height=16)
    table = LiveTable(console)
    table(StudyPlanned([f"run {i}" for i in range(50)], []))
    table(RunStarted("run 30", 31, 50))
    text = rendered(table, console)
    assert "run 30" in text
    assert "40 more runs not shown" in text
    assert len(text.splitlines()) <= 16


def test_display_on_a_terminal_takes_every_event() -> None:
    console = terminal()
    with display(console) as listener:
        for event in EVENTS:
            listener(event)
    assert console.file.getvalue().strip()  # type: ignore[attr-defined]


def test_a_search_is_told_apart_from_training() -> None:
    searched = replace(record("full"), cost=replace(COST, search_seconds=4.0))
    assert outcome(searched, False) == "done, accuracy 77.2%, 12.3 s of training (4.00 s of it search)"
