"""Values of a study file that no run can use: wrong types, absurd sizes, empty lists, names that cannot be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.bad_inputs.refusal import changed, refused, study, transformer_study, write_study

HUGE = 10**18
TRANSFORMER: list[tuple[str, Any, str]] = [
    ("protocol.epochs", HUGE, "it must be at most 100000"),
    ("protocol.epochs", 10**200, "it must be at most 100000"),
    ("protocol.epochs", True, "protocol.epochs: true is given; allowed: a whole number"),
    ("protocol.epochs", "3", 'protocol.epochs: "3" is given'),
    ("protocol.epochs", 2.0, "protocol.epochs: 2.0 is given"),
    ("protocol.epochs", [3], "protocol.epochs: [3] is given"),
    ("protocol.epochs", {}, "protocol.epochs: {} is given"),
    ("protocol.epochs", None, "protocol.epochs: null is given"),
    ("protocol.batch_size", 10**12, "it must be at most 1000000"),
    ("protocol.batch_size", [], "protocol.batch_size: is an empty list"),
    ("protocol.batch_size", [8, 8], "names a size twice"),
    ("protocol.accumulate", 10**12, "it must be at most 1000000"),
    ("protocol.max_tokens", HUGE, "it must be at most 1000000"),
    ("protocol.optimizer.weight_decay", 1e300, "it must be at most 1000"),
    ("protocol.optimizer.epsilon", 1e300, "it must be at most 1"),
    ("protocol.optimizer.beta1", 1, "it must be below 1"),
    ("protocol.optimizer", [], "allowed: a mapping of weight_decay"),
    ("protocol.gpu_prefix_gb", 1e300, "it must be at most 1000000"),
    ("protocol.schedule.warmup", 1.5, "it must be below 1"),
    ("protocol.schedule.warmup", "10%", 'protocol.schedule.warmup: "10%" is given'),
    ("protocol.schedule", "linear", "allowed: a mapping of type"),
    ("protocol.early_stopping", True, "protocol.early_stopping: true is given"),
    ("protocol", [], "protocol: [] is given; allowed: a mapping"),
    ("protocol", None, "protocol: null is given; allowed: a mapping"),
    ("head", "linear", 'head: "linear" is given; allowed: a mapping'),
    ("head", {"dropout": 1}, "head.dropout: 1.0 is given, it must be below 1"),
    ("seeds", [2**63], "it must be at most 9223372036854775807"),
    ("seeds", [10**200], "it must be at most 9223372036854775807"),
    ("seeds", [True], "seeds: [true] is given"),
    ("seeds", [[1]], "seeds: [[1]] is given"),
    ("seeds", [], "seeds: is empty"),
    ("seeds", {}, "seeds: {} is given"),
    ("methods", None, "methods.0: null is given"),
    ("methods", [[["full"]]], 'methods.0: [["full"]] is given'),
    ("methods", [{"full": []}], "methods.0.full: [] is given; allowed: a mapping"),
    ("methods", {"full": {}, "lora": {}}, "has 2 keys"),
    ("methods", ["full\x1b[31m"], 'method "full\\u001b[31m" is not known'),
    ("methods", ["x" * 5_000], "is not known; known: bitfit"),
    ("methods.0", {"full": {"learning_rate": []}}, "learning_rate: is an empty list"),
    ("methods.0", {"full": {"learning_rate": 1e300}}, "it must be from 1e-30 to 1e+38"),
    ("methods.0", {"full": {"learning_rate": 1e-320}}, "it must be from 1e-30 to 1e+38"),
    ("methods.0", {"full": {"learning_rate": [1e-3, 1e-3]}}, "names 0.001 twice"),
    ("methods.0", {"full": {"learning_rate": "1e-3x"}}, 'learning_rate: "1e-3x" is given'),
    ("methods.0", {"full": {"text": ["text", "text"]}}, 'methods.0.full.text.1: "text" stands twice'),
    ("methods.0", {"full": {"text": []}}, "methods.0.full.text: is empty"),
    ("methods.0", {"full": {"text": ["nothing"]}}, "is no text column of the study"),
    ("methods.0", {"lora": {"rank": 0}}, "methods.0.lora.rank: 0 is given"),
    ("methods.0", {"lora": {"rank": True}}, "methods.0.lora.rank: true is given"),
    ("methods.0", {"lora": {"alpha": 1e300}}, "it must be at most 1000000"),
    ("methods.0", {"lora": {"targets": []}}, "methods.0.lora.targets: is an empty list"),
    ("methods.0", {"lora": {"targets": ["query", "query"]}}, "names a module twice"),
    ("methods.0", {"lora": {"layers": "top 0"}}, 'methods.0.lora.layers: "top 0" is given'),
    ("methods.0", {"lora": {"layers": f"top {'9' * 5_000}"}}, "give all, or top N"),
    ("methods.0", {"top_layers": {"layers": []}}, "methods.0.top_layers.layers: [] is given"),
    ("methods.0", {"peft": {}}, "methods.0.peft.type: is missing"),
    ("methods.0", {"peft": {"type": "IA3", "config": [], "x": 1}}, "methods.0.peft.config: [] is given"),
    ("methods", ["nothing.here:Method"], "methods.0: "),
    ("methods", [{"json:dumps": {"a": 1}}], "is no class that derives from"),
    ("methods", [":x"], "names no code"),
    ("methods", ["os:"], "names no code"),
    ("models", [""], 'models.0: "" is given; allowed: demo:NAME'),
    ("models", ["m\0"], 'models.0: "m\\u0000" is given'),
    ("models", ["a", "./a"], "models.1: stands twice"),
    ("models", [3], "models: [3] is given"),
    ("models", {}, "models: {} is given"),
    ("runs", [None], "runs.0: null is given; allowed: a mapping"),
    ("published", {"full": {"accuracy": -1}}, "published.full.accuracy: -1 is given, it must be at least 0"),
    ("published", {"full": {"macro_f1": 5}}, "published.full.macro_f1: 5 is given, it must be a fraction"),
    ("published", {"full": {"loss": True}}, "published.full.loss: true is given; allowed: a number"),
    ("published", {"full": {"per_class": [1]}}, "allowed: a mapping of labels to scores"),
    ("published", {"full": None}, 'published: {"full": null} is given'),
]
ANY: list[tuple[str, Any, str]] = [
    ("name", "n" * 5_000, "name: has 5,000 characters; at most 200"),
    ("name", "a\0b", 'name: "a\\u0000b" is given'),
    ("name", "a\nb", 'name: "a\\nb" is given'),
    ("name", "\x1b[31mred", 'name: "\\u001b[31mred" is given'),
    ("name", "a\u202eb", 'name: "a\\u202eb" is given'),
    ("name", "\u200b", 'name: "\\u200b" is given'),
    ("name", " ", 'name: " " is given'),
    ("name", [], "name: [] is given; allowed: text"),
    ("margin", [], "margin: [] is given; allowed: a number"),
    ("margin", "0.5", 'margin: "0.5" is given'),
    ("margin", True, "margin: true is given"),
    ("data", [], "data: [] is given; allowed: a mapping"),
    ("data.source", [], "data.source: [] is given"),
    ("data.source", {"train": 3}, 'data.source: {"train": 3} is given'),
    ("data.source", {"x": "reviews.csv"}, "data.source.x: unknown split"),
    ("data.text", [], "data.text: 0 columns are given"),
    ("data.text", [3], "data.text: [3] is given"),
    ("data.text", ["text", "text"], "data.text.1: stands twice"),
    ("data.text", ["label"], '"label" is the label column'),
    ("data.text", ["text", "id", "extra"], "data.text: 3 columns are given"),
    ("data.label", [], "data.label: [] is given"),
    ("data.keep", ["extra", "extra"], "data.keep.1: stands twice"),
    ("data.keep", ["text"], '"text" has no effect'),
    ("data.split", {"test": 0.5, "validation": 0.5}, "leaves no rows to train on"),
    ("data.split", {"test": "20%"}, 'data.split.test: "20%" is given'),
    ("data.split", {"test": 0.2, "seed": 2**64}, "data.split.seed: 18446744073709551616 is given"),
    ("data.split", [], "data.split: [] is given"),
    ("data.limit", 0, "data.limit: 0 is given"),
    ("data.limit", {"train": 0}, "data.limit.train: 0 is given, it must be at least 1"),
    ("data.limit", {"train": True}, 'data.limit: {"train": true} is given'),
    ("data.limit", {"nothing": 1}, "data.limit.nothing: unknown split"),
    ("robustness", [], "robustness: [] is given"),
    ("robustness", {"a/b": "reviews.csv"}, 'robustness.a/b: "a/b" is given'),
    ("robustness", {"x\0": "reviews.csv"}, 'robustness.x\\x00: "x\\u0000" is given'),
    ("robustness", {"x" * 300: "reviews.csv"}, "up to 64 letters"),
    ("robustness", {"CON": "reviews.csv"}, "Windows gives to a device"),
    ("robustness", {"test": "reviews.csv"}, "is the name of a split"),
]


def _name(row: Any) -> str:
    return f"{row}"[:60] if isinstance(row, str) else f"{row!r}"[:40]


@pytest.mark.parametrize(("path", "value", "fragment"), TRANSFORMER, ids=_name)
def test_of_transformers(path: str, value: Any, fragment: str) -> None:
    write_study(changed(transformer_study(), path, copy.deepcopy(value)))
    refused(["compare", "study.yaml", "--out", "out"], fragment)


@pytest.mark.parametrize(("path", "value", "fragment"), ANY, ids=_name)
def test_of_any_study(path: str, value: Any, fragment: str) -> None:
    write_study(changed(study(), path, copy.deepcopy(value)))
    refused(["compare", "study.yaml", "--out", "out"], fragment)
