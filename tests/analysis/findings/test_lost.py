"""Seeds that were lost, and what the others rule out."""

from __future__ import annotations

import dataclasses

import pytest
from tests.report.synthetic import Variant, write

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.findings.lost import collapse_sentences, collapses, lost_seeds
from thriftune.analysis.findings.runs import cells, comparable
from thriftune.analysis.panels.performance import seeds
from thriftune.results.store import Results


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write(tmp_path_factory.mktemp("lost"), Variant(seeds=3, texts=300, troubled=False)).load()


def ended(results: Results, name: str, status: str) -> Results:
    """The results with one run that ended so."""
    runs = [
        dataclasses.replace(run, status=status, test=None, message="why") if run.name == name else run  # type: ignore[arg-type]
        for run in results.runs
    ]
    return Results(results.store, dataclasses.replace(results.study, runs=runs))


def test_three_seeds_without_a_failure_rule_out_little(repeated: Results) -> None:
    assert {(each.seeds, each.failures) for each in collapses(repeated)} == {(3, 0)}
    (text,) = collapse_sentences(repeated)
    assert text == "No failure in 3 seeds rules out only failure rates above 63% (every method)."
    panel = seeds.build(repeated)
    assert isinstance(panel, Panel)
    assert text in panel.sentences
    assert panel.statistics["failures"][0]["rate_at_most"] == pytest.approx(1 - 0.05 ** (1 / 3))


def test_a_seed_that_diverged_is_a_failure(repeated: Results) -> None:
    results = ended(repeated, "full seed 1", "diverged")
    first, second = collapse_sentences(results)
    assert first.startswith("full: 1 of 3 seeds failed (diverged, or learned nothing); failure rates from 1.7% to 86%")
    assert second == "No failure in 3 seeds rules out only failure rates above 63% (top_layers 2 and lora r8)."
    (cell,) = [cell for cell in cells(comparable(results)) if cell.runs[0].cell == "full"]
    assert [run.name for run in lost_seeds(results, cell)] == ["full seed 1"]


def test_a_seed_that_was_interrupted_tells_nothing_of_failures(repeated: Results) -> None:
    results = ended(repeated, "full seed 1", "interrupted")
    assert {each.name: (each.seeds, each.failures) for each in collapses(results)}["full"] == (2, 0)
    assert "No failure in 2 seeds rules out only failure rates above 78% (full)." in collapse_sentences(results)
