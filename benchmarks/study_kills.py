"""Kills a study again and again (kill -9, at random moments: its process, its run's, or both) and starts it again.

    python benchmarks/study_kills.py 100

It must always be completed, with the predictions, models and scores of a study that was let alone, bit for bit, and
nothing may be left: no file, no process. Says how much training a kill cost, which must be no more than the time
between two checkpoints and a step. A study that is complete before there were enough kills is begun anew. What happened
goes into benchmarks/results/study_kills.json.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from compare import save

from thriftune.amounts import parse_seconds
from thriftune.engine.resume import found
from thriftune.engine.resume.reached import Reached, read_reached
from thriftune.testing.models import tiny_model
from thriftune.testing.texts import LABELS, pairs

TOKEN = "THRIFTUNE_KILLS"
"""A variable by which the processes of a study are found, whoever started them."""
METHODS: list[Any] = [
    "tfidf",
    {"full": {"learning_rate": 0.001}},
    {"top_layers": {"layers": 1}},
    {"lora": {"rank": 2, "learning_rate": [0.001, 0.003]}},
    {"peft": {"type": "ADALORA", "init_r": 4, "target_r": 2, "tinit": 5, "tfinal": 5, "deltaT": 2}},
    {"head_only": {"learning_rate": 0.01}},
]
PROGRAM = (sys.executable, "-m", "thriftune", "compare")
TIMED = ("run.json", "history.jsonl", "README.md", "log.txt")
"""Files of a run that hold seconds, or may."""
WAITS = (0.02, 0.6)
"""Between two kills, as shares of the time that the study takes when it is let alone."""
MOST_WAIT = 25.0
"""Seconds between two kills, however long the study takes."""
GLANCE = 0.002
"""Seconds between two looks at how far a run's training got: less than its steps take."""
STANDSTILL = 1.0
"""A look that comes so many seconds late: the machine, or all of this, stood still, which is no training."""
PATIENCE = 20.0
"""Seconds within which processes are gone that were killed, or whose parent was."""


@dataclass
class Outcome:
    """What the kills did."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("parent", "child", "both"), 0))
    studies: int = 0
    """That were completed after kills, and compared."""
    lost_seconds: list[float] = field(default_factory=list)
    """Of training, at each kill in one: the steps that were done and that no checkpoint has."""
    longest_step: float = 0.0
    """Seconds, of the steps that were seen one by one: what the step that a kill breaks off took at most."""
    stood_still: int = 0
    """Kills in training whose cost is not known: the time since the checkpoint was no training alone."""
    last_standstill: float = 0.0
    """When it ended, in seconds since 1970."""
    told: set[tuple[str, Reached]] = field(default_factory=set)
    """Where the trainings stood whose loss is counted: one that is killed before it goes on loses nothing more."""
    resumed: int = 0
    """How often runs went on from a checkpoint, by their records."""
    wrong: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """All kills."""
        return sum(self.kills.values())


def kill_studies(
    count: int,
    folder: Path,
    every: str = "1s",
    epochs: int = 40,
    seed: int = 0,
    say: Callable[[str], None] = print,
    program: Sequence[str] = PROGRAM,
    methods: Sequence[Any] = METHODS,
    waits: tuple[float, float] = WAITS,
) -> Outcome:
    """Kills studies in a folder until there were so many kills and the last of them is complete.

    `program` takes the arguments of `thriftune compare`; `waits` is as `WAITS`.
    """
    study = write_study(folder, every, epochs, methods)
    started = time.monotonic()
    whole = folder / "whole"
    command = [*program, str(study), "--out"]
    subprocess.run([*command, str(whole)], check=True, env=_environment(), capture_output=True)
    took, dice, outcome = time.monotonic() - started, random.Random(seed), Outcome()
    between = (waits[0] * took, min(waits[1] * took, MOST_WAIT))
    say(f"Uninterrupted: {took:.1f} s.")
    while outcome.count < count:
        out = folder / "killed"
        with _steps_watched(out, outcome):
            while not _attempt([*command, str(out)], out, count, between, dice, outcome):
                pass
        outcome.studies += 1
        outcome.wrong += differences(whole, out)
        outcome.resumed += sum(_record(path)["training"]["resumed"] for path in _runs(out) if _record(path)["training"])
        say(f"{outcome.count} kills, {outcome.studies} studies complete; wrong: {outcome.wrong or 'nothing'}")
        shutil.rmtree(out)
    return outcome


def write_study(folder: Path, every: str, epochs: int, methods: Sequence[Any]) -> Path:
    """Six runs on a tiny model, two of them with several trainings or their own state."""
    first, second, truth = pairs(150)
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[a, b, LABELS[y]] for a, b, y in zip(first, second, truth, strict=True)]
        csv.writer(file).writerows([["premise", "hypothesis", "label"], *rows])
    path = folder / "study.yaml"
    study = {
        "name": "kills",
        "data": {
            "source": "pairs.csv",
            "text": ["premise", "hypothesis"],
            "label": "label",
            "split": {"test": 0.3, "validation": 0.2},
        },
        "protocol": {"epochs": epochs, "batch_size": 4, "max_tokens": 32, "device": "cpu", "checkpoint_every": every},
        "models": [str(tiny_model("bert"))],
        "methods": list(methods),
    }
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return path


def _attempt(
    command: list[str], out: Path, count: int, between: tuple[float, float], dice: random.Random, outcome: Outcome
) -> bool:
    """One start of the command, killed at random moments as long as there are kills left; whether it completed."""
    environment, started = _environment(), time.time()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if outcome.count >= count:
            break
        with suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(*between))
            break
        under_way = [path for path in _runs(out) if not (path / "run.json").exists()]
        kind = _kill(process, dice.choice(("parent", "child", "both")))
        if kind is None:
            continue
        outcome.kills[kind] += 1
        _count_lost(under_way, started, outcome)
        if kind != "child":
            process.wait()
    code = process.wait()
    if left := _left(environment[TOKEN]):
        outcome.wrong.append(f"processes were left: {left}")
    if code not in (0, 1, -9):
        outcome.wrong.append(f"compare ended with {code}")
    return code == 0


def _kill(process: subprocess.Popen[bytes], kind: str) -> str | None:
    """Kills the study's process, that of its run, or both; what was killed, which is the parent where no run is."""
    runs = list(_run_processes(process.pid)) if kind != "parent" else []
    if not runs:
        kind = "parent"
    victims = [*runs, *([psutil.Process(process.pid)] if kind != "child" else [])]
    if process.poll() is not None:
        return None
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    return kind


def _run_processes(parent: int) -> Iterator[psutil.Process]:
    """The processes of runs: forked by the server that the parent has started, or spawned by itself."""
    with suppress(psutil.NoSuchProcess):
        for each in psutil.Process(parent).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if each.ppid() != parent or "spawn_main" in " ".join(each.cmdline()):
                    yield each


def _left(token: str) -> list[str]:
    """The processes of a study that are there although it has ended."""
    end = time.monotonic() + PATIENCE
    while True:
        found = []
        for each in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if each.environ().get(TOKEN) == token and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(each.cmdline())[:80])
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


def _count_lost(under_way: list[Path], started: float, outcome: Outcome) -> None:
    """Adds the training seconds that no checkpoint has, of each run that was training since the kill before.

    `started` is when the study was started last, in seconds since 1970.
    """
    for path in under_way:
        reached = read_reached(path / "checkpoint")
        if reached is None or not reached.steps or (path.name, reached) in outcome.told:
            continue
        outcome.told.add((path.name, reached))
        info = found(path)
        if outcome.last_standstill > (started if info is None else info.written):
            outcome.stood_still += 1
        else:
            outcome.lost_seconds.append(reached.seconds - (0.0 if info is None else info.trained_seconds))


@contextmanager
def _steps_watched(out: Path, outcome: Outcome) -> Iterator[None]:
    """Finds the longest step of the runs of a folder, in a thread, from what they note after each."""
    over = threading.Event()

    def watch() -> None:
        last: dict[Path, Reached] = {}
        glanced = time.monotonic()
        while not over.wait(GLANCE):
            before_that, glanced = glanced, time.monotonic()
            if glanced - before_that > STANDSTILL:
                outcome.last_standstill = time.time()
                last.clear()
            for path in [path for path in _runs(out) if not (path / "run.json").exists()]:
                now, before = read_reached(path / "checkpoint"), last.get(path)
                if now is None:
                    continue
                if before is not None and now.steps == before.steps + 1:
                    outcome.longest_step = max(outcome.longest_step, now.seconds - before.seconds)
                last[path] = now

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def differences(whole: Path, out: Path) -> list[str]:
    """What two folders of the same study do not share and should: files, their bytes, scores."""
    wrong = []
    names = [{str(path.relative_to(each)) for path in each.rglob("*")} for each in (whole, out)]
    if names[0] != names[1]:
        wrong.append(f"other files: {sorted(names[0] ^ names[1])}")
    for path in _runs(whole):
        other = out / "runs" / path.name
        for file in sorted(path.rglob("*")):
            its = other / file.relative_to(path)
            if file.is_file() and its.is_file() and file.name not in TIMED and _hash(file) != _hash(its):
                wrong.append(f"another {file.relative_to(whole)}")
        mine, its_record = _record(path), _record(other)
        for key in ("status", "metrics", "best_epoch", "learning_rate"):
            if mine[key] != its_record[key]:
                wrong.append(f"{path.name}: another {key}")
    return wrong


def _runs(out: Path) -> list[Path]:
    return sorted((out / "runs").iterdir()) if (out / "runs").is_dir() else []


def _record(path: Path) -> dict[str, Any]:
    file = path / "run.json"
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {**dict.fromkeys(("status", "metrics", "best_epoch", "learning_rate", "training")), **record}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _environment() -> dict[str, str]:
    return {**os.environ, TOKEN: f"{os.getpid()}-{time.monotonic_ns()}"}


def main() -> None:
    """Says what the kills did; exits with 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="how many kills")
    parser.add_argument("--every", default="1s", help="between checkpoints")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thriftune-study-kills-") as name:
        outcome = kill_studies(args.count, Path(name), args.every, args.epochs, args.seed)
    lost, bound = sorted(outcome.lost_seconds), parse_seconds(args.every) + outcome.longest_step
    row = {
        "kills": outcome.kills,
        "studies": outcome.studies,
        "went_on_from_a_checkpoint": outcome.resumed,
        "kills_in_training": len(lost) + outcome.stood_still,
        "of_these_at_a_standstill": outcome.stood_still,
        "lost_seconds_median": statistics.median(lost) if lost else None,
        "lost_seconds_most": lost[-1] if lost else None,
        "longest_step_seconds": outcome.longest_step,
        "bound_seconds": bound,
        "lost_seconds": [round(each, 3) for each in lost],
        "wrong": outcome.wrong,
    }
    print(save("study_kills", vars(args), [row]))
    kinds = ", ".join(f"{kind} {number}" for kind, number in outcome.kills.items())
    cost = f"{statistics.median(lost):.2f} s (median), {lost[-1]:.2f} s (most)" if lost else "nothing"
    print(
        f"{outcome.count} kills ({kinds}) over {outcome.studies} studies; runs went on from a checkpoint "
        f"{outcome.resumed} times; {len(lost)} kills in training cost {cost} of it, where {bound:.2f} s are allowed "
        f"(checkpoints every {args.every}, the longest step {outcome.longest_step:.2f} s); "
        f"wrong: {'; '.join(outcome.wrong) or 'nothing'}."
    )
    sys.exit(bool(outcome.wrong) or bool(lost and lost[-1] > bound))


if __name__ == "__main__":
    main()
