"""What the terminal says at the end: short, whatever the study, and never without what threatens it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.report.boards import DEMO, Made, improving, write_board

from thriftune.analysis.findings.caution import caution
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.threats import OF_RUNS, threats
from thriftune.cli.output import print_summary
from thriftune.report.printed.board import LONG
from thriftune.report.printed.brief import Brief, brief
from thriftune.results.profile import DataWarning
from thriftune.results.store import Results
from thriftune.wording import middle_cut

TUNED = tuple(each for each in DEMO if not each.baseline)
NINE = (
    *DEMO,
    Made(name="embeddings", right=0.515, seconds=17, memory=125e6, stored=4_800, baseline=True),
    Made(name="majority", right=0.34, seconds=0.01, memory=100, stored=50, baseline=True),
)
TWO_MODELS = tuple(
    replace(each, name=f"{each.name} demo:{model}", model=f"demo:{model}", right=each.right + better)
    for model, better in (("minilm", 0.0), ("mpnet-base", 0.05))
    for each in TUNED
)
TWELVE = (*TWO_MODELS, *(each for each in DEMO if each.baseline))
ALIKE = tuple(replace(each, right=0.6) for each in TUNED)
FAILED = Made(name="full on xxl", right=0)
INTENTS = tuple(f"intent_number_{i}" for i in range(77))
STUDIES: dict[str, dict[str, Any]] = {
    "the demo": {"methods": NINE},
    "the demo, too short": {"methods": improving(NINE)},
    "three seeds": {"methods": NINE, "seeds": 3, "texts": 1000},
    "nothing learned": {"methods": tuple(replace(each, right=-1) for each in TUNED), "texts": 600},
    "one method": {"methods": DEMO[:1], "texts": 600},
    "alike": {"methods": ALIKE, "texts": 600},
    "few texts": {"methods": improving(NINE), "texts": 150},
    "macro F1": {"methods": improving(NINE), "study": {"decide_by": "macro_f1"}},
    "MCC": {"methods": NINE, "study": {"decide_by": "mcc"}},
    "all failed": {"methods": (replace(FAILED, name="full"), replace(FAILED, name="lora")), "texts": 600},
    "baselines left": {"methods": (*(replace(each, right=0) for each in TUNED), *DEMO[4:6]), "texts": 600},
    "names of 80 letters": {
        "methods": tuple(replace(each, name=f"{each.name} {'with_a_long_name_' * 5}") for each in ALIKE)
    },
}  # fmt: skip
LARGER: dict[str, dict[str, Any]] = {
    "two models": {"methods": TWELVE},
    "two models, too short": {"methods": improving(TWELVE), "labels": INTENTS, "texts": 1500},
    "two models, alike": {"methods": tuple(replace(each, right=0.6) for each in TWELVE), "texts": 700},
    "two models, one lost": {"methods": (*improving(TWELVE)[:11], FAILED), "texts": 150},
    "two models, seeds": {"methods": TWELVE, "seeds": 2, "texts": 700},
}
THREATS = [
    DataWarning(
        "truncation", "31% of the texts are cut at 64 tokens: the rest is never read.", "Raise max_tokens.", 0.31
    ),
    DataWarning("label_variants", "Labels that may be one: good and Good (12).", "Merge them (data.labels).", 0.2),
]


def _board(folder: Path, methods: tuple[Made, ...], study: dict[str, Any] | None = None, **settings: Any) -> Results:
    return write_board(folder, methods, **settings, **(study or {})).load()


def _printed(results: Results) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print_summary(SimpleNamespace(results=results), Path("out/demo/report.html"))  # type: ignore[arg-type]
    return out.getvalue()


@pytest.fixture(scope="module", params=[*STUDIES, *LARGER])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    found = STUDIES.get(request.param) or LARGER[request.param]
    return _board(tmp_path_factory.mktemp("out"), **found)


def test_it_is_read_in_ten_seconds(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = _printed(results)
    larger = len(decide(results).standings) > 9
    assert len(text.replace("─", "").split()) <= (140 if larger else 120), text
    found = brief(results)
    names = [each.name.split(" (")[0] for each in found.lines]
    assert names == [name for name in ("Take", "Careful", "Cost", "Errors", "Next") if name in names]
    assert len(found.lines) <= 5, "the report's path is the sixth"
    assert sum(each.command for each in found.lines) <= 1
    assert "Report: out/demo/report.html" in text


def test_the_leading_methods_stand_in_the_table(results: Results) -> None:
    decision, found = decide(results), brief(results)
    names = [row["Method"].removesuffix(" *") for row in found.rows]
    every = [middle_cut(each.name, LONG) for each in decision.standings]
    assert names == sorted(names, key=every.index)
    assert len(names) >= min(3, len(every))
    assert names[:2] == every[:2]
    assert [row["Method"] for row in found.rows if row["Method"].endswith(" *")] == (
        [f"{middle_cut(decision.taken.name, LONG)} *"] if decision.taken else []
    )
    rest = len(every) - len(names)
    assert found.more == (f"and {rest} more: --verbose" if rest else None)
    baselines = [each.name for each in decision.standings if each.baseline and each.place != "not learned"]
    assert not baselines or baselines[0] in names


def test_what_threatens_the_study_is_said(results: Results) -> None:
    careful = caution(results)
    (said,) = [each.text for each in brief(results).lines if each.name == "Careful"] or [""]
    assert bool(said) == (careful is not None)
    words = "" if careful is None else careful.words
    for each in threats(results):
        if careful is not None and each.severe and each.kind not in OF_RUNS:
            assert each.text.split(":")[0].split(", so that")[0].removesuffix(".") in said
    for word in ("still improving", "One seed", "could each be the best", "lost", "out of memory", "learned"):
        if word in words:
            assert word.lower() in said.lower()


def _with_threats(results: Results) -> Results:
    profile = replace(results.study.profile, warnings=THREATS)
    return Results(results.store, replace(results.study, profile=profile))


def test_every_severe_threat_is_named_the_first_with_its_remedy(tmp_path: Path) -> None:
    one = _with_threats(_board(tmp_path / "one", NINE, seeds=3, texts=700))
    assert _careful(brief(one)) == "31% of the texts are cut at 64 tokens. Labels that may be one."
    assert brief(one).lines[-1].said == "Next: Raise max_tokens."
    short = _with_threats(_board(tmp_path / "short", improving(NINE), texts=700))
    said = _careful(brief(short))
    assert said.startswith("No ranking: one seed each; every method was still improving (last epoch: ")
    assert "31% of the texts are cut at 64 tokens." in said
    assert "Labels that may be one." in said
    assert len(_printed(short).replace("─", "").split()) <= 120


def _careful(found: Brief) -> str:
    return next(each.text for each in found.lines if each.name == "Careful")


def test_one_unit_a_column(tmp_path: Path) -> None:
    rows = brief(_board(tmp_path, NINE[:6], texts=900)).rows
    assert rows[0] == {
        "Method": "lora r8 all *",
        "Acc. %": rows[0]["Acc. %"],
        "Points below": "best",
        "Time (s)": "52",
        "Memory (MB)": "183",
        "Stored (MB)": "0.9",
    }
    assert rows[-1]["Time (s)"] == "1.0"
    lag, half = rows[1]["Points below"].split("±")
    assert 0 <= float(lag) < float(half)


def test_what_to_do_next_is_one_command(tmp_path: Path) -> None:
    settled = brief(_board(tmp_path / "settled", DEMO, seeds=3, texts=900)).lines[-1]
    assert settled.said == f"Next: thriftune predict {tmp_path / 'settled'} new.csv --out labelled.csv"
    lost = brief(_board(tmp_path / "lost", STUDIES["baselines left"]["methods"], texts=600)).lines[-1]
    assert lost.said == "Next: protocol.fit_batch: true, a smaller protocol.batch_size, or another method would fit."
    open_ = brief(_board(tmp_path / "open", improving(DEMO), texts=900)).lines[-1]
    assert open_.name.startswith("Next (about ")
    assert open_.text.endswith("--set protocol.epochs=4 --set 'seeds=[0,1,2]'")
