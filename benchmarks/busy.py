"""A busy machine: how much longer a training takes beside busy loops, ours and Trainer + PEFT's, in turn in one run.

    python benchmarks/busy.py                                   # about 40 minutes on two cores that are otherwise idle
    python benchmarks/busy.py --texts 64 --epochs 1 --repeats 1 --methods "lora all"        # whether it works

Every arm trains alone and beside `--loops` processes that do nothing but count (four). With P processors a training has
P threads, so P + loops threads want to run: its fair share is P / (P + loops) of the time, and at that share it takes
(P + loops) / P times as long as alone (two processors, four loops: 3 times). `slowed` is the time beside the loops over
that alone, `over_fair` that over what the fair share makes of it: 1 is a training that lost nothing but its share; the
bar is 1.5. It can be less than 1 where the machine was not idle in the arm that trained alone. Threads that wait for
each other make it more: what one of them lost while a loop ran, all lose at the next barrier. `loops_had` is the share
of the processors that the loops got meanwhile, (loops / (P + loops) where all is fair).

Ours has the wait of threads that `thriftune compare` sets for its runs (GOMP_SPINCOUNT); Trainer runs as shipped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
from compare import run, save, table

from thriftune.processors import usable_processors, wait_briefly

BAR = 1.5
COLUMNS = {
    "method": "",
    "arm": "",
    "alone": ".1f",
    "beside": ".1f",
    "slowed": ".2f",
    "over_fair": ".2f",
    "lowest": ".2f",
    "highest": ".2f",
    "loops_had": ".2f",
}


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/busy.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=["lora all", "full", "top_layers 2"], metavar="METHOD")
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument("--texts", type=int, default=640)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spins", help="GOMP_SPINCOUNT of our arm; as the runs of a study have it where none is given")
    parser.add_argument("--name", default="busy", help="name of the results file")
    args = parser.parse_args()
    processors = usable_processors()
    fair = (processors + args.loops) / processors
    rows: list[dict[str, Any]] = []
    for method in args.methods:
        request = {"method": method, "texts": args.texts, "epochs": args.epochs}
        rounds = [one_round(request, args.loops, args.spins) for _ in range(args.repeats)]
        rows += [row(method, arm, fair, [each[arm] for each in rounds]) for arm in ("ours", "peer")]
        print(table(rows, COLUMNS), flush=True)
        settings = {**vars(args), "processors": processors, "fair": fair}
        print(save(args.name, settings, rows), flush=True)


@dataclass(frozen=True)
class Pair:
    """An arm's seconds alone and beside the loops, and the share of the processors that the loops had."""

    alone: float
    beside: float
    loops_had: float


def one_round(request: dict[str, Any], loops: int, spins: str | None) -> dict[str, Pair]:
    """Both arms alone, then both beside the loops."""
    variables = {"ours": _waits(spins), "peer": {}}
    alone = {arm: run({**request, "arm": arm}, variables[arm])["train_seconds"] for arm in variables}
    found = {}
    for arm in variables:
        with busy(loops) as beside:
            seconds = run({**request, "arm": arm}, variables[arm])["train_seconds"]
            found[arm] = Pair(alone[arm], seconds, beside.share())
    return found


def _waits(spins: str | None) -> dict[str, str]:
    """The variables of a process of Thriftune here, or those asked for."""
    if spins is not None:
        return {"GOMP_SPINCOUNT": spins}
    variables = dict(os.environ)
    wait_briefly(variables)
    return variables


@dataclass(frozen=True)
class Loops:
    """Processes that count, since when."""

    processes: list[psutil.Process]
    began: float

    def share(self) -> float:
        """Of the usable processors' time until now."""
        used = sum(sum(each.cpu_times()[:2]) for each in self.processes)
        return float(used / (time.perf_counter() - self.began) / usable_processors())


@contextmanager
def busy(count: int) -> Iterator[Loops]:
    """So many loops run inside."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(1)  # their interpreters have started
        yield Loops([psutil.Process(loop.pid) for loop in loops], time.perf_counter() - 1)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def row(method: str, arm: str, fair: float, pairs: list[Pair]) -> dict[str, Any]:
    """The medians of an arm, and every number behind them."""
    slowed = [pair.beside / pair.alone for pair in pairs]
    return {
        "method": method,
        "arm": arm,
        "alone": statistics.median(pair.alone for pair in pairs),
        "beside": statistics.median(pair.beside for pair in pairs),
        "slowed": statistics.median(slowed),
        "over_fair": statistics.median(slowed) / fair,
        "lowest": min(slowed) / fair,
        "highest": max(slowed) / fair,
        "loops_had": statistics.median(pair.loops_had for pair in pairs),
        "bar": BAR if arm == "ours" else None,
        "alone_all": [pair.alone for pair in pairs],
        "beside_all": [pair.beside for pair in pairs],
    }


if __name__ == "__main__":
    main()
