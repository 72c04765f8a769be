"""A run that stores what does not predict what it predicted fails, and says what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.study.small_study import small_study

from thriftune.models import save
from thriftune.results.record import RunRecord
from thriftune.study import execute, promise


def run(folder: Path, **changes: Any) -> RunRecord:
    return execute.compare(small_study(folder, **changes), folder / "out", isolate=False).runs[0]


def damaged(monkeypatch: pytest.MonkeyPatch, damage: Any) -> None:
    """Has `damage(folder)` happen to whatever is saved."""
    real = save.save_classifier

    def saving(classifier: Any, folder: Path, reading: Any = None) -> int:
        size = real(classifier, folder, reading)
        damage(folder)
        return size

    monkeypatch.setattr(save, "save_classifier", saving)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_one_segment_and_a_single_column_keep_it(kind: str, tmp_path: Path) -> None:
    methods = [{"lora": {"learning_rate": 0.01, "text": ["hypothesis"]}}, {"full": {"learning_rate": 0.003}}]
    study = small_study(tmp_path, kind, methods=methods, data={"pair": "one_segment"})
    results = execute.compare(study, tmp_path / "out", isolate=False)
    assert [record.status for record in results.runs] == ["done", "done"]
    usages = [
        json.loads((results.store.run(record.run_id).model_path / "thriftune.json").read_text())
        for record in results.runs
    ]
    assert [usage["columns"] for usage in usages] == [["hypothesis"], ["premise", "hypothesis"]]
    assert [usage["join"] is None for usage in usages] == [True, False]


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
    assert not (tmp_path / "out" / "runs" / record.run_id / "model").exists()


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
