"""What each technique of the engine gains alone: training speed and memory with it and without it.

    python benchmarks/ablation.py                # the whole
    python benchmarks/ablation.py --texts 64     # whether it runs

Every row is the engine at its defaults but for one technique, in a fresh process; the last rows switch recomputation
of layers on instead. Seconds are the training steps' and the prefix pass's; memory is live tensor bytes at the peak
of a step on the widest batch.
"""

from __future__ import annotations

import argparse
from typing import Any

from arms import METHODS
from compare import medians, merge, run, table
from techniques import ALL, TECHNIQUES

RECOMPUTE = "recompute: layers (switched on)"


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/ablation.json after every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1280)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=list(ALL), choices=list(METHODS))
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for method in args.methods:
        chosen = [name for name, technique in TECHNIQUES.items() if method in technique.methods]
        arms: dict[str, dict[str, Any]] = {
            "all on": {},
            **{name: {"technique": name} for name in chosen},
            RECOMPUTE: {"recompute": "layers"},
        }
        found: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
        request = {"measure": "ablation", "arm": "ours", "method": method, "texts": args.texts, "epochs": args.epochs}
        for _ in range(args.repeats):
            for arm, change in arms.items():
                found[arm].append(run({**request, **change}))
        rows += [_row(method, arm, medians(runs), medians(found["all on"])) for arm, runs in found.items()]
        columns = {"method": "", "without": "", "per_second": ".1f", "speed": ".2f", "peak_mb": ".1f", "memory": ".2f"}
        print(table(rows, columns), flush=True)
        print(merge("ablation", vars(args), rows, ("method", "without")))


def _row(method: str, arm: str, own: dict[str, float], everything: dict[str, float]) -> dict[str, Any]:
    return {
        "method": method,
        "without": arm,
        "per_second": own["samples_per_second"],
        "speed": own["samples_per_second"] / everything["samples_per_second"],
        "peak_mb": own["peak_memory_bytes"] / 1e6,
        "memory": own["peak_memory_bytes"] / everything["peak_memory_bytes"],
    }


if __name__ == "__main__":
    main()
