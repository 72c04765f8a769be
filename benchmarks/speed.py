"""Training speed: Thriftune against Trainer + PEFT, ratios in one run.

    python benchmarks/speed.py --texts 9842 --repeats 3        # the whole, hours on two cores
    python benchmarks/speed.py --texts 640 --repeats 3         # the same ratios from a sample

Every text is trained on `--epochs` times; our prefix pass is included. Both arms see the same texts and batch size,
each in a fresh process, the arms alternating.
"""

from __future__ import annotations

import argparse
from typing import Any

from arms import METHODS
from compare import medians, run, save, table

BARS = {"top_layers 2": 4.5, "lora all": 3.0, "lora top 2": 4.5, "full": 2.3, "head_only": 5.5}


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/speed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--peers", nargs="*", default=["peer"], choices=["peer", "peer-grouped", "peer-max"])
    parser.add_argument("--texts", type=int, default=9842)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-dropout", action="store_true", help="switch dropout off in both arms")
    parser.add_argument("--name", default="speed", help="name of the results file")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for method in args.methods:
        request = {"method": method, "texts": args.texts, "epochs": args.epochs, "dropout": not args.no_dropout}
        runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in ("ours", *args.peers)}
        for _ in range(args.repeats):
            for arm, found in runs.items():
                found.append(run({"arm": arm, **request}))
        ours = medians(runs["ours"])
        for arm in args.peers:
            theirs = medians(runs[arm])
            rows.append(
                {
                    "method": method,
                    "peer": arm,
                    "ours_per_second": args.texts * args.epochs / ours["seconds"],
                    "peer_per_second": args.texts * args.epochs / theirs["seconds"],
                    "prefix_share": ours["prefix_seconds"] / ours["seconds"],
                    "speed": theirs["seconds"] / ours["seconds"],
                    "bar": BARS[method] if arm == "peer" else None,
                    "ours_seconds": [r["seconds"] for r in runs["ours"]],
                    "peer_seconds": [r["seconds"] for r in runs[arm]],
                }
            )
            columns = {"method": "", "peer": "", "ours_per_second": ".1f", "peer_per_second": ".1f"}
            print(table(rows, {**columns, "prefix_share": ".2f", "speed": ".2f", "bar": ""}), flush=True)
    print(save(args.name, vars(args), rows))


if __name__ == "__main__":
    main()
