"""Nine methods on two models, 77 classes: no sentence is longer than one reads at once; tables hold the rest."""

from __future__ import annotations

import pytest
from tests.report.boards import Made, write_board

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.findings.answers.answer import few
from thriftune.analysis.findings.caution import caution
from thriftune.analysis.findings.decision import decide, headline
from thriftune.analysis.panels.answers import hypotheses, recommendation, summary, verdicts
from thriftune.results.store import Results

METHODS = (
    "full",
    "lora r8 all",
    "lora r8 top 2",
    "top_layers 2",
    "top_layers 4",
    "bitfit",
    "peft IA3",
    "prefix 20",
    "head_only",
)
WORDS = 60
LABELS = tuple(f"intent number {i}" for i in range(77))


@pytest.fixture(scope="module", params=["several seeds, still improving", "one seed, close", "lost and far apart"])
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    far, close = request.param.startswith("lost"), request.param.startswith("one")
    step = 0.03 if far else 0.002 if close else 0.012
    made = [
        Made(
            name=f"{method} {model}",
            right=-1.0 if far and i > 4 else 0.85 - step * i,
            seconds=100 - 8 * i,
            model=model,
            gain=0.001 if far or close else 0.05,
            parameters=10**6 * (i + 1),
        )
        for model in ("minilm", "bert")
        for i, method in enumerate(METHODS)
    ]
    made += [Made(name=name, right=0.6, seconds=2, baseline=True) for name in ("tfidf", "tfidf words")]
    out = tmp_path_factory.mktemp("crowd")
    seeds = 1 if close else 2
    return write_board(
        out, tuple(made), seeds=seeds, labels=LABELS, texts=300 if close else 800, hypotheses=True
    ).load()


def test_no_sentence_is_long(crowd: Results) -> None:
    panels = [module.build(crowd) for module in (verdicts, hypotheses, recommendation, summary)]
    said = [text for panel in panels if isinstance(panel, Panel) for text in panel.sentences]
    careful = caution(crowd)
    said += [headline(decide(crowd)), *([careful.words] if careful else [])]
    assert len(said) > 20
    assert [text for text in said if len(text.split()) > WORDS] == []
    listed = [text for text in said if text.count(" minilm") + text.count(" bert") > 5]
    assert listed == [], "methods are named where they lead or are led, at most three of them"


def test_the_table_holds_every_pair(crowd: Results) -> None:
    panel = verdicts.build(crowd)
    assert isinstance(panel, Panel)
    able = len(panel.statistics["best_set"]) - sum(each["score"] < 0.3 for each in panel.statistics["best_set"]) - 2
    half = able // 2
    assert len(panel.tables[0].rows) == 2 * (half * (half - 1) // 2 + 2 * half)


def test_the_first_are_named_and_the_others_counted() -> None:
    assert few(["a"]) == "a"
    assert few(["a", "b", "c"]) == "a, b and c"
    assert few(list("abcd")) == "a, b, c and 1 other"
    assert few(list("abcdefghi")) == "a, b, c and 6 others"
    assert few(list("abcdefghi"), 2) == "a, b and 7 others"
