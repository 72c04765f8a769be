"""What is said of the labels got wrong: the hardest first, in at most thirty words, nothing without content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.analysis.panels.planted import texts
from tests.report.synthetic import VARIANTS, sure, write, write_runs

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.errors import hard_labels
from thriftune.analysis.findings.errors.hardest import MOST_WORDS, hardest
from thriftune.analysis.panels.errors import error_map, labels, overlap, slices
from thriftune.results.store import Results


def study(out: Path, rates: list[float], count: int = 1500, runs: int = 2, names: list[str] | None = None) -> Results:
    """Runs that err on the texts of each label at its rate, one text independent of the other."""
    rng = np.random.default_rng(5)
    frame = texts(count, rng)
    label = rng.integers(0, len(rates), count)
    wrong = rng.random((runs, count)) < np.asarray(rates)[label]
    known = tuple(names or [f"intent {k}" for k in range(len(rates))])
    return write_runs(
        out,
        frame | {"label": label},
        known,
        {f"m{i}": sure(label, each, len(rates), rng) for i, each in enumerate(wrong)},
    ).load()


def said(module: Any, results: Results) -> list[str]:
    panel = module.build(results)
    return panel.sentences if isinstance(panel, Panel) else []


def test_one_label_of_many(tmp_path: Path) -> None:
    results = study(tmp_path, [0.96, *[0.2] * 76], 4000)
    text = hardest(results)
    assert text.startswith("All methods err most on intent 0 (9")
    assert "The two best, " in text
    assert len(text.split()) <= MOST_WORDS
    assert [each.label for each in hard_labels.label_errors(results) if each.hard] == ["intent 0"]
    first, last = said(slices, results)
    assert "far above the other labels'" in first
    assert last.startswith("Within the same label, no kind of text")
    assert said(labels, results)[0] == first


def test_no_label_is_hard(tmp_path: Path) -> None:
    results = study(tmp_path, [0.25] * 4)
    assert hardest(results).startswith("No label is clearly harder than the others (2")
    assert hard_labels.sentences(results) == []
    assert said(labels, results)[0].startswith("No label is far harder than the others beyond chance. Error rate")


def test_two_labels_and_one_run(tmp_path: Path) -> None:
    results = study(tmp_path, [0.1, 0.4], runs=1, names=["ham", "spam"])
    assert hardest(results).startswith("m0 errs most on spam (4")
    assert "; ham 1" in hardest(results)
    assert len(said(labels, results)) == 1, "what two labels are taken for is plain"


def test_many_hard_labels(tmp_path: Path) -> None:
    results = study(tmp_path, [0.8] * 5 + [0.1] * 15)
    assert hardest(results).startswith("5 of 20 labels are far harder, intent ")
    assert hard_labels.sentences(results)[0].startswith("5 of 20 labels are far harder than the rest (others ")


@pytest.mark.parametrize(("rate", "start"), [(0.0, "No errors on 1,500 texts"), (0.002, "No method made more than ")])
def test_hardly_an_error(tmp_path: Path, rate: float, start: str) -> None:
    results = study(tmp_path, [rate] * 3)
    assert hardest(results).startswith(start)
    every = [text for module in (overlap, error_map, labels, slices) for text in said(module, results)]
    assert not any(" 0.0% of" in text or "taken for" in text for text in every)
    if rate == 0:
        assert all(isinstance(module.build(results), NotApplicable) for module in (overlap, error_map, labels, slices))


def test_nothing_learned(tmp_path: Path) -> None:
    results = study(tmp_path, [2 / 3] * 3)
    assert hardest(results).startswith("No run learned")
    assert isinstance(labels.build(results), NotApplicable)


def test_long_names_fit(tmp_path: Path) -> None:
    results = write(tmp_path, VARIANTS["nasty"]).load()
    assert 5 < len(hardest(results).split()) <= MOST_WORDS


def test_chance_makes_no_label_hard(tmp_path: Path) -> None:
    """Of ten studies of ten labels with equal rates, at most one calls a label far harder."""
    called = sum(
        bool(hard_labels.sentences(study(tmp_path / str(seed), [0.3] * 10, 400 + seed, runs=1))) for seed in range(10)
    )
    assert called <= 1
