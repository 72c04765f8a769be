"""What checkpoints, and a process of its own, cost a run of five minutes.

    python benchmarks/checkpoints.py                                # about an hour: four arms, three times in turn
    python benchmarks/checkpoints.py --minutes 0.2 --repeats 1 --every 2s     # whether it works

The run is `full` of the demo's model on SNLI pairs, made by `compare` itself: in a process of its own, as a study
starts it, or in the study's (`isolate=False`); with checkpoints every minute, or without. How much longer an arm takes
than the one without is what it costs, which a busy machine blurs. So the shares within one run are given too, which it
blurs less: seconds that training was held up by writes (`checkpoint_seconds` of the record), and seconds from the start
of a run to the first thing that its process says, beyond those of a run without a process.

It is its study's only run, so it waits for the process that runs are forked from, which later runs find ready.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from compare import save, table

BAR = 0.03
"""Of a run's seconds, checkpoints and isolation together."""
ARMS = {
    "process, checkpoints": (True, True),
    "process": (True, False),
    "checkpoints": (False, True),
    "neither": (False, False),
}
"""Whether the run has a process of its own, and whether it writes checkpoints."""
TEXTS = 2000
WARM_TEXTS = 200
COLUMNS = {
    "arm": "<20",
    "run_seconds": ".1f",
    "train_seconds": ".1f",
    "train_cpu_seconds": ".1f",
    "start_seconds": ".2f",
    "checkpoint_seconds": ".2f",
    "held_up": ".4f",
}


def main() -> None:
    """Measures, prints tables and writes benchmarks/results/checkpoints.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training in each run, about")
    parser.add_argument("--every", default="60s", help="between checkpoints")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--name", default="checkpoints", help="name of the results file")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=int, default=WARM_TEXTS, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.arm is not None:
        print(json.dumps(measured(*ARMS[args.arm], args.every, args.texts, args.epochs)))
        return
    with tempfile.TemporaryDirectory(prefix="checkpoints-") as folder:
        os.environ["THRIFTUNE_CACHE"] = str(Path(folder) / "cache")
        run("process", args.every, WARM_TEXTS, 1)  # compiles the kernels
        speed = run("process", args.every, WARM_TEXTS, 2)["samples_per_second"]
        texts = min(TEXTS, max(WARM_TEXTS, round(speed * args.minutes * 60)))
        epochs = max(1, math.ceil(speed * args.minutes * 60 / texts))
        found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
        for _ in range(args.repeats):
            for arm in ARMS:
                found[arm].append(run(arm, args.every, texts, epochs))
    rows = [row(arm, runs) for arm, runs in found.items()]
    print(table(rows, COLUMNS))
    shares = costs({each["arm"]: each for each in rows})
    for name, share in shares.items():
        print(f"{name.replace('_', ' ')}: {share:.2%} of a run")
    print(f"(at most {BAR:.0%} together)")
    settings = {key: value for key, value in vars(args).items() if key not in ("arm", "texts", "epochs")}
    print(save(args.name, {**settings, "texts": texts, "epochs": epochs}, [*rows, {**shares, "bar": BAR}]))


def row(arm: str, runs: list[dict[str, float]]) -> dict[str, Any]:
    """The medians of an arm's runs, and every number behind them."""
    return {"arm": arm, **{key: statistics.median(run[key] for run in runs) for key in runs[0]}, "runs": runs}


def costs(arms: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Shares of a run's seconds: by what runs say of themselves, and by how long the arms took."""
    both, process, checkpoints, neither = (arms[name] for name in ARMS)
    start = max(0.0, both["start_seconds"] - checkpoints["start_seconds"])
    return {
        "within_checkpoints": both["checkpoint_seconds"] / both["run_seconds"],
        "within_process": start / both["run_seconds"],
        "within_together": (both["checkpoint_seconds"] + start) / both["run_seconds"],
        "arms_checkpoints": both["run_seconds"] / process["run_seconds"] - 1,
        "arms_process": both["run_seconds"] / checkpoints["run_seconds"] - 1,
        "arms_together": both["run_seconds"] / neither["run_seconds"] - 1,
        "arms_together_processor_seconds": both["train_cpu_seconds"] / neither["train_cpu_seconds"] - 1,
    }


def run(arm: str, every: str, texts: int, epochs: int) -> dict[str, float]:
    """One run of an arm in a fresh interpreter; raises `CalledProcessError` where it fails."""
    command = [sys.executable, __file__, "--arm", arm, "--every", every, "--texts", str(texts), "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{arm}: {found['run_seconds']:.1f} s", flush=True)
    return found


def measured(isolate: bool, checkpoints: bool, every: str, texts: int, epochs: int) -> dict[str, float]:
    """The seconds of a run: from when the study starts it until it has its record, and what the record says."""
    from thriftune.study.events import RunFinished, RunProgress, RunStarted
    from thriftune.study.execute import compare
    from thriftune.study.file.config import study_from_dict

    times: dict[type, float] = {}

    def listen(event: object) -> None:
        if isinstance(event, RunStarted | RunProgress | RunFinished):
            times.setdefault(type(event), time.perf_counter())

    settings = {
        "name": "checkpoints",
        "data": {
            "source": "demo:snli",
            "text": ["premise", "hypothesis"],
            "label": "label",
            "limit": {"train": texts, "validation": 200, "test": 200},
        },
        "protocol": {"epochs": epochs, "device": "cpu", "checkpoint_every": every if checkpoints else "off"},
        "models": ["demo:minilm"],
        "methods": ["full"],
    }
    with tempfile.TemporaryDirectory(prefix="checkpoints-run-") as folder:
        results = compare(study_from_dict(settings, Path(folder)), Path(folder) / "out", listen, isolate)
    (record,) = results.runs
    if record.cost is None or record.training is None:
        sys.exit(f"The run failed: {record.message}")
    waited = record.training.checkpoint_seconds
    return {
        "run_seconds": times[RunFinished] - times[RunStarted],
        "start_seconds": times[RunProgress] - times[RunStarted],
        "train_seconds": record.cost.train_seconds,
        "train_cpu_seconds": record.cost.train_cpu_seconds or math.nan,
        "samples_per_second": record.cost.samples_per_second or math.nan,
        "checkpoint_seconds": waited,
        "held_up": waited / (record.cost.train_seconds + waited),
    }


if __name__ == "__main__":
    main()
