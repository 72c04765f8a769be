"""What a busy machine costs: the speed of a study alone, and of two studies side by side.

    python benchmarks/side_by_side.py                      # about ten minutes
    python benchmarks/side_by_side.py --texts 64 --repeats 1 --spins 2000     # whether it works

Every study is `thriftune compare` itself: LoRA on the demo's model and data. Two of them start together on the same
processors. `--spins` sets GOMP_SPINCOUNT, how long threads of torch's OpenMP library look for work before they sleep:
2000 is what Thriftune sets, 300000 the library's own choice. Where a processor is free for every thread it hardly
matters; where not, a thread that waits keeps the processor from one that has work. Rows are medians of the repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from compare import save, table

from thriftune.processors import SPINS, usable_processors

BAR = 0.4
"""Of the speed alone, for each of two."""
COLUMNS = {"spins": "", "alone": ".1f", "first": ".1f", "second": ".1f", "share": ".2f", "processors_used": ".2f"}


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/side_by_side.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000, help="training texts of each study, 3 epochs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spins", nargs="*", default=[SPINS, "300000"])
    parser.add_argument("--name", default="side_by_side", help="name of the results file")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for spins in args.spins:
        rounds = [(run(1, spins, args.texts), run(2, spins, args.texts)) for _ in range(args.repeats)]
        rows.append(row(spins, rounds))
        print(table(rows, COLUMNS), flush=True)
    print(save(args.name, {**vars(args), "processors": usable_processors()}, rows))


def row(spins: str, rounds: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]) -> dict[str, Any]:
    """The medians of some rounds of one study and of two, and every number behind them."""
    alone = [one[0]["samples_per_second"] for one, _ in rounds]
    pairs = [sorted((cost["samples_per_second"] for cost in two), reverse=True) for _, two in rounds]
    used = [cost["train_cpu_seconds"] / cost["train_seconds"] for _, two in rounds for cost in two]
    speed = statistics.median(alone)
    return {
        "spins": spins,
        "alone": speed,
        "first": statistics.median(pair[0] for pair in pairs),
        "second": statistics.median(pair[1] for pair in pairs),
        "share": statistics.median(pair[1] for pair in pairs) / speed,
        "processors_used": statistics.median(used),
        "bar": BAR,
        "alone_all": alone,
        "pairs_all": pairs,
    }


def run(count: int, spins: str, texts: int) -> list[dict[str, Any]]:
    """The cost of each of some studies that start together; raises `CalledProcessError` where one fails."""
    settings = {
        "methods": "[lora]",
        "data.limit.train": texts,
        "data.limit.validation": 64,
        "data.limit.test": 64,
        "protocol.epochs": 3,
        "protocol.device": "cpu",
    }
    command = [sys.executable, "-m", "thriftune", "compare"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    variables = {**os.environ, "GOMP_SPINCOUNT": spins}
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / str(number) for number in range(count)]
        studies = [
            subprocess.Popen(
                [*command, "--out", str(out)],
                env=variables,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for out in outs
        ]
        for study in studies:
            _, errors = study.communicate()
            if study.returncode:
                print(errors, file=sys.stderr)
                raise subprocess.CalledProcessError(study.returncode, command)
        return [json.loads((out / "results.json").read_text(encoding="utf-8"))["runs"][0]["cost"] for out in outs]


if __name__ == "__main__":
    main()
