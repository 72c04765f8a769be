"""Model folders that hold something else, and methods that do not fit a model: found before anything is trained."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bad_inputs.refusal import changed, refused, transformer_study, write_study
from tests.tiny_models import model_folder

HUGE = 10**12
CONFIG: list[tuple[str, Any, str]] = [
    ("hidden_size", "big", 'hidden_size: "big" is given; allowed: a whole number'),
    ("hidden_size", -1, "hidden_size: -1 is given"),
    ("hidden_size", 0, "hidden_size: 0 is given"),
    ("hidden_size", 1.5, "hidden_size: 1.5 is given"),
    ("hidden_size", HUGE, "hidden_size: 1000000000000 is given"),
    ("hidden_size", None, "hidden_size"),
    ("hidden_size", [], "hidden_size"),
    ("hidden_size", {}, "hidden_size: {} is given"),
    ("num_hidden_layers", -1, "num_hidden_layers: -1 is given"),
    ("num_hidden_layers", 0, "num_hidden_layers: 0 is given"),
    ("num_hidden_layers", HUGE, "num_hidden_layers: 1000000000000 is given"),
    ("num_hidden_layers", True, "num_hidden_layers: true is given"),
    ("num_attention_heads", 0, "num_attention_heads: 0 is given"),
    ("num_attention_heads", 5, "cannot be used"),
    ("vocab_size", None, "vocab_size"),
    ("vocab_size", 0, "vocab_size: 0 is given"),
    ("vocab_size", HUGE, "vocab_size: 1000000000000 is given"),
    ("intermediate_size", "3", 'intermediate_size: "3" is given'),
    ("max_position_embeddings", -1, "max_position_embeddings: -1 is given"),
    ("type_vocab_size", "two", "type_vocab_size"),
    ("pad_token_id", HUGE, "cannot be used"),
    ("hidden_act", "nothing", "cannot be used"),
    ("hidden_dropout_prob", 7, "hidden_dropout_prob: 7 is given; allowed: a share"),
    ("hidden_dropout_prob", float("nan"), "hidden_dropout_prob: NaN is given"),
    ("layer_norm_eps", float("nan"), "layer_norm_eps: NaN is given"),
    ("layer_norm_eps", "small", "layer_norm_eps"),
    ("id2label", "x", "cannot be used"),
    ("num_labels", HUGE, "num_labels: 1000000000000 is given"),
    ("dtype", "nothing", "cannot be used"),
    ("model_type", "nothing", "nothing"),
    ("model_type", [], "model_type: [] is given"),
]
FILES: dict[str, tuple[str, bytes | Callable[[Path], object], str]] = {
    "an empty config": ("config.json", b"", "line 1 is not JSON"),
    "a config cut short": ("config.json", b'{"model_type": ', "line 1 is not JSON"),
    "a config that is null": ("config.json", b"null", "holds null; it must be a JSON object"),
    "a config that is a list": ("config.json", b"[]", "holds []"),
    "a deep config": ("config.json", b'{"a":' * 50_000, "it is nested too deep"),
    "a deep list as config": ("config.json", b"[" * 50_000, "it is nested too deep"),
    "a number of 10,000 digits": ("config.json", b'{"a": ' + b"1" * 10_000 + b"}", "a number has too many digits"),
    "a config in Latin-1": ("config.json", b'{"model_type": "b\xe9rt"}', "is not UTF-8 text (byte 17)"),
    "a config in UTF-16": ("config.json", "{}".encode("utf-16"), "is not UTF-8 text (byte 0)"),
    "a config without a type": ("config.json", b"{}", "model_type"),
    "a config of 40 MB": ("config.json", b'{"a": "' + b"x" * 40_000_000 + b'"}', "bytes; at most"),
    "a pipe as config": ("config.json", os.mkfifo, "config.json is a pipe (FIFO)"),
    "a folder as config": ("config.json", lambda path: path.mkdir(), "config.json is a folder"),
    "a device as config": ("config.json", lambda path: path.symlink_to("/dev/zero"), "config.json is a device"),
    "a link to nothing as config": ("config.json", lambda path: path.symlink_to("gone"), "a link to gone"),
    "a pipe as weights": ("model.safetensors", os.mkfifo, "model.safetensors is a pipe (FIFO)"),
    "a folder as weights": ("model.safetensors", lambda path: path.mkdir(), "model.safetensors is a folder"),
    "an empty tokenizer": ("tokenizer.json", b"", "The tokenizer in"),
    "a tokenizer that is null": ("tokenizer.json", b"null", "The tokenizer in"),
    "a deep tokenizer": ("tokenizer.json", b"[" * 50_000, "The tokenizer in"),
    "a pipe as tokenizer": ("tokenizer.json", os.mkfifo, "tokenizer.json is a pipe (FIFO)"),
    "a folder as tokenizer": ("tokenizer.json", lambda path: path.mkdir(), "tokenizer.json is a folder"),
    "tokenizer settings that are a list": ("tokenizer_config.json", b"[]", "tokenizer_config.json holds []"),
    "deep tokenizer settings": ("tokenizer_config.json", b"[" * 50_000, "it is nested too deep"),
    "tokens cut short": ("special_tokens_map.json", b"{", "special_tokens_map.json, line 1 is not JSON"),
}
METHODS: list[tuple[Any, str]] = [
    ({"lora": {"rank": 10**9}}, "lora: rank is 1000000000, but the largest of the target matrices is 32 x 32"),
    ({"lora": {"rank": 33}}, "an update of low rank has at most 32"),
    ({"lora_fa": {"rank": 33}}, "lora_fa: rank is 33"),
    ({"lora": {"layers": "top 99"}}, "Give 1 to 3"),
    ({"lora": {"targets": ["nothing"]}}, "no Linear module called nothing"),
    ({"lora": {"targets": ["query\0"]}}, "no Linear module called query\\x00"),
    ({"lora": {"targets": ["x" * 5_000]}}, "no Linear module called xxx"),
    ({"top_layers": {"layers": 10**18}}, "Give 1 to 3"),
    ({"peft": {"type": "nothing"}}, 'PEFT type "nothing" is not known'),
    ({"peft": {"type": "x" * 5_000}}, "is not known"),
    ({"peft": {"type": "ia\x1b3"}}, 'PEFT type "ia\\x1b3" is not known'),
    ({"peft": {"type": "LORA", "r": 10**9}}, "r is 1000000000, but no matrix"),
    ({"peft": {"type": "LORA", "r": "x"}}, "PEFT cannot adapt"),
    ({"peft": {"type": "LORA", "r": -1}}, "r"),
    ({"peft": {"type": "LORA", "target_modules": "[open"}}, "PEFT cannot adapt"),
    ({"peft": {"type": "LORA", "alpha_pattern": {"[": 3}}}, "PEFT cannot adapt"),
    ({"peft": {"type": "PROMPT_TUNING", "num_virtual_tokens": HUGE}}, "num_virtual_tokens is 1000000000000"),
]


@pytest.fixture
def model() -> Path:
    """A sound model, linked file by file, which a test spoils."""
    folder = Path("model")
    folder.mkdir()
    for path in model_folder("bert").iterdir():
        shutil.copy(path, folder / path.name)
    return folder


@pytest.mark.parametrize(("key", "value", "fragment"), CONFIG)
def test_config(model: Path, key: str, value: Any, fragment: str) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    write_study(transformer_study("model"))
    refused(["compare", "study.yaml", "--out", "out"], fragment)
    refused(["estimate", "study.yaml", "--no-probe", "--tokens", "16"], str(path))


@pytest.mark.parametrize("name", FILES)
def test_files(model: Path, name: str) -> None:
    file, content, fragment = FILES[name]
    (model / file).unlink(missing_ok=True)
    if callable(content):
        content(model / file)
    else:
        (model / file).write_bytes(content)
    write_study(transformer_study("model"))
    refused(["compare", "study.yaml", "--out", "out"], fragment)


@pytest.mark.parametrize(("method", "fragment"), METHODS, ids=lambda value: str(value)[:40])
def test_methods(model: Path, method: Any, fragment: str) -> None:
    write_study(transformer_study("model", methods=[method]))
    refused(["compare", "study.yaml", "--out", "out"], fragment)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("nothing", 'Model "nothing" is not there'),
        ("reviews.csv", 'Model "reviews.csv" is not there'),
        ("/dev/null", 'Model "/dev/null" is not there'),
        (".", 'Model folder "." has no config.json'),
        ("~nosuchuser/model", 'there is no user "nosuchuser" here'),
        ("x" * 300, "it has a name of 300 bytes"),
        ("demo:", 'Demo model "" is not known'),
        ("hub:", "is not on the hub"),
        ("hub:../..", "is not on the hub"),
    ],
)
def test_names(name: str, fragment: str) -> None:
    write_study(transformer_study(name))
    refused(["compare", "study.yaml", "--out", "out"], fragment)


def test_a_step_of_more_batches_than_there_are(model: Path) -> None:
    write_study(changed(transformer_study("model"), "protocol.accumulate", 1_000))
    message = "protocol.accumulate is 1,000, but an epoch has 2 batches (36 training texts, batch_size 32)"
    refused(["compare", "study.yaml", "--out", "out"], message)


def test_more_tokens_than_positions(model: Path) -> None:
    write_study(changed(transformer_study("model"), "protocol.max_tokens", 65))
    refused(["compare", "study.yaml", "--out", "out"], "max_tokens is 65")
