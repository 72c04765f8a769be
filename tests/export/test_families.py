"""Every family, with each head and way of reading pairs, in every format that applies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, pairs
from tests.tiny_models import KINDS, READS_PADDING, SHARED, model_folder

from thriftune.engine.stored.onnx import graph
from thriftune.errors import InputError
from thriftune.export import alone
from thriftune.export.formats import discover
from thriftune.export.formats.base import Options
from thriftune.export.trained import Trained, plain, trained
from thriftune.methods import find as method
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.reload import load_saved
from thriftune.models.trained.save import save_classifier
from thriftune.models.trained.usage import Reading
from thriftune.use.source import find

ONE_SHAPE = ("funnel", "longformer")
"""Architectures of which torch's exporters make graphs for one size of input; the export's check then fails."""
HEADS = ("own", "linear", "mean")
FAMILIES = (*KINDS, "albert")


def texts(count: int) -> list[list[str]]:
    """Pairs of many lengths, some of which spell special tokens."""
    first, second, _ = pairs(12)
    first[:3] = [f"{first[0]} [SEP]", f"{first[1]} </s>", "a"]
    second[2] = f"[CLS] {second[2]} {second[3]} {second[4]} {second[5]}"
    return [first, second][:count]


def stored(folder: Path, kind: str, head: Any, pair: Any, columns: int = 2, name: str = "full") -> Trained:
    """A classifier of a method whose trained weights have been moved, stored as a run does."""
    classifier = load_classifier(model_folder(kind), LABELS, HeadSettings(type=head))
    classifier.reads_padding = kind in READS_PADDING
    method(name)().apply(classifier, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for index, (_, parameter) in enumerate(classifier.trained()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)), alpha=0.05)
    save_classifier(classifier, folder, Reading(("premise", "hypothesis")[:columns], 16, pair))
    return trained(find(folder))


def check(found: Trained, name: str, folder: Path) -> None:
    """The code of the card gives the probabilities of the stored model."""
    folder.mkdir()
    columns = texts(len(found.usage.columns))
    expected = load_saved(found.folder, found.base).probabilities(columns)
    written = discover()[name].write(found, folder, Options())
    for variant in written.variants:
        job = {"folder": str(folder), "code": variant.code, "texts": columns, "batch": 5, "rounds": 1, "seconds": 0.1}
        result = alone.run(job)
        assert tuple(result["labels"]) == LABELS
        assert np.ptp(expected) > 0.02
        if variant.exact:
            np.testing.assert_allclose(result["probabilities"], expected, atol=1e-5)


@pytest.fixture
def quick_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "_traced", graph._scripted)


@pytest.mark.usefixtures("quick_exporter")
@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family(kind: str, tmp_path: Path) -> None:
    """Each family once with a linear head (its own class must say the same) and once with its own."""
    place = FAMILIES.index(kind)
    check(stored(tmp_path / "linear", kind, "linear", "segments", 1 + place % 2), "transformers", tmp_path / "a")
    own = stored(tmp_path / "own", kind, "own", "segments", 2 - place % 2)
    check(own, "onnx", tmp_path / "b")
    check(own, "sentence-transformers", tmp_path / "c")


@pytest.mark.usefixtures("quick_exporter")
@pytest.mark.parametrize("name", ["transformers", "onnx"])
def test_pairs_as_one_text(name: str, tmp_path: Path) -> None:
    found = stored(tmp_path / "model", "bert", "mean", "one_segment")
    check(found, name, tmp_path / "out")
    assert "one text" in str(discover()["sentence-transformers"].refusal(found))


def test_no_modelling_file_where_the_architecture_can_say_it(tmp_path: Path) -> None:
    for kind, own in (("distilbert", True), ("electra", True), ("modernbert", False)):
        found = stored(tmp_path / kind, kind, "linear", "segments")
        folder = tmp_path / f"{kind}-out"
        folder.mkdir()
        written = discover()["transformers"].write(found, folder, Options())
        assert (folder / "modeling_pooled.py").exists() is not own
        assert bool(written.notes) is not own
        assert ("trust_remote_code" in written.variants[0].code) is not own


def test_merged_equals_unmerged(tmp_path: Path) -> None:
    found = stored(tmp_path / "model", "bert", "own", "segments", name="lora")
    unmerged, merged = load_saved(found.folder, found.base), plain(found)
    inputs = unmerged.tokenizer(*texts(2), padding=True, return_tensors="pt")
    with torch.inference_mode():
        one, other = unmerged.model(**inputs).logits, merged.model(**inputs).logits
    assert one.std() > 0.05
    torch.testing.assert_close(other, one, atol=1e-5, rtol=0)
    assert merged.model.dtype == torch.float32


def test_prompts_are_peft_alone(tmp_path: Path) -> None:
    classifier = load_classifier(model_folder("bert"), LABELS, HeadSettings())
    prompts = method("peft")(type="PROMPT_TUNING", config={"num_virtual_tokens": 4})  # type: ignore[call-arg]
    prompts.apply(classifier, torch.Generator().manual_seed(0))
    save_classifier(classifier, tmp_path / "model", Reading(("a", "b"), 16))
    found = trained(find(tmp_path / "model"))
    assert [name for name, each in discover().items() if each.refusal(found) is None] == ["peft"]
    check(found, "peft", tmp_path / "out")


def test_what_cannot_be_converted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(graph, "_traced", fails)
    monkeypatch.setattr(graph, "_scripted", fails)
    found = stored(tmp_path / "model", "bert", "own", "segments")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"its architecture \(bert\): no such operator.*--format transformers"):
        discover()["onnx"].write(found, tmp_path / "out", Options())


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", [*FAMILIES, *SHARED[1:], "xlm-roberta", "camembert", "deberta", "ernie"])
def test_every_format(kind: str, head: str, tmp_path: Path) -> None:
    """As users get it, with torch's newer exporter."""
    for pair in ("segments", "one_segment"):
        found = stored(tmp_path / pair, kind, head, pair, name="full")
        for name, form in discover().items():
            if form.refusal(found) is None:
                check(found, name, tmp_path / f"{pair}-{name}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlnet", "funnel", "fnet", "gpt2", "bart", "t5", "longformer", "xlm"])
def test_architectures_without_a_packed_forward(kind: str, tmp_path: Path) -> None:
    """transformers takes all of them, onnx most."""
    found = stored(tmp_path / "model", kind, "own", "segments")
    check(found, "transformers", tmp_path / "whole")
    if kind in ONE_SHAPE:
        with pytest.raises(Exception, match=r"ONNXRuntimeError|cannot convert its architecture"):
            check(found, "onnx", tmp_path / "graph")
    else:
        check(found, "onnx", tmp_path / "graph")
