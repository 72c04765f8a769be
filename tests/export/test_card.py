"""The model card: the hub's metadata, the study's figures, and user text that stays text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from tests.use.trained import study

from thriftune.export.card import card
from thriftune.results.record import RunRecord
from thriftune.results.store import Results


def run_called(name: str) -> RunRecord:
    return next(run for run in study().runs if run.name == name)


@pytest.mark.parametrize("name", ["full", "lora r8 all", "embeddings", "tfidf", "majority"])
def test_hub_metadata(name: str) -> None:
    run = run_called(name)
    text = card(study(), run, None)
    data = ModelCard(text).data.to_dict()
    results = {each["type"]: each["value"] for each in data["model-index"][0]["results"][0]["metrics"]}
    assert run.test is not None
    assert results["accuracy"] == pytest.approx(run.test.accuracy, abs=1e-6)
    assert results["f1"] == pytest.approx(run.test.macro_f1, abs=1e-6)
    assert data["pipeline_tag"] == "text-classification"
    assert "license" not in data
    assert "# license: (not chosen yet" in text.split("\n---\n")[0]
    assert data.get("library_name") == {
        "full": "transformers",
        "lora r8 all": "peft",
        "embeddings": "transformers",
    }.get(name)


def test_what_a_user_must_know() -> None:
    text = card(study(), run_called("full"), None)
    for heading in ("## Use", "## How well it does", "## Data", "## Training", "## Cost", "## Limits", "## Licence"):
        assert heading in text
    assert "premise and hypothesis" in text
    assert "95% interval" in text
    assert "def probabilities" in text
    assert "one of its labels to every text" in text


def test_base_elsewhere() -> None:
    lora = run_called("lora r8 all")
    assert "base = folder + '/./near'" in card(study(), lora, Path("near"))
    assert "base = '/far/model'" in card(study(), lora, Path("/far/model"))


def test_user_text_is_no_markup() -> None:
    found = study()
    old = found.study
    run = run_called("full")
    assert run.test is not None
    names = ["<b>|yes", "[no](x)\n# big", "a---\nb: c"]
    per_class = dict(zip(names, run.test.per_class.values(), strict=True))
    changed = replace(run, name="`x`\n---\nlicense: mit", test=replace(run.test, per_class=per_class))
    profile = replace(old.profile, name="a\n---\nb")
    text = card(Results(found.store, replace(old, profile=profile, name="x: [y]\n---")), changed, None)
    assert "<b>" not in text
    assert "\n# big" not in text
    assert ModelCard(text).data.to_dict()["model-index"][0]["name"].startswith("x: [y]")
    assert text.split("\n").count("---") == 2


def test_without_a_study() -> None:
    assert "not at hand" in card(None, None, None)
    text = card(None, run_called("full"), None)
    assert "## How well it does" in text
