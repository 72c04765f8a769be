"""Every format of every method's run: written, run by the other library, compared, and refused where it has no such
form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from tests.use.trained import study

from thriftune.engine.stored.onnx import graph
from thriftune.errors import InputError
from thriftune.export import checking
from thriftune.export.checking import Effort
from thriftune.export.export import export
from thriftune.export.formats import discover
from thriftune.use.classifier import Classifier
from thriftune.use.source import Source, find

HERE = Effort(texts=30, rounds=3, isolate=False)
ALLOWED = {
    "full": {"transformers", "onnx", "sentence-transformers"},
    "lora r8 all": {"transformers", "merged", "peft", "onnx", "sentence-transformers"},
    "peft ia3": {"transformers", "merged", "peft", "onnx", "sentence-transformers"},
    "embeddings": {"transformers", "merged", "onnx", "sentence-transformers"},
}
CASES = [
    pytest.param(run, name, marks=[pytest.mark.slow] if run == "peft ia3" and name != "merged" else [])
    for run, names in ALLOWED.items()
    for name in sorted(names)
]


def source(name: str) -> Source:
    return find(f"{study().store.path}:{name}")


@pytest.fixture(autouse=True)
def quick_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's older exporter takes a tenth of the time; the newer one has tests of its own."""
    monkeypatch.setattr(graph, "_traced", graph._scripted)


def test_formats_are_found() -> None:
    assert list(discover()) == ["merged", "onnx", "peft", "sentence-transformers", "transformers"]
    assert all(each.SUMMARY for each in discover().values())


@pytest.mark.parametrize(("run", "name"), CASES)
def test_gives_the_runs_probabilities(run: str, name: str, tmp_path: Path) -> None:
    made = export(source(run), tmp_path / "out", name, effort=HERE)
    exact = [each for each in made.checked if each.variant != "int8"]
    assert len(exact) == 1
    assert exact[0].largest_difference <= 1e-5
    assert exact[0].same_label == 1
    assert exact[0].lost == 0
    assert all(each.weight_bytes > 0 and each.seconds_one > 0 for each in made.checked)
    data = ModelCard.load(made.folder / "README.md").data.to_dict()
    assert data["library_name"] == {"merged": "transformers"}.get(name, name)
    said = json.loads((made.folder / "export.json").read_text(encoding="utf-8"))
    assert said["format"] == name
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("run", sorted(ALLOWED))
def test_what_it_cannot_have_says_what_it_can(run: str, tmp_path: Path) -> None:
    for name in discover().keys() - ALLOWED[run]:
        with pytest.raises(InputError, match=r"Formats that it can have: .*transformers"):
            export(source(run), tmp_path / "out", name, effort=HERE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("run", ["tfidf", "majority"])
def test_without_a_transformer(run: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no transformer"):
        export(source(run), tmp_path / "out", "transformers", effort=HERE)


def test_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='did you mean "onnx"'):
        export(source("full"), tmp_path / "out", "onx", effort=HERE)


def test_sentence_vectors_are_those_of_embed(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    found = study()
    columns = [found.test[name].to_list()[:20] for name in found.study.profile.text_columns]
    for run in ("embeddings", "full"):
        export(source(run), tmp_path / run, "sentence-transformers", effort=HERE)
        model = SentenceTransformer(str(tmp_path / run), device="cpu")
        pairs = list(zip(*columns, strict=True))
        own = Classifier.load(f"{found.store.path}:{run}").embed(pairs)
        np.testing.assert_allclose(model.encode(pairs), own, atol=1e-5)


def test_calibrated_onnx(tmp_path: Path) -> None:
    import onnxruntime

    made = export(source("full"), tmp_path / "out", "onnx", temperature=1.5, effort=HERE)
    assert made.checked[0].largest_difference <= 1e-5
    session = onnxruntime.InferenceSession(str(made.folder / "model.onnx"))
    values = session.get_modelmeta().custom_metadata_map
    assert float(values["temperature"]) == 1.5
    assert json.loads(values["labels"]) == study().labels
    assert "divided by 1.5" in (made.folder / "README.md").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="no place for a temperature"):
        export(source("full"), tmp_path / "other", "transformers", temperature=1.5, effort=HERE)


def test_an_export_that_is_wrong_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(source("full"), tmp_path / "out", "transformers", effort=HERE)
    before = (tmp_path / "out" / "export.json").read_bytes()
    monkeypatch.setattr(checking, "TOLERANCE", -1.0)
    with pytest.raises(InputError, match=r"differ by up to .* on 30 texts, and at most"):
        export(source("lora r8 all"), tmp_path / "new", "merged", effort=HERE)
    with pytest.raises(InputError, match="It is removed"):
        export(source("lora r8 all"), tmp_path / "out", "merged", replace_old=True, effort=HERE)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "export.json").read_bytes() == before


def test_folders_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x", encoding="utf-8")
    for replace in (False, True):
        with pytest.raises(InputError, match="holds something already, and no export"):
            export(source("full"), tmp_path / "mine", "transformers", replace_old=replace, effort=HERE)
    (tmp_path / "empty").mkdir()
    export(source("full"), tmp_path / "empty", "transformers", effort=HERE)
    with pytest.raises(InputError, match="Add --replace"):
        export(source("full"), tmp_path / "empty", "transformers", effort=HERE)
    made = export(source("lora r8 all"), tmp_path / "empty", "peft", replace_old=True, effort=HERE)
    assert (made.folder / "adapter_config.json").is_file()
    assert not (made.folder / "model.safetensors").exists()


def test_a_model_without_its_study(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(source("full").model, tmp_path / "model")
    made = export(find(tmp_path / "model"), tmp_path / "out", "transformers", effort=HERE)
    assert made.checked[0].accuracy is None
    assert not made.checked[0].of_study
    assert "not at hand" in (made.folder / "README.md").read_text(encoding="utf-8")


def test_stored_predictions_of_other_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the run's own model, run again in float32, is what an export must give, and that is said."""
    from dataclasses import replace

    from thriftune.export import export as module

    own = module.examples

    def rounded(found: Any, most: int) -> Any:
        texts = own(found, most)
        return replace(texts, stored=np.round(texts.stored, 3))

    monkeypatch.setattr(module, "examples", rounded)
    made = export(source("full"), tmp_path / "out", "transformers", effort=HERE)
    assert made.checked[0].reference == "the run's own model, run here in float32"
    assert any("stored predictions differ by up to" in note for note in made.notes)


def test_alone(tmp_path: Path) -> None:
    """The check runs in a process that loads nothing of Thriftune."""
    made = export(source("full"), tmp_path / "out", "onnx", effort=Effort(texts=30, rounds=3))
    assert made.checked[0].largest_difference <= 1e-5
    assert "onnxruntime" in made.checked[0].machine
    assert "torch" not in made.checked[0].machine
    assert "in a process without Thriftune" in " ".join(made.sentences())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformers", "merged", "peft", "onnx", "sentence-transformers"])
def test_all_alone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    made = export(source("lora r8 all"), tmp_path / "out", name, effort=Effort(texts=30, rounds=3))
    assert made.checked[0].largest_difference <= 1e-5
