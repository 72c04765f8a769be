"""Texts per second of the engine's pass through a frozen encoder against sentence-transformers' encode.

    python benchmarks/embeddings.py

Needs `pip install sentence-transformers`. Both arms have the model in memory, take raw texts and give vectors of
length 1; they take turns in one process. sentence-transformers runs its default batches of 32 texts, longest first,
without gradients. The largest difference between their vectors is printed and written with the speeds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from compare import save
from sentence_transformers import SentenceTransformer

from thriftune.cost.measured.environment import use_all_processors
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings
from thriftune.data.tokens import encode
from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.embed import embed
from thriftune.engine.protocol import Protocol
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.study.run.embeddings_run import vectors

BARS = {"ratio": 2.0, "difference": 1e-5}
MAX_TOKENS = 256


def texts_of(name: str, most: int) -> list[str]:
    """Texts of the demo's SNLI (premises, then hypotheses), or of the column text of a csv."""
    if name == "snli":
        columns = ("premise", "hypothesis")
        frame = load_dataset(DataSettings(source="demo:snli", text=columns)).splits["train"]
        return [text for column in columns for text in frame[column].to_list()[: most // 2]]
    return pl.read_csv(name)["text"].to_list()[:most]


def engine(folder: Path, texts: list[str]) -> tuple[float, np.ndarray]:
    """Seconds and vectors of the engine; the model is loaded before the clock starts."""
    classifier = load_classifier(folder, ("a", "b"), HeadSettings(type="mean"))
    types = token_types(classifier.config, classifier.tokenizer)
    started = time.perf_counter()
    tokens = encode(classifier.tokenizer, [texts], MAX_TOKENS, token_types=types)
    examples = {"all": Examples(tokens, np.zeros(len(tokens), dtype=np.int64))}
    found = embed(classifier, examples, Protocol(max_tokens=MAX_TOKENS), PrefixCache(None))["all"].values
    made = vectors(found, normalize=True)
    return time.perf_counter() - started, made


def library(model: Any, texts: list[str]) -> tuple[float, np.ndarray]:
    """Seconds and vectors of sentence-transformers."""
    started = time.perf_counter()
    made = model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    return time.perf_counter() - started, np.asarray(made)


def measured(folder: Path, name: str, texts: list[str], rounds: int) -> dict[str, Any]:
    """One row: both speeds, the median of the ratios of neighbouring runs, and how far the vectors lie apart."""
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = MAX_TOKENS
    engine(folder, texts[:64])  # kernels are compiled, libraries warm
    library(model, texts[:64])
    seconds, difference = [], 0.0
    for _ in range(rounds):
        (ours, found), (theirs, expected) = engine(folder, texts), library(model, texts)
        seconds.append((ours, theirs))
        difference = max(difference, float(np.abs(found - expected).max()))
    ratios = [theirs / ours for ours, theirs in seconds]
    return {
        "texts_of": Path(name).parent.name if name.endswith(".csv") else name,
        "texts": len(texts),
        "engine": len(texts) / statistics.median(ours for ours, _ in seconds),
        "sentence_transformers": len(texts) / statistics.median(theirs for _, theirs in seconds),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "difference": difference,
        "bars": BARS,
    }


def main() -> None:
    """Measures, prints and writes benchmarks/results/embeddings.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", nargs="+", default=["snli"], help="snli, or csv files with a column text")
    args = parser.parse_args()
    use_all_processors()
    folder = resolve_model("demo:minilm")
    rows = []
    for name in args.data:
        row = measured(folder, name, texts_of(name, args.texts), args.rounds)
        rows.append(row)
        print(
            f"{row['texts_of']}: {row['engine']:,.0f} texts/s, sentence-transformers "
            f"{row['sentence_transformers']:,.0f}: {row['ratio']:.2f} times "
            f"({min(row['ratios']):.2f} to {max(row['ratios']):.2f}); vectors differ by up to {row['difference']:.1g}"
        )
    settings = {**vars(args), "data": [row["texts_of"] for row in rows]}
    print(save("embeddings", settings, rows))


if __name__ == "__main__":
    main()
