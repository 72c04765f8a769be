"""A run that stores what does not predict what it predicted fails, and says what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.study.small_study import small_study, write_pairs
from tests.tiny_models import save_tiny
from transformers import AutoTokenizer

from thriftune.data.tokens import Tokens
from thriftune.models.trained import save
from thriftune.results.record import RunRecord
from thriftune.results.store import Store
from thriftune.study import execute
from thriftune.study.events import RunStarted
from thriftune.study.run import promise

SHORT = {"epochs": 1, "batch_size": 16, "max_tokens": 10, "device": "cpu"}


def run(folder: Path, **changes: Any) -> RunRecord:
    study = small_study(folder, protocol=SHORT, **changes)
    return execute.compare(study, folder / "out", isolate=False).runs[0]


def damaged(monkeypatch: pytest.MonkeyPatch, damage: Any) -> None:
    """Has `damage(folder)` happen to whatever is saved."""
    real = save.save_classifier

    def saving(classifier: Any, folder: Path, reading: Any = None) -> int:
        size = real(classifier, folder, reading)
        damage(folder)
        return size

    monkeypatch.setattr(save, "save_classifier", saving)


def test_one_segment_and_a_single_column_keep_it(tmp_path: Path) -> None:
    methods = [{"lora": {"text": ["hypothesis"]}}, "full"]
    study = small_study(tmp_path, "roberta", methods=methods, data={"pair": "one_segment"}, protocol=SHORT)
    results = execute.compare(study, tmp_path / "out", isolate=False)
    assert [record.status for record in results.runs] == ["done", "done"]
    usages = [
        json.loads((results.store.run(record.run_id).model_path / "thriftune.json").read_text())
        for record in results.runs
    ]
    assert [usage["columns"] for usage in usages] == [["hypothesis"], ["premise", "hypothesis"]]
    assert [usage["join"] is None for usage in usages] == [True, False]


def test_a_model_that_reads_padding_keeps_it(tmp_path: Path) -> None:
    """Its test set has more texts, and lengths, than a batch."""
    study = small_study(tmp_path, "funnel", methods=["head_only"], data={"split": {"test": 0.5, "validation": 0.2}})
    results = execute.compare(study, tmp_path / "out", isolate=False)
    assert results.runs[0].status == "done", results.runs[0].message
    assert any("depends on how far it is padded" in note for note in results.runs[0].notes)


def test_settings_of_the_tokenizer_hold_to_the_end(tmp_path: Path) -> None:
    """Texts are cut on the left, a marker stays whole, and no token types are fed to a model that has them."""
    model = tmp_path / "model"
    save_tiny("bert", model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    path, settings = model / "tokenizer_config.json", {"truncation_side": "left"}
    settings |= {"model_input_names": ["input_ids", "attention_mask"], "extra_special_tokens": ["[E1]"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    words = model / "tokenizer.json"
    words.write_text(words.read_text().replace('"9":', '"[E1]":'))
    marker = tokenizer.convert_tokens_to_ids("9")
    pairs = write_pairs(tmp_path / "pairs.csv")
    pairs.write_text(pairs.read_text().replace("the ", "[SEP] the[E1]"))
    seen: list[Tokens] = []

    def listen(event: Any) -> None:
        if isinstance(event, RunStarted):
            found = (tmp_path / "out").glob(".*/tokens/*/test")
            seen.extend(Tokens.load(folder) for folder in found)

    study = small_study(tmp_path, models=[str(model)], methods=["bitfit"], protocol=SHORT)
    results = execute.compare(study, tmp_path / "out", listen, isolate=False)
    assert results.runs[0].status == "done", results.runs[0].message
    (tokens,) = seen
    assert tokens.types is None
    assert tokens.truncated
    assert marker in tokens.ids
    assert (tokens.ids == tokenizer.sep_token_id).sum() == 2 * len(tokens)
    stored = AutoTokenizer.from_pretrained(results.store.run(results.runs[0].run_id).model_path)
    assert stored.truncation_side == "left"
    assert stored.model_input_names == ["input_ids", "attention_mask"]


def test_other_weights_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors["classifier.weight"] = torch.flip(tensors["classifier.weight"], [0])
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    damaged(monkeypatch, damage)
    record = run(tmp_path)
    assert record.status == "failed"
    assert "does not predict what the run predicted: it gives other probabilities for" in str(record.message)
    assert "with another label" in str(record.message)
    assert not Store(tmp_path / "out").run(record.run_id).model_path.exists()


def test_other_tokens_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(folder: Path) -> None:
        path = folder / "tokenizer.json"
        path.write_text(path.read_text().replace('"the"', '"thé"'))

    damaged(monkeypatch, damage)
    record = run(tmp_path)
    assert record.status == "failed"
    assert "its tokenizer gives other input_ids for" in str(record.message)


def test_lost_token_types_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damage(folder: Path) -> None:
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text()) | {"model_input_names": ["input_ids", "attention_mask"]}
        path.write_text(json.dumps(config))

    damaged(monkeypatch, damage)
    record = run(tmp_path)
    assert record.status == "failed"
    assert "token_type_ids" in str(record.message)


def test_sample() -> None:
    assert promise.evenly_spaced(3).tolist() == [0, 1, 2]
    rows = promise.evenly_spaced(1000)
    assert (len(rows), rows[0], rows[-1]) == (64, 0, 999)
    assert np.ptp(np.diff(rows)) <= 1
