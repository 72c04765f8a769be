"""Peak live tensor bytes of a training step: Thriftune against Trainer + PEFT, one counter for both.

    python benchmarks/memory.py

The peer is transformers' Trainer as shipped: three steps of Trainer.train on the widest batch, dynamically padded (or
to 256). Ours are training steps on the same batch. The prefix cache is a mapped file and counts apart.
"""

from __future__ import annotations

import argparse
from typing import Any

from arms import METHODS
from compare import run, save, table

BARS = {"top_layers 2": 0.4, "lora all": 0.5, "lora top 2": 0.4, "full": 0.7, "head_only": 0.3}


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1280)
    parser.add_argument("--peers", nargs="*", default=["peer"], choices=["peer", "peer-max"])
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for method in METHODS:
        request = {"measure": "memory", "method": method, "texts": args.texts}
        ours = run({"arm": "ours", **request})
        for arm in args.peers:
            theirs = run({"arm": arm, **request})
            rows.append(
                {
                    "method": method,
                    "peer": arm,
                    "ours_mb": ours["peak_memory_bytes"] / 1e6,
                    "peer_mb": theirs["peak_memory_bytes"] / 1e6,
                    "memory": ours["peak_memory_bytes"] / theirs["peak_memory_bytes"],
                    "bar": BARS[method] if arm == "peer" else None,
                    "ours": ours,
                    "theirs": theirs,
                }
            )
    columns = {"method": "", "peer": "", "ours_mb": ".0f", "peer_mb": ".0f", "memory": ".2f", "bar": ""}
    print(table(rows, columns))
    print(save("memory", vars(args), rows))


if __name__ == "__main__":
    main()
