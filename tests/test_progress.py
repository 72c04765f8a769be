"""The progress display: plain lines when piped, a live table on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from thriftune.progress import LiveTable, display, print_table
from thriftune.results.record import Cost, RunRecord, Scores
from thriftune.study.events import Event, RunFinished, RunProgress, RunStarted, Stage, StudyPlanned

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
        "[2/3] [red]full: epoch 1/2, loss 0.8000, 210 samples/s, 100.0 MB, 20.0 s left",
        "[2/3] [red]full: epoch 2/2, loss 0.7000, 220 samples/s, 100.0 MB",
        "[2/3] [red]full: done, accuracy 77.2%, 12.3 s of training",
        "[3/3] lora: started",
        "[3/3] lora: out of memory, ran out of memory",
    ]


def terminal(height: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=height, markup=False)


def rendered(table: LiveTable, console: Console) -> str:
    with console.capture() as capture:
        console.print(table.render())
    return capture.get()


def test_live_table_shows_what_runs_and_what_is_done() -> None:
    console = terminal()
    table = LiveTable(console)
    for event in EVENTS[:8]:
        table(event)
    text = rendered(table, console)
    for part in ("done before", "77.2%", "[red]full", "training", "1/2", "0.8000", "210", "100.0 MB", "20.0 s left"):
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


def test_the_final_table_is_never_squeezed() -> None:
    text = io.StringIO()
    row = {"Run": "a" * 60, "Accuracy": "77.2% (76.1–78.3%)", "Peak memory": "1.23 GB", "Note": "b" * 60}
    print_table([row, row], Console(file=text, markup=False))
    assert all(value in text.getvalue() for value in row.values())
    assert len(text.getvalue().strip().splitlines()) == 4
    print_table([], Console(file=text))
