"""Seconds and memory that tokenising 570,000 pairs takes, as many as SNLI has.

    python benchmarks/tokens.py

The bundled pairs are repeated until there are enough of them, and every one is tokenised, as a study does it.
"""

from __future__ import annotations

import argparse
import time

import polars as pl
from compare import save

from thriftune.cost.measured.environment import process_peak_bytes, usable_processors
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings
from thriftune.data.tokens import encode
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.pretrained.tokenizer import load_tokenizer

BARS = {"seconds": 60.0, "peak_process_bytes": 2_000_000_000}


def main() -> None:
    """Measures, prints and writes benchmarks/results/tokens.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=570_000)
    args = parser.parse_args()
    columns = ["premise", "hypothesis"]
    data = load_dataset(DataSettings(source="demo:snli", text=tuple(columns)))
    bundled = pl.concat([frame.select(columns) for frame in data.splits.values()])
    frame = pl.concat([bundled] * -(-args.texts // bundled.height)).head(args.texts)
    tokenizer = load_tokenizer(resolve_model("demo:minilm"))
    before = process_peak_bytes()
    started = time.perf_counter()
    tokens = encode(tokenizer, [frame[name].to_list() for name in columns], 256, token_types=True)
    seconds = time.perf_counter() - started
    row = {
        "texts": len(tokens),
        "tokens": len(tokens.ids),
        "seconds": seconds,
        "texts_per_second": len(tokens) / seconds,
        "peak_process_bytes": process_peak_bytes(),
        "peak_process_bytes_before": before,
        "processors": usable_processors(),
        "bars": BARS,
    }
    print(f"{row['texts']:,} pairs ({row['tokens']:,} tokens) in {seconds:.1f} s, {row['texts_per_second']:,.0f}/s")
    print(f"process peak {row['peak_process_bytes'] / 1e6:,.0f} MB ({before / 1e6:,.0f} MB before)")
    print(save("tokens", vars(args), [row]))


if __name__ == "__main__":
    main()
