"""One run's log: what stands in it, and that it ends no run."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

from tests.test_progress import record

from thriftune.study.events import Notice, RunLooked, RunProgress
from thriftune.study.run_log import run_log

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ (info|warning|error)\s+\S")
POINT = RunLooked(
    name="lora",
    epoch=1,
    step=12,
    train_loss=0.5,
    validation_loss=0.7,
    validation_accuracy=0.75,
    validation_macro_f1=0.7,
    learning_rate=1e-3,
)


def test_lines_have_their_time_and_a_resumed_run_adds_to_them(tmp_path: Path) -> None:
    path = tmp_path / "run" / "log.txt"
    with run_log(path, {"run": "lora", "method": {"rank": 8}}) as log:
        for step in range(5):
            log.progress(RunProgress("lora", "training", epoch=1, epochs=2, step=step, steps=10, loss=0.5))
        log.progress(RunProgress("lora", "training", epoch=2, epochs=2, step=6, steps=10, loss=0.25))
        log.told(POINT)
        log.told(Notice("the disk is full"))
    first = path.read_text().splitlines()
    assert all(map(LINE.match, first))
    assert sum("epoch 1 of 2" in line for line in first) == 1
    assert sum("epoch 2 of 2, step 6 of 10, loss 0.2500" in line for line in first) == 1
    assert any('method: {"rank": 8}' in line for line in first)
    assert any("accuracy 75.00%" in line for line in first)
    with run_log(path, {"run": "lora"}) as log:
        log.ended(record("lora"))
    text = path.read_text()
    assert text.splitlines()[: len(first)] == first
    assert "done: test accuracy" in text


def test_what_libraries_warn_of_stands_in_it_and_is_not_swallowed(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    with run_log(path, {}):
        logging.getLogger("somewhere").warning("a library's\nwarning")
        shown = warnings.showwarning
    with run_log(path, {}):
        warnings.showwarning("odd too", UserWarning, "file", 1)
    text = path.read_text()
    assert shown is not warnings.showwarning
    assert re.search(r"warning +somewhere: a library's\n\S+ \S+ warning +warning", text)
    assert "UserWarning: odd too" in text


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    with run_log(tmp_path / "log.txt", {}) as log:
        log.ended(record("lora", "out_of_memory"))
    assert "error   out of memory: ran out of memory" in (tmp_path / "log.txt").read_text()


def test_a_log_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with run_log(tmp_path / "file" / "log.txt", {}) as log:
        log.line("nowhere")
    assert (tmp_path / "file").read_text() == ""
