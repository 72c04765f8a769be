"""The live table of a notebook, by a stand-in for its display."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from thriftune.python import watching
from thriftune.study.events import Notice, RunProgress, RunStarted, Stage, StudyPlanned


class Display:
    """What IPython.display offers, keeping what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def HTML(self, text: str) -> str:
        return text

    def display(self, shown: str, display_id: bool) -> Any:
        assert display_id
        self.shown.append(shown)
        return SimpleNamespace(update=self.shown.append)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Display:
    display = Display()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, __path__=[]))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return display


def test_a_notebook_sees_the_runs(notebook: Display) -> None:
    with watching.watched(None, None) as listener:
        assert listener is not None
        listener(Stage("reading data"))
        listener(Notice("what <b>was</b> guessed"))
        listener(StudyPlanned(["full", "lora <i>"], []))
        listener(RunStarted("full", 1, 2))
        listener(RunProgress("full", "training", epoch=2, epochs=3, loss=0.5))
    last = notebook.shown[-1]
    assert "what &lt;b&gt;was&lt;/b&gt; guessed" in last
    assert "lora &lt;i&gt;" in last
    assert "2/3" in last
    assert len(notebook.shown) >= 3


def test_nobody_watches_a_plain_program() -> None:
    heard: list[object] = []
    assert not watching.in_notebook()
    with watching.watched(None, None) as listener:
        assert listener is None
    with watching.watched(heard.append, None) as listener:
        assert listener is not None
        listener(Notice("x"))
    assert len(heard) == 1


def test_asked_for_it_is_shown_beside_the_callers_own(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[object] = []
    with watching.watched(heard.append, True) as listener:
        assert listener is not None
        listener(Notice("a sentence"))
    assert len(heard) == 1
    assert "a sentence" in capsys.readouterr().err
