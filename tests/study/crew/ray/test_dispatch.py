"""Tasks that end, are lost, cannot be placed or are broken off, without a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.study.crew.ray.fake_ray import Fake, NodeDiedError, OutOfMemoryError, WorkerCrashedError, node

from thriftune.study.crew.ray import dispatch
from thriftune.study.crew.ray.dispatch import Dispatch, Lost, Task
from thriftune.study.crew.ray.mailbox import Began, Message
from thriftune.study.crew.ray.needs import Needs
from thriftune.study.crew.ray.parcel import Ended, Made, Parcel, Seal, Unfit, Unseen
from thriftune.study.crew.ray.settings import RaySettings
from thriftune.study.events import RunProgress

NEEDS = Needs(2, 0, 10**9)
PARCEL = Parcel(0, b"", "/models/m", None, False, 2, None, {}, Seal("", "", {}))
MADE = Made("record", 1.0)


def tasks(count: int = 1, needs: Needs = NEEDS) -> list[Task]:
    return [Task(f"run {number}", needs, replace(PARCEL, task=number)) for number in range(count)]


class Heard:
    """What a dispatch tells, and what comes of its tasks."""

    def __init__(self, fake: Fake, retries: int = 2, wait: float = 0.0, visible: Any = lambda parcel: None) -> None:
        self.fake = fake
        self.notices: list[str] = []
        self.told: list[tuple[str, Any]] = []
        settings = RaySettings("auto", 2, retries, wait)
        self.dispatch = Dispatch(
            settings, print, lambda task, told: self.told.append((task.name, told)), self.notices.append, visible
        )

    def outcomes(self, given: list[Task]) -> list[tuple[str, Any]]:
        return [(task.name, found) for task, found in self.dispatch.outcomes(iter(given))]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "PLACES_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "END_SECONDS", 0.05)


def fake(monkeypatch: pytest.MonkeyPatch, answers: Any, *nodes: dict[str, Any]) -> Fake:
    return Fake(answers, list(nodes or [node(4)])).install(monkeypatch)


def test_what_is_made_comes_back_with_what_was_set_aside_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = fake(monkeypatch, lambda name, start: MADE)
    assert Heard(there).outcomes(tasks(3)) == [(f"run {number}", MADE) for number in range(3)]
    assert there.options[0] | {"name": ""} == {
        "name": "",
        "scheduling_strategy": "SPREAD",
        "num_cpus": 2,
        "num_gpus": 0,
        "memory": 10**9,
    }
    assert there.killed, "the mailbox goes with the study"


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (NodeDiedError("x"), "the node the cluster was lost"),
        (WorkerCrashedError("x"), "its worker on the cluster was lost"),
        (Ended(), "it was asked to end there"),
        (Unfit("n2: it has another version"), "n2: it has another version"),
    ],
)
def test_what_is_lost_is_started_again(monkeypatch: pytest.MonkeyPatch, loss: Any, said: str) -> None:
    there = fake(monkeypatch, lambda name, start: loss if start == 1 else MADE)
    heard = Heard(there)
    assert heard.outcomes(tasks()) == [("run 0", MADE)]
    assert len(heard.notices) == 1
    assert "started again (1 of 2 times)" in heard.notices[0]
    assert said in heard.notices[0]
    assert [parcel.attempt for _, parcel in there.starts] == [1, 2]


def test_what_is_lost_too_often_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    there = fake(monkeypatch, lambda name, start: OutOfMemoryError("x") if name == "run 0" else MADE)
    found = dict(Heard(there, retries=2).outcomes(tasks(2)))
    assert found["run 1"] == MADE
    assert isinstance(found["run 0"], Lost)
    assert found["run 0"].memory
    assert "started again 2 times" in found["run 0"].why
    assert sum(name == "run 0" for name, _ in there.starts) == 3


def test_a_run_that_no_node_can_hold_is_given_up_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    there = fake(monkeypatch, lambda name, start: None, node(1, name="small"), node(64, alive=False, name="gone"))
    ((name, lost),) = Heard(there).outcomes(tasks())
    assert isinstance(lost, Lost)
    assert "needs 2 processors and 1.00 GB of memory" in lost.why
    assert "small (1 processor" in lost.why
    assert "gone" not in lost.why
    assert there.cancelled[0] == (name, False)


def test_it_waits_for_a_node_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    there = fake(monkeypatch, lambda name, start: MADE if len(there.nodes) > 1 else None, node(1))
    heard = Heard(there, wait=3600)
    outcomes = heard.dispatch.outcomes(iter(tasks()))
    monkeypatch.setattr(
        heard.dispatch, "notice", lambda text: (heard.notices.append(text), there.nodes.append(node(8)))
    )
    assert [found for _, found in outcomes] == [MADE]
    assert "waits 3600 seconds for a node" in heard.notices[0]


def test_a_model_that_a_node_does_not_see_is_put_where_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    there = fake(monkeypatch, lambda name, start: Unseen("n1") if start == 1 else MADE)
    heard = Heard(there, retries=0, visible=lambda parcel: replace(parcel, model="/shared/m"))
    assert heard.outcomes(tasks()) == [("run 0", MADE)]
    assert there.starts[1][1].model == "/shared/m"


def test_a_model_that_cannot_be_shown_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, lost),) = Heard(fake(monkeypatch, lambda name, start: Unseen("n1"))).outcomes(tasks())
    assert "n1 does not see the model's folder /models/m" in lost.why


def test_only_the_present_start_of_a_task_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = RunProgress("run 0", "training", epoch=1)

    def tell(parcel: Parcel, mailbox: Any) -> Made:
        mailbox.put([Message(0, 1, Began("n1", "n1", 0.0)), Message(0, 7, progress), Message(0, 1, progress)])
        return MADE

    there = fake(monkeypatch, lambda name, start: tell)
    heard = Heard(there)
    assert heard.outcomes(tasks()) == [("run 0", MADE)]
    assert set(map(str, heard.told)) == set(map(str, [("run 0", Began("n1", "n1", 0.0)), ("run 0", progress)]))


def test_closing_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    there = fake(monkeypatch, lambda name, start: MADE if name == "run 2" else None)
    outcomes = Heard(there).dispatch.outcomes(iter(tasks(3)))
    next(outcomes)
    outcomes.close()
    forced = {name for name, force in there.cancelled if force}
    assert forced == {name for name, _ in there.starts} - {"run 2"}
    assert there.mailbox.put([]), "whoever still runs hears that it is over"
    assert there.killed
