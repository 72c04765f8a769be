"""Texts per second of a trained classifier in use against what a user has otherwise, and the memory of large files.

    python benchmarks/predict.py --folder ../shared/data/banking77
    python benchmarks/predict.py

The texts are those of test.csv in the folder (a column text), else the demo's SNLI hypotheses. One model folder, made
from the demo's encoder with a head that is not trained (its speed is the same), is predicted by three arms that take
turns in one process, each with the model in memory and from raw texts: `Classifier.predict_proba`, transformers'
text-classification pipeline with batches of 32, and, where sentence-transformers is installed, its `encode` of the same
encoder (no head). The largest difference between our probabilities and the pipeline's is printed and written with the
speeds. Then `predict_file` labels files of 20,000 and 200,000 of these texts, repeated with a number, each in a fresh
process whose largest resident set is read.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from compare import save

from thriftune.cost.measured.environment import process_peak_bytes
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.trained.save import save_classifier
from thriftune.models.trained.usage import Reading
from thriftune.processors import bound_caches
from thriftune.use.classifier import Classifier
from thriftune.use.predict import Options, predict_file

BARS = {"pipeline": 3.0, "sentence_transformers": 2.0, "memory_bytes": 1.5e9}
MAX_TOKENS = 256
LABELS = tuple(f"label {index}" for index in range(77))
Arm = Callable[[list[str]], np.ndarray]


def texts_of(folder: Path | None, most: int) -> list[str]:
    """Texts of a folder's test.csv, or of the demo."""
    if folder is not None:
        return pl.read_csv(folder / "test.csv")["text"].to_list()[:most]
    columns = ("premise", "hypothesis")
    frame = load_dataset(DataSettings(source="demo:snli", text=columns)).splits["test"]
    return frame["hypothesis"].to_list()[:most]


def stored(folder: Path) -> Path:
    """A run's model folder with the demo's encoder and a new head."""
    made = load_classifier(resolve_model("demo:minilm"), LABELS)
    for part in made.head_modules:
        for parameter in part.parameters():
            parameter.data.mul_(20)  # a fresh head says nearly the same of all texts, which would hide differences
    save_classifier(made, folder, Reading(("text",), MAX_TOKENS))
    return folder


def arms(folder: Path) -> dict[str, Arm]:
    """What takes texts, by name; `ours` first."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    ours = Classifier.load(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    pipe: Any = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))

    def piped(texts: list[str]) -> np.ndarray:
        rows = pipe(texts, batch_size=32, truncation=True, max_length=MAX_TOKENS, top_k=None)
        scores = ({each["label"]: each["score"] for each in row} for row in rows)
        return np.array([[row[label] for label in LABELS] for row in scores])

    found: dict[str, Arm] = {"ours": ours.predict_proba, "pipeline": piped}
    if importlib.util.find_spec("sentence_transformers") is not None:
        from sentence_transformers import SentenceTransformer

        encoder = SentenceTransformer(str(resolve_model("demo:minilm")), device="cpu")
        encoder.max_seq_length = MAX_TOKENS
        found["sentence_transformers"] = lambda texts: np.asarray(
            encoder.encode(texts, batch_size=32, show_progress_bar=False)
        )
    return found


def speeds(folder: Path, texts: list[str], rounds: int) -> list[dict[str, Any]]:
    """A row for each other arm: medians, and the ratios of neighbouring runs."""
    seconds: dict[str, list[float]] = {}
    made: dict[str, np.ndarray] = {}
    found = arms(folder)
    for arm in found.values():
        arm(texts[:64])  # kernels are compiled, libraries warm
    for _ in range(rounds):
        for name, arm in found.items():
            started = time.perf_counter()
            made[name] = arm(texts)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
    rows = []
    for name in [name for name in found if name != "ours"]:
        ratios = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds[name], strict=True)]
        rows.append(
            {
                "against": name,
                "texts": len(texts),
                "ours": len(texts) / statistics.median(seconds["ours"]),
                "theirs": len(texts) / statistics.median(seconds[name]),
                "ratio": statistics.median(ratios),
                "ratios": ratios,
                "difference": float(np.abs(made["ours"] - made[name]).max()) if name == "pipeline" else None,
                "bar": BARS[name],
            }
        )
    return rows


def memory(folder: Path, texts: list[str], count: int) -> dict[str, Any]:
    """What a fresh process needs at most to label so many texts, and its speed."""
    file = folder / f"{count}.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["text"])
        writer.writerows([f"{texts[index % len(texts)]} {index}"] for index in range(count))
    command = [sys.executable, "-W", "ignore", __file__, "--label", str(folder / "model"), str(file)]
    variables = dict(os.environ)
    bound_caches(variables)  # as the command does
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"rows": count, "bar": BARS["memory_bytes"]} | found


def label(model: Path, file: Path) -> None:
    """One file labelled; prints the process's peak and its speed as JSON."""
    done = predict_file(Classifier.load(model), file, file.with_suffix(".out.csv"), Options(), print)
    print(json.dumps({"peak_process_bytes": process_peak_bytes(), "rows_per_second": done.new / done.seconds}))


def main() -> None:
    """Measures, prints and writes benchmarks/results/predict.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="holds test.csv with a column text; else the demo's texts")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rows", type=int, nargs="*", default=[20_000, 200_000], help="of the files whose memory counts"
    )
    parser.add_argument("--label", type=Path, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.label:
        label(*args.label)
        return
    texts = texts_of(args.folder, args.texts)
    with tempfile.TemporaryDirectory(prefix="thriftune-predict-") as name:
        folder = Path(name)
        rows = speeds(stored(folder / "model"), texts, args.rounds)
        for row in rows:
            apart = "" if row["difference"] is None else f"; probabilities differ by up to {row['difference']:.1g}"
            print(
                f"{row['ours']:,.0f} texts/s, {row['against']} {row['theirs']:,.0f}: {row['ratio']:.2f} times "
                f"({min(row['ratios']):.2f} to {max(row['ratios']):.2f}){apart}"
            )
        for count in args.rows:
            rows.append(memory(folder, texts, count))
            peak = rows[-1]["peak_process_bytes"]
            print(f"{count:,} rows: {peak / 1e6:,.0f} MB at most, {rows[-1]['rows_per_second']:,.0f} rows/s")
    settings = {**vars(args), "folder": args.folder and args.folder.name, "label": None}
    print(save("predict", settings, rows))


if __name__ == "__main__":
    main()
