"""What a study says of the models that it is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.models.pretrained.faults import Tensors, classifier_folder, copied, permuted
from tests.study.small_study import small_study
from tests.tiny_data import LABELS

from thriftune.errors import InputError
from thriftune.study.execute import compare


def test_a_faulty_model_ends_the_study_before_anything_is_written(tmp_path: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        tensors["encoder.layer.0.output.dense.weight"][:] = torch.nan

    copied(tmp_path / "spoilt", "bert", spoil)
    study = small_study(tmp_path, models=["spoilt"])
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match="NaN or infinite numbers"):
        compare(study, tmp_path / "out", isolate=False)
    assert set(tmp_path.iterdir()) == before


def test_a_kept_head_is_said_in_the_record(tmp_path: Path) -> None:
    classifier_folder(tmp_path / "mine", "bert", LABELS)
    permuted(tmp_path / "mine", [2, 0, 1])
    study = small_study(tmp_path, models=["mine"], methods=["head_only"], protocol={"epochs": 1, "max_tokens": 32})
    (run,) = compare(study, tmp_path / "out", isolate=False).runs
    assert run.status == "done"
    assert any("head is kept: its labels are the study's, its rows put" in note for note in run.notes)
    record = json.loads(next((tmp_path / "out").rglob("run.json")).read_text())
    assert record["notes"] == run.notes
