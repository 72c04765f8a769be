"""A small study on a tiny model, from a csv that the test writes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.tiny_data import LABELS, pairs
from tests.tiny_models import model_folder

from thriftune.study.file.config import Study, study_from_dict

ALL_METHODS: list[Any] = [
    "majority",
    "tfidf",
    {"head_only": {"learning_rate": 0.01}},
    {"top_layers": {"layers": 1, "learning_rate": 0.003}},
    {"lora": {"learning_rate": 0.01}},
    {"lora": {"layers": "top 1", "learning_rate": 0.01}},
    {"full": {"learning_rate": 0.003}},
    "bitfit",
    {"peft": {"type": "IA3"}},
]


def write_pairs(path: Path, rows: int = 150, labels: Sequence[Any] = LABELS) -> Path:
    """A csv with the columns who, premise, hypothesis, label."""
    first, second, truth = pairs(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["who", "premise", "hypothesis", "label"])
        writer.writerows(
            [i % 5, a, b, labels[y % len(labels)]] for i, (a, b, y) in enumerate(zip(first, second, truth, strict=True))
        )
    return path


def small_study(folder: Path, kind: str = "bert", **changes: Any) -> Study:
    """A study of `full` on one tiny model; `changes` replace whole keys of the study file, `data` adds to it."""
    source = folder / "pairs.csv"
    if not source.exists():
        write_pairs(source)
    data = {
        "name": "small",
        "data": {
            "source": "pairs.csv",
            "text": ["premise", "hypothesis"],
            "label": "label",
            "split": {"test": 0.3, "validation": 0.2},
            **changes.pop("data", {}),
        },
        "protocol": {"epochs": 2, "batch_size": 16, "max_tokens": 32, "device": "cpu"},
        "models": [str(model_folder(kind))],
        "methods": ALL_METHODS[6:7],
    }
    return study_from_dict({key: value for key, value in (data | changes).items() if value is not None}, folder)
