"""What a study of short runs spends beside training: seconds by phase, from the study's own events and records.

    python benchmarks/overhead.py                             # about five minutes on two cores
    python benchmarks/overhead.py --texts 200 --test 100      # whether it works
    python benchmarks/overhead.py --against /path/to/src      # another version, in turn with this one

The study is `thriftune compare --json` itself: full, top_layers 2, LoRA on all layers and the head alone of the demo's
model on SNLI pairs, three epochs. A phase lasts from the event that begins it to the next. Overhead is all wall time
but that of training steps and, counted apart, of the frozen layers' single pass and the looks at validation, which
belong to training; `beside_steps` is the share of everything but the steps. `cpu_seconds` are those of all processes of
the study, on a busy machine steadier than wall time; `other_cpu_seconds` are those that training steps did not take.
Every study begins with an empty cache, but for the compiled kernels. Before there were events for them, a version
counts probing as loading, and storing, checking and measuring as evaluating.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compare import save, table

BAR = 0.25
EPOCHS = 3
METHODS = ["full", {"top_layers": {"layers": 2}}, {"lora": {"rank": 8, "layers": "all"}}, "head_only"]
PHASES = {
    "start": "the command's start, imports",
    "data": "reading, checking models, tokenising, profile",
    "forecast": "predictions of cost, the process's start",
    "loading": "weights, texts",
    "prefix": "the frozen layers' single pass",
    "probing": "memory and seconds of a step",
    "training": "training steps",
    "looks": "looks at validation",
    "evaluating": "the test texts, scores",
    "storing": "predictions, history, weights",
    "checking": "whether the stored model keeps its promise",
    "measuring": "latency, throughput and memory in use, the record",
    "analysis": "every panel, the best model's folder, the page, what is printed",
    "end": "the command's end",
}
APART = ("prefix", "looks")
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/overhead.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1200, help="training texts")
    parser.add_argument("--test", type=int, default=600, help="test texts; half as many for validation")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--against", type=Path, metavar="SRC", help="another version's src folder, measured in turn")
    parser.add_argument("--name", default="overhead", help="name of the results file")
    args = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # so that orphans' processor time is counted too
    own = Path(__file__).parents[1] / "src"
    arms = {"before": args.against, "now": own} if args.against else {"now": own}
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        for arm, source in arms.items():
            study(source, Path(folder) / arm, 64, 32)  # compiles the kernels, reads files for the first time
        found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
        for _ in range(args.repeats):
            for arm, source in arms.items():
                found[arm].append(study(source, Path(folder) / arm, args.texts, args.test))
    rows = [row(arm, studies) for arm, studies in found.items()]
    for each in rows:
        print(f"\n{each['arm']}: median of {len(each['studies'])}")
        phases = [{"phase": name, "seconds": each["phases"][name], "what": PHASES[name]} for name in PHASES]
        print(table(phases, {"phase": "<10", "seconds": ".1f", "what": "<60"}))
    columns = {"arm": "", "seconds": ".1f", "overhead_seconds": ".1f", "overhead": ".3f", "beside_steps": ".3f"}
    print(table(rows, {**columns, "cpu_seconds": ".1f", "other_cpu_seconds": ".1f", "bar": ""}))
    settings = {key: str(value) for key, value in vars(args).items() if key != "against"}
    print(save(args.name, {**settings, "epochs": EPOCHS, "methods": METHODS}, rows))


def row(arm: str, studies: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of some studies, and all of them."""
    keys = ("seconds", "overhead_seconds", "overhead", "beside_steps", "cpu_seconds", "other_cpu_seconds")
    return {
        "arm": arm,
        **{key: statistics.median(each[key] for each in studies) for key in keys},
        "bar": BAR,
        "phases": {name: statistics.median(each["phases"][name] for each in studies) for name in PHASES},
        "studies": studies,
    }


def study(source: Path, folder: Path, texts: int, test: int) -> dict[str, Any]:
    """The seconds of one study by phase; raises `CalledProcessError` where it fails."""
    out, cache = folder / "out", folder / "cache"
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(cache / "prefixes", ignore_errors=True)
    limit = {"train": texts, "validation": test // 2, "test": test}
    settings = {
        "name": "overhead",
        "data": {"source": "demo:snli", "text": ["premise", "hypothesis"], "label": "label", "limit": limit},
        "protocol": {"epochs": EPOCHS, "device": "cpu"},
        "models": ["demo:minilm"],
        "methods": METHODS,
    }
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "thriftune", "compare", str(folder / "study.yaml"), "--json", "--out", str(out)]
    variables = {**os.environ, "PYTHONPATH": str(source), "THRIFTUNE_CACHE": str(cache)}
    before, began = processor_seconds(), time.time()
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    ended = time.time()
    reap()
    if done.returncode:
        print(done.stdout[-2000:], done.stderr, file=sys.stderr)
        done.check_returncode()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    runs = json.loads((out / "results.json").read_text(encoding="utf-8"))["runs"]
    phases = by_phase(events, began, ended)
    seconds, cpu = ended - began, processor_seconds() - before
    beside = seconds - phases["training"]
    overhead = beside - sum(phases[name] for name in APART)
    steps_cpu = sum(run["cost"]["train_cpu_seconds"] for run in runs)
    return {
        "seconds": seconds,
        "overhead_seconds": overhead,
        "overhead": overhead / seconds,
        "beside_steps": beside / seconds,
        "cpu_seconds": cpu,
        "other_cpu_seconds": cpu - steps_cpu,
        "train_seconds": sum(run["cost"]["train_seconds"] for run in runs),
        "phases": phases,
    }


def by_phase(events: list[dict[str, Any]], began: float, ended: float) -> dict[str, float]:
    """Seconds of every phase; each event ends the phase before it."""
    seconds = dict.fromkeys(PHASES, 0.0)
    phase, since = "start", began
    for event in events:
        now = datetime.fromisoformat(event["time"]).astimezone(UTC).timestamp()
        if event["event"] == "run_looked":
            phase = "looks"  # what passed since the epoch's last progress
        seconds[phase] += now - since
        phase, since = next_phase(event, phase), now
    seconds[phase] += ended - since
    return seconds


def next_phase(event: dict[str, Any], phase: str) -> str:
    """What an event begins."""
    match event["event"]:
        case "stage":
            return "data"
        case "study_planned" | "notice" | "run_started":
            return "forecast" if event["event"] != "notice" or phase == "data" else phase
        case "run_progress":
            return str(event["stage"])
        case "run_looked":
            return "training"
        case "run_finished":
            return "analysis"
        case "finished":
            return "end"
    return phase


def processor_seconds() -> float:
    """Of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def reap() -> None:
    """Waits for processes that were left to this one, so that their seconds are counted."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
