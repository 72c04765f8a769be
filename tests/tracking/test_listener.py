"""What trackers are told, and that none of them ends a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.study.small_study import small_study

import thriftune
from thriftune.errors import InputError
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.study.events import Event, Notice, RunLooked, RunProgress, RunStarted, StudyPlanned
from thriftune.tracking import base, listener
from thriftune.tracking.values import Logged, Point, curves, live


class Heard:
    """A tracker that remembers."""

    where = "in memory"

    def __init__(self, fails: str = "", known: set[str] | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails, self.known = fails, known or set()

    def _called(self, *what: Any) -> None:
        if what[0] == self.fails:
            raise ConnectionError("no network")
        self.calls.append(what)

    def holds(self, run_id: str) -> bool:
        return run_id in self.known

    def begin(self, run_id: str, name: str) -> None:
        self._called("begin", run_id, name)

    def progress(self, run_id: str, step: int, values: dict[str, float]) -> None:
        self._called("progress", run_id, step, values)

    def finish(self, run: Logged) -> None:
        self._called("finish", run)
        self.known.add(run.run_id)

    def report(self, page: Path, shown: str) -> None:
        self._called("report", page, shown)

    def close(self) -> None:
        self._called("close")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    found = Heard()
    monkeypatch.setattr(listener, "tracker", lambda name, study: found)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    thriftune.compare(
        small_study(folder, methods=["majority", "tfidf"], models=None, protocol=None), folder / "out", isolate=False
    )
    return folder


def compare(folder: Path) -> list[Event]:
    events: list[Event] = []
    study = small_study(folder, methods=["majority", "tfidf"], models=None, protocol=None)
    thriftune.compare(study, folder / "out", events.append, isolate=False, track="mlflow")
    return events


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


def test_settings_curves_scores_and_costs(made: Path, heard: Heard) -> None:
    assert "Tracking with mlflow: in memory" in said(compare(made))
    first, second = (call[1] for call in heard.calls if call[0] == "finish")
    assert (first.name, first.curves, first.settings["method.name"]) == ("majority", [], "majority")
    assert second.settings["method.name"] == "tfidf"
    assert {"test/accuracy", "validation/macro_f1", "cost/train_seconds"} <= second.numbers.keys()
    assert [call[0] for call in heard.calls][-2:] == ["report", "close"]


def test_curves() -> None:
    steps = [StepPoint(1, 0.5, 1.0, 0.01), StepPoint(2, 1.0, 0.5, 0.02)]
    found = curves(steps, [EpochPoint(1, 2, 0.75, 0.6, 0.7, None, 0.5, 0.02, 1.0)])
    assert found == [
        Point(1, {"train/loss": 1.0, "train/learning_rate": 0.01, "train/epoch": 0.5}),
        Point(
            2,
            {
                "train/loss": 0.5,
                "train/learning_rate": 0.02,
                "train/epoch": 1.0,
                "train/accuracy": 0.6,
                "curve/validation_loss": 0.7,
                "curve/validation_macro_f1": 0.5,
            },
        ),
    ]


def test_what_was_told_is_not_told_again(made: Path, heard: Heard) -> None:
    compare(made)
    told = len([call for call in heard.calls if call[0] == "finish"])
    compare(made)
    assert told == len([call for call in heard.calls if call[0] == "finish"]) == 2


@pytest.mark.parametrize("fails", ["finish", "report", "close"])
def test_a_failure_is_a_notice(made: Path, heard: Heard, fails: str) -> None:
    heard.fails = fails
    text = said(compare(made))
    assert "Tracking with mlflow has ended: ConnectionError: no network. The study goes on" in text


def test_one_that_hangs_does_not_hold_the_study(tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    hanging = threading.Event()
    monkeypatch.setattr(heard, "begin", lambda *_: hanging.wait(30))
    events: list[Event] = []
    tracking = listener.Tracking(["mlflow"], base.TrackedStudy("x", tmp_path), events.append)
    tracking(StudyPlanned(["full"], [], run_ids={"full": "1"}))
    tracking(RunStarted("full", 1, 1))
    tracking.close(0.0)
    assert "mlflow was not told of everything" in said(events)
    hanging.set()


def test_runs_are_followed_while_they_go_on(tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LIVE_EVERY", 0.0)
    tracking = listener.Tracking(["mlflow"], base.TrackedStudy("x", tmp_path), None)
    tracking(StudyPlanned(["full"], [], run_ids={"full": "1a"}))
    tracking(RunStarted("full", 1, 1))
    tracking(RunProgress("full", "loading"))
    tracking(RunProgress("full", "training", step=7, loss=0.5, samples_per_second=10.0))
    tracking.close(10.0)
    assert heard.calls == [
        ("begin", "1a", "full"),
        ("progress", "1a", 7, {"live/loss": 0.5, "live/samples_per_second": 10.0}),
        ("close",),
    ]


def test_a_tried_rate_has_curves_of_its_own() -> None:
    point = live(RunProgress("full", "training", step=1, loss=0.5, tried_rate=0.01))
    assert point is not None
    assert point.values == {"live/rate_0.01/loss": 0.5}


def test_without_trackers_events_pass(tmp_path: Path) -> None:
    events: list[Event] = []
    with listener.tracked((), "x", tmp_path, events.append) as tracking:
        tracking(Notice("y"))
        tracking.report(tmp_path)
    assert events == [Notice("y")]


def test_names_are_checked_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match='tracker "mlfow" is not known; did you mean "mlflow"'):
        base.check(["mlfow"])
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'thriftune\[trackio\]'"):
        base.check(["trackio"])
    monkeypatch.undo()
    assert base.check(["tensorboard", "tensorboard"]) == ["tensorboard"]


def test_what_validation_finds_is_a_live_curve_too() -> None:
    looked = RunLooked("full", 1.5, 9, 0.7, 0.6, 0.8, None, 1e-3)
    assert live(looked) == Point(
        9, {"live/train_loss": 0.7, "live/validation_loss": 0.6, "live/validation_accuracy": 0.8}
    )
    tried = live(replace(looked, tried_rate=0.01))
    assert tried is not None
    assert {name.split("/")[1] for name in tried.values} == {"rate_0.01"}
