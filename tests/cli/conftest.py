"""What a command finds: a folder with data, and stand-ins for everything that takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.study.proposal.synthetic_speeds import speeds

from thriftune.doctor.finding import Finding
from thriftune.remote.output import Output
from thriftune.remote.url import url_of
from thriftune.study.events import StudyPlanned
from thriftune.study.forecast import estimate as forecast
from thriftune.tracking.base import TrackedStudy
from thriftune.tracking.listener import Tracking

REVIEWS = "id,review,mood\n" + "".join(f"{i},text {i} is fine,good\n{i}b,text {i} is awful,bad\n" for i in range(20))


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are cut to the terminal; the tests read whole words."""
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(autouse=True)
def _timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """init times no machine."""
    monkeypatch.setattr("thriftune.study.proposal.method_speeds.speeds_here", lambda *_: speeds(1e-3))


@pytest.fixture(autouse=True)
def _without_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """doctor --online asks nobody."""
    monkeypatch.setattr("thriftune.doctor.examine.ONLINE", {"Hub": lambda: iter([Finding("Hub", "answers")])})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders elsewhere are one here, and trackers are told nothing."""

    @contextmanager
    def output(out: Any, say: Any, *wanted: Any) -> Iterator[Output]:
        yield Output(Path("elsewhere") if url_of(out) else Path(out))

    @contextmanager
    def tracked(names: Any, study: str, out: Path, listener: Any) -> Iterator[Any]:
        yield Tracking((), TrackedStudy(study, out), listener)

    monkeypatch.setattr("thriftune.remote.output.output", output)
    monkeypatch.setattr("thriftune.tracking.listener.tracked", tracked)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Replaces the study's execution, the report and the summary by what a test gives."""

    import thriftune.report.beside  # noqa: F401 - it needs the real page, which is replaced below

    def replace(outcome: Any) -> None:
        def compare(study: Any, out: Path, listener: Callable[[Any], None], **options: Any) -> Any:
            listener(StudyPlanned(["full"], []))
            if isinstance(outcome, BaseException):
                raise outcome
            run = SimpleNamespace(name="full", status=outcome, message="why")
            return SimpleNamespace(results=SimpleNamespace(runs=[run]), out=out)

        monkeypatch.setattr("thriftune.comparison.compare_and_analyse", compare)
        render = SimpleNamespace(
            write_page=lambda analysis: analysis.out / "report.html",
            rewritten=lambda out: (SimpleNamespace(results=SimpleNamespace(runs=[])), out / "report.html"),
            write_figures=lambda out, charts: None,
        )
        monkeypatch.setitem(sys.modules, "thriftune.report.render", render)
        table = SimpleNamespace(
            summary_rows=lambda results: [{"Run": "full", "Accuracy": "80.0%"}],
            summary_notes=lambda results: [],
            summary_remarks=lambda results: ["Baseline: one."],
            search_lines=lambda results: [],
            summary_training=lambda results: (["Still improving: full; 6 epochs would tell:"], "thriftune compare x"),
            recommendation_rows=lambda ranked, tasks: [{"Rank": "1"}],
            panel_rows=lambda panel: [{"Place": "1"}],
            verdict_sentences=lambda results: ["full is better than lora."],
        )
        monkeypatch.setitem(sys.modules, "thriftune.report.printed.table", table)
        from thriftune.report.printed.brief import Brief, Line

        command = Line("Next (about 2 min)", "thriftune compare x --set epochs=6", command=True)
        made = Brief([{"Method": "full", "Acc. %": "80.0"}], None, [Line("Take", "Take full: 80.0%."), command])
        brief = SimpleNamespace(brief=lambda results: made)
        monkeypatch.setitem(sys.modules, "thriftune.report.printed.brief", brief)
        monkeypatch.setattr(forecast, "estimate", lambda study, question, report: [])

    return replace


@pytest.fixture
def foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces what is chosen from, and what is estimated along an axis, by a few made-up numbers."""
    from tests.analysis.findings.planted import Planted, answers, study_of

    from thriftune.analysis.findings.choice import Candidate, measured
    from thriftune.cost.predicted import crossovers
    from thriftune.results.prediction import AxisPoint

    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 2000)
    right = rng.random(2000) < 0.78
    both = answers(rng, label, np.stack([right, right]))
    both[1, :10] = 1 - both[1, :10]
    methods = {"lora": Planted(both[:1], 118.0, 2 * 10**8), "top": Planted(both[1:], 49.0, 9 * 10**7)}
    results = study_of(label, methods, tolerance=5)
    guess = Candidate(
        name="guess",
        model="m",
        measured=False,
        accuracy=None,
        interval=None,
        memory=4e8,
        seconds=150,
        stored_bytes=9e7,
        shared_bytes=0,
    )

    def points(axis: str, setting: Any, report: Any) -> list[AxisPoint]:
        lines = {"lora": lambda x: 10 * x, "top": lambda x: 5000.0}
        return [AxisPoint(axis, m, x, str(x), int(line(x)), 1e9) for m, line in lines.items() for x in (64, 1024)]

    found = [*measured(results), guess], ([], None), results
    monkeypatch.setattr("thriftune.python.advice._candidates", lambda source, report: found)
    monkeypatch.setattr(crossovers, "axis_points", points)
