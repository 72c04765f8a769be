"""The axes of the crossovers: what is estimated where, on a tiny configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_models import LAYERS, model_folder
from transformers import AutoConfig

from thriftune.cost.predicted import crossovers
from thriftune.cost.predicted.crossovers import Setting, axis_points
from thriftune.cost.predicted.sizes import SIZES, write_config
from thriftune.errors import InputError

TINY = Setting(model=model_folder("bert"), batch_size=4, text_tokens=16)


def quiet(text: str) -> None:
    assert text


def test_memory_and_work_grow_with_tokens_and_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossovers, "BATCHES", (1, 4, 16))
    for kind, kept in (("METHODS", ("top_layers 2", "lora all")), ("DEEP", ("lora", "lora_fa"))):
        monkeypatch.setattr(crossovers, kind, {name: getattr(crossovers, kind)[name] for name in kept})
    for axis, names in (("tokens", crossovers.METHODS), ("depth", crossovers.DEEP)):
        points = axis_points(axis, TINY, quiet)
        assert {point.method for point in points} == set(names)
        for name in names:
            line = sorted((point for point in points if point.method == name), key=lambda point: point.x)
            assert len({point.x for point in line}) == len(line) == 3
            peaks = [point.peak_memory_bytes for point in line]
            assert peaks == sorted(peaks)
            assert all(point.flops_per_sample > 0 for point in line)
    assert [point.x for point in points if point.method == "lora"] == [1, 2, LAYERS]


def test_a_method_that_does_not_fit_has_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossovers, "SIZES", {"bert-tiny": SIZES["bert-tiny"]})
    monkeypatch.setattr(crossovers, "METHODS", {"top 3": ("top_layers", {"layers": 3}), "full": ("full", {})})
    points = axis_points("size", TINY, quiet)
    assert [(point.method, point.label) for point in points] == [("full", "bert-tiny")]


def test_a_model_that_no_method_fits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "num_hidden_layers": 0}', encoding="utf-8")
    for axis in ("tokens", "depth"):
        with pytest.raises(InputError, match="num_hidden_layers: 0 is given"):
            axis_points(axis, Setting(model=tmp_path, batch_size=2, text_tokens=8), quiet)


@pytest.mark.parametrize("name", SIZES)
def test_every_size_is_a_configuration_that_transformers_reads(name: str, tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(write_config(name, tmp_path))
    assert config.model_type == SIZES[name]["model_type"]
    assert config.num_hidden_layers in SIZES[name].values()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (Setting(batch_size=0), "batch size given is 0"),
        (Setting(text_tokens=2), "at least 4 tokens"),
        (Setting(text_tokens=600), "positions for 512"),
        (Setting(model=model_folder("bert"), text_tokens=100), "positions for 64"),
    ],
)
def test_settings_that_cannot_be(setting: Setting, message: str) -> None:
    with pytest.raises(InputError, match=message):
        axis_points("tokens", setting, quiet)


@pytest.mark.slow
def test_the_named_sizes_have_their_published_parameters() -> None:
    points = axis_points("size", Setting(batch_size=2, text_tokens=8), quiet)
    found = {point.label: point.x for point in points}
    published = {
        "bert-tiny": 4.4e6,
        "minilm": 22.7e6,
        "distilbert-base": 67e6,
        "bert-base": 109.5e6,
        "bert-large": 335e6,
        "deberta-v2-xxlarge": 1.56e9,
        "llama-7b": 6.6e9,
    }
    assert found == {name: pytest.approx(count, rel=0.02) for name, count in published.items()}
