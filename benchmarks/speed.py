"""Training speed: Thriftune against Trainer + PEFT, ratios in one run.

    python benchmarks/speed.py --texts 9842 --repeats 3        # the whole, hours on two cores
    python benchmarks/speed.py --texts 640 --repeats 3         # the same ratios from a sample
    python benchmarks/speed.py --texts 96 --model bert-base --methods full "lora all" "top_layers 2"
    python benchmarks/speed.py --no-dropout                    # the second table: dropout 0 in both arms

Every text is trained on `--epochs` times; our prefix pass is included. Both arms see the same texts and batch size,
each in a fresh process, the arms alternating; a row's speed is the median of the ratios of neighbouring runs, since a
shared machine is slower in one minute than in the next. Before a row is measured, 50 losses of our engine are compared
with the eager reference path; where they disagree by more than 1e-3 the row reports no speed. Rows are written as they
come.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from compare import medians, merge, run, table
from shapes import MINILM, MODELS

STUDY = "8 top_layers runs (4 learning rates x 2 seeds) as one study"
PREDICTION = "prediction of the test set"
BARS = {
    "top_layers 2": 4.5,
    "lora all": 3.0,
    "lora top 2": 4.5,
    "full": 2.3,
    "head_only": 5.5,
    STUDY: 5.5,
    PREDICTION: 2.0,
}
BASE_BARS = {"top_layers 2": 4.0, "lora all": 2.2, "full": 1.7}
AGREEMENT = 1e-3
COLUMNS = {
    "method": "",
    "peer": "",
    "model": "",
    "texts": "",
    "ours_per_second": ".1f",
    "peer_per_second": ".1f",
    "prefix_share": ".2f",
}


def main() -> None:
    """Measures, prints a table and merges the rows into benchmarks/results/speed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=list(BARS), choices=list(BARS), metavar="METHOD")
    parser.add_argument("--peers", nargs="*", default=["peer"], choices=["peer", "peer-grouped", "peer-max"])
    parser.add_argument("--texts", type=int, default=9842)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default=MINILM, help=f"{', '.join(MODELS)}, or a name or folder")
    parser.add_argument("--tokens", type=int, help="of every text; SNLI pairs as they are unless given")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--no-dropout", action="store_true", help="switch dropout off in both arms")
    parser.add_argument("--name", default="speed", help="name of the results file")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for method in args.methods:
        found = _measured(method, args)
        rows += found
        print(table(rows, {**COLUMNS, "speed": ".2f", "bar": ""}), flush=True)
        print(merge(args.name, vars(args), found, ("method", "peer", "table", "texts", "model", "tokens")), flush=True)


def _measured(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A method's rows, one for each peer."""
    measure = {STUDY: "study", PREDICTION: "prediction"}.get(name, "speed")
    method = {STUDY: "top_layers 2", PREDICTION: "full"}.get(name, name)
    request = {"method": method, "texts": args.texts, "epochs": args.epochs, "dropout": not args.no_dropout}
    request |= {"model": args.model, "tokens": args.tokens, "batch_size": args.batch_size}
    difference = run({"arm": "ours", "measure": "agreement", **request})["difference"]
    agrees = difference <= AGREEMENT
    runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in ("ours", *args.peers)}
    for _ in range(args.repeats if agrees else 0):
        for arm, found in runs.items():
            found.append(run({"arm": arm, "measure": measure, **request}))
    return [_row(name, arm, runs, args, difference) for arm in args.peers]


def _row(
    name: str, arm: str, runs: dict[str, list[dict[str, float]]], args: argparse.Namespace, difference: float
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": name,
        "peer": arm,
        "table": "dropout 0" if args.no_dropout else "as shipped",
        "texts": args.texts,
        "model": args.model,
        "tokens": args.tokens,
        "loss_difference": difference,
        "bar": (BARS if args.model == MINILM else BASE_BARS).get(name)
        if arm == "peer" and not args.no_dropout
        else None,
        "ours_seconds": [found["seconds"] for found in runs["ours"]],
        "peer_seconds": [found["seconds"] for found in runs[arm]],
    }
    if not runs["ours"]:
        unknown = dict.fromkeys(("ours_per_second", "peer_per_second", "prefix_share", "speed"))
        return {
            **row,
            **unknown,
            "ratios": [],
            "speed_reason": f"losses differ from the reference path by {difference:.1e}",
        }
    ours, theirs = medians(runs["ours"]), medians(runs[arm])
    ratios = [peer / own for own, peer in zip(row["ours_seconds"], row["peer_seconds"], strict=True)]
    texts = {STUDY: 8 * args.texts * args.epochs, PREDICTION: ours.get("texts")}.get(name, args.texts * args.epochs)
    return {
        **row,
        "ours_per_second": texts / ours["seconds"],
        "peer_per_second": texts / theirs["seconds"],
        "prefix_share": ours["prefix_seconds"] / ours["seconds"],
        "ratios": ratios,
        "speed": statistics.median(ratios),
    }


if __name__ == "__main__":
    main()
