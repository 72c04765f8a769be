"""What sentence-transformers' files say of pooling."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from thriftune.models.pretrained.pooled_by import Pooling, pooled_by, pooling_of
from thriftune.models.pretrained.sources import resolve_model

FLAGS = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def flags(*true: str) -> dict[str, Any]:
    """1_Pooling/config.json as sentence-transformers wrote it for years."""
    return {"word_embedding_dimension": 8, **{f"pooling_mode_{name}": name in true for name in FLAGS}}


def write(
    folder: Path, config: Any, *after: str, encoder: str = "", package: str = "sentence_transformers.models"
) -> Path:
    """A folder with an encoder, a pooling and what follows."""
    kinds = ["Transformer", "Pooling", *after]
    paths = [encoder, *(f"{index}_{kind}" for index, kind in enumerate(kinds) if index)]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"{package}.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("config", "read"),
    [
        (flags("mean_tokens"), "mean"),
        (flags("cls_token"), "first"),
        (flags("max_tokens"), None),
        (flags("lasttoken"), None),
        (flags("mean_tokens", "max_tokens"), None),
        (flags(), None),
        ({"embedding_dimension": 8, "pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"pooling_mode": "CLS"}, "first"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode": ["cls", "mean"]}, None),
        ({"pooling_mode": "lasttoken"}, None),
    ],
)
def test_the_pooling_is_read_in_both_ways_of_writing_it(tmp_path: Path, config: Any, read: str | None) -> None:
    assert pooled_by(write(tmp_path / "m", config)) == read
    assert pooling_of(tmp_path / "m") == Pooling(read, False)


def test_normalising_and_further_modules(tmp_path: Path) -> None:
    newer = "sentence_transformers.sentence_transformer.modules"
    assert pooling_of(write(tmp_path / "a", flags("mean_tokens"), "Normalize", package=newer)) == Pooling("mean", True)
    dense = write(tmp_path / "b", flags("cls_token"), "Dense", "Normalize")
    assert pooling_of(dense) == Pooling("first", True, ("Dense",))


def test_the_encoders_own_subfolder_is_that_of_the_folder_above(tmp_path: Path) -> None:
    write(tmp_path / "old", flags("mean_tokens"), encoder="0_BERT")
    (tmp_path / "old" / "0_BERT").mkdir()
    (tmp_path / "old" / "other").mkdir()
    assert pooled_by(tmp_path / "old" / "0_BERT") == "mean"
    assert pooled_by(tmp_path / "old" / "other") is None
    assert pooled_by(tmp_path / "old") is None, "the encoder is in the subfolder"


def test_a_folder_without_those_files_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert pooled_by(tmp_path / "plain") is None
    assert pooled_by(tmp_path / "missing") is None


@pytest.mark.parametrize(
    "modules",
    [
        *("", "{", "[]", "{}", "null", "[1, 2]", '[{"path": ""}]', "[" * 100_000, "\ud800"),
        '[{"path": "", "type": 3}, {"path": "1_Pooling", "type": "Pooling"}]',
        '[{"path": "", "type": "Transformer"}, {"path": "../1_Pooling", "type": "Pooling"}]',
        '[{"path": "", "type": "Transformer"}, {"path": "/1_Pooling", "type": "Pooling"}]',
        '[{"path": "", "type": "Transformer"}, {"path": "1_Pooling\\u0000", "type": "Pooling"}]',
        '[{"path": "", "type": "Transformer"}, {"path": "2_Pooling", "type": "Pooling"}]',
        '[{"path": "", "type": "Transformer"}]',
    ],
)
def test_a_damaged_list_of_modules_says_nothing(tmp_path: Path, modules: str) -> None:
    folder = write(tmp_path / "m", flags("mean_tokens"))
    (folder / "modules.json").write_bytes(modules.encode("utf-8", "surrogatepass"))
    assert pooled_by(folder) is None


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        "null",
        '{"pooling_mode": 3}',
        '{"pooling_mode_mean_tokens": "yes"}',
        "{}",
        '{"pooling_mode": [1]}',
    ],
)
def test_a_damaged_pooling_says_nothing(tmp_path: Path, config: str) -> None:
    folder = write(tmp_path / "m", flags("mean_tokens"))
    (folder / "1_Pooling" / "config.json").write_text(config)
    assert pooled_by(folder) is None


def test_pipes_folders_and_large_files_are_not_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", flags("mean_tokens"))
    config = folder / "1_Pooling" / "config.json"
    config.write_text(json.dumps(flags("mean_tokens")) + " " * 2**20)
    assert pooled_by(folder) is None
    config.unlink()
    config.mkdir()
    assert pooled_by(folder) is None
    config.rmdir()
    os.mkfifo(config)
    assert pooled_by(folder) is None


def test_the_demo_model_is_pooled_by_the_mean() -> None:
    assert pooling_of(resolve_model("demo:minilm")) == Pooling("mean", True)


def test_the_files_are_among_those_that_are_fetched_from_the_hub() -> None:
    from huggingface_hub.utils import filter_repo_objects

    from thriftune.models.pretrained.sources import SMALL_FILES

    wanted = ["modules.json", "1_Pooling/config.json"]
    assert list(filter_repo_objects([*wanted, "model.onnx"], allow_patterns=SMALL_FILES)) == wanted
