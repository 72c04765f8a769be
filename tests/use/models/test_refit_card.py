"""The card of a refit."""

from __future__ import annotations

from pathlib import Path

from tests.use.trained import study

from thriftune.results.models.refitted import Refitted
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.use.models.refit_card import write_card

CARD = """---
# license: yours
tags:
- text-classification
model-index:
- name: x
  results:
  - metrics: [{value: 0.9}]
language: en
---

# x

Body.
"""


def test_scores_of_the_study_are_not_the_models_own(tmp_path: Path) -> None:
    results = study()
    run = results.done[0]
    about = Refitted(
        run_id=run.run_id,
        name=run.name,
        trained_on=["train", "validation"],
        rows=120,
        study_rows=84,
        method=run.method,
        seed=0,
        chosen={},
        epochs=None,
        steps=None,
        seconds=0.1,
        stored_bytes=10,
        expected={"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6]},
        notes=[],
        environment={},
    )

    def card(results: Results, record: RunRecord, base: Path | None) -> str:
        return CARD

    (tmp_path / "model").mkdir()
    write_card(tmp_path, about, results, run, card)
    text = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    head = "---\n# license: yours\ntags:\n- text-classification\nlanguage: en\n---\n"
    assert text.startswith(f"{head}\n# Trained for use\n")
    assert "value: 0.9" not in text
    assert "No test score belongs to this model. Expect what the study measured of majority: accuracy 50.0%" in text
    assert text.endswith("# x\n\nBody.\n")
