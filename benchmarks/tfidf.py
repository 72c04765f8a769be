"""What the `tfidf` baseline reaches with its defaults, and the processor seconds that choosing and training take.

    python benchmarks/tfidf.py DATA [--seeds 3]

DATA holds banking77/{train,test}.csv (columns text, category) and
clinc150/imbalanced_{train,validation,test}.jsonl (keys text, intent); SNLI is the demo's. A tenth of BANKING77's
training rows, drawn with the seed, is validation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

import thriftune
from thriftune.methods.base import Labelled
from thriftune.methods.tfidf import Tfidf

Splits = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]
"""Training, validation and test texts."""


def main() -> None:
    """Prints one line for each set of texts and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="how many samples of 1,000 rows are drawn")
    args = parser.parse_args()
    Tfidf().fit(Labelled([["a", "b"] * 4], np.array([0, 1] * 4)), 2, 0)  # imports scikit-learn
    for name, splits, texts, label in sets(args.data, args.seeds):
        labels = splits[0][label].unique().sort().to_list()
        train, validation, test = (
            Labelled([rows[column].to_list() for column in texts], np.searchsorted(labels, rows[label].to_list()))
            for rows in splits
        )
        started = time.process_time()
        fitted = Tfidf().fit(train, len(labels), 0, validation)
        seconds = time.process_time() - started
        probabilities = fitted.predict(test.texts)
        accuracy = (probabilities.argmax(axis=1) == test.labels).mean()
        loss = -np.log(np.clip(probabilities[np.arange(len(test.labels)), test.labels], 1e-12, None)).mean()
        print(f"{name}: {len(train.labels):,} texts, {accuracy:.2%}, loss {loss:.2f}, {seconds:.1f} s", flush=True)
        for note in fitted.notes:
            print(f"    {note}")


def sets(data: Path, seeds: int) -> Iterator[tuple[str, Splits, list[str], str]]:
    """Name, splits, text columns and label column."""
    train, test = (pl.read_csv(data / "banking77" / f"{name}.csv") for name in ("train", "test"))
    for seed in range(seeds):
        yield f"BANKING77, 1,000 rows, seed {seed}", (*parted(train, seed, 1000), test), ["text"], "category"
    yield "BANKING77, all rows", (*parted(train, 0, None), test), ["text"], "category"
    clinc = [pl.read_ndjson(data / "clinc150" / f"imbalanced_{name}.jsonl") for name in ("train", "validation", "test")]
    yield "CLINC150, imbalanced", (clinc[0], clinc[1], clinc[2]), ["text"], "intent"
    demo = Path(thriftune.__file__).parent / "data" / "demo" / "snli"
    snli = [pl.read_parquet(demo / f"{name}.parquet") for name in ("train", "validation", "test")]
    yield "SNLI, 3,000 pairs", (snli[0].head(3000), snli[1], snli[2]), ["premise", "hypothesis"], "label"


def parted(rows: pl.DataFrame, seed: int, limit: int | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training rows and, of a tenth of all, validation rows; with a limit so many and a tenth of as many."""
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=seed)
    tenth = len(rows) // 10
    if limit is None:
        return mixed[tenth:], mixed[:tenth]
    return mixed[tenth : tenth + limit], mixed[: limit // 10]


if __name__ == "__main__":
    main()
