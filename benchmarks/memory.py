"""Peak live tensor bytes of a training step: Thriftune against Trainer + PEFT, one counter for both.

    python benchmarks/memory.py
    python benchmarks/memory.py --texts 128 --model bert-base deberta-v3-base

The peer is transformers' Trainer as shipped: three steps of Trainer.train on the widest batch, dynamically padded (or
to 256). Ours are training steps on the same batch. The prefix cache is a mapped file and counts apart.
"""

from __future__ import annotations

import argparse
from typing import Any

from arms import METHODS
from compare import merge, run, table
from shapes import MINILM

BARS = {"top_layers 2": 0.4, "lora all": 0.5, "lora top 2": 0.4, "full": 0.7, "head_only": 0.3}


def main() -> None:
    """Measures, prints a table and merges the rows into benchmarks/results/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1280)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--model", nargs="+", default=[MINILM])
    parser.add_argument("--tokens", type=int, help="of every text; SNLI pairs as they are unless given")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--peers", nargs="*", default=["peer"], choices=["peer", "peer-max"])
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for model in args.model:
        for method in args.methods:
            job = {"method": method, "texts": args.texts, "model": model, "tokens": args.tokens}
            rows += compared({"measure": "memory", **job, "batch_size": args.batch_size}, args.peers)
    columns = {"model": "", "method": "", "peer": "", "ours_mb": ".0f", "peer_mb": ".0f", "memory": ".2f", "bar": ""}
    print(table(rows, columns))
    print(merge("memory", vars(args), rows, ("model", "tokens", "method", "peer")))


def compared(request: dict[str, Any], peers: list[str]) -> list[dict[str, Any]]:
    """A method's rows, one for each peer."""
    ours = run({"arm": "ours", **request})
    rows = []
    for arm in peers:
        theirs = run({"arm": arm, **request})
        rows.append(
            {
                **{key: request[key] for key in ("model", "tokens", "method")},
                "peer": arm,
                "ours_mb": ours["peak_memory_bytes"] / 1e6,
                "peer_mb": theirs["peak_memory_bytes"] / 1e6,
                "memory": ours["peak_memory_bytes"] / theirs["peak_memory_bytes"],
                "bar": BARS[request["method"]] if arm == "peer" and request["model"] == MINILM else None,
                "ours": ours,
                "theirs": theirs,
            }
        )
    return rows


if __name__ == "__main__":
    main()
