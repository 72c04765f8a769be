"""Makes src/thriftune/data/demo from the SNLI and CAD-NLI json lines.

    python tools/make_demo_data.py SOURCE

SOURCE holds snli/{validation,test}.jsonl and cad_nli/{original,revised}_test.jsonl, each line an object with
premise, hypothesis and label. The same input gives the same rows in the same order.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

from thriftune.data.splits.make import split_rows

DEMO = Path(__file__).parents[1] / "src" / "thriftune" / "data" / "demo"
COLUMNS = ["premise", "hypothesis", "label"]


def main() -> None:
    """Writes one parquet file per demo dataset and split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path)
    source = parser.parse_args().source

    development = pl.read_ndjson(source / "snli" / "validation.jsonl").select(COLUMNS)
    parts = split_rows(
        {"validation": 0.1},
        development["label"].rank("dense").to_numpy(),
        sorted(set(development["label"])),
        stratify=False,
        groups=development["premise"].to_list(),
        seed=42,
    )
    write(development[parts["train"]], "snli", "train")
    write(development[parts["validation"]], "snli", "validation")
    write(pl.read_ndjson(source / "snli" / "test.jsonl").select(COLUMNS), "snli", "test")
    for name in ("original", "revised"):
        table = pl.read_ndjson(source / "cad_nli" / f"{name}_test.jsonl").select(COLUMNS)
        write(table, f"cad-{name}", "test")


def write(frame: pl.DataFrame, name: str, split: str) -> None:
    """Writes one split, small."""
    path = DEMO / name / f"{split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path, compression="zstd", compression_level=22, statistics=False)
    print(f"{path.relative_to(DEMO)}: {frame.height:,} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
