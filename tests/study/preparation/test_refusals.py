"""One model or method that cannot run is refused by itself, before anything is trained; the others are done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.study.small_study import small_study
from tests.tiny_models import LAYERS, model_folder

from thriftune.errors import InputError
from thriftune.progress import PlainLines
from thriftune.report.render import write_report
from thriftune.results.store import Results
from thriftune.study import execute
from thriftune.study.events import Event, RunFinished, RunStarted
from thriftune.study.file.config import Study


def compare(study: Study, out: Path, listener: Callable[[Event], None] | None = None) -> Results:
    return execute.compare(study, out, listener, isolate=False)


def statuses(results: Results) -> dict[str, str]:
    return {run.name: run.status for run in results.runs}


METHODS: list[Any] = ["majority", "head_only", {"top_layers": {"layers": LAYERS + 1}}, {"peft": {"type": "POLY"}}]


def test_what_cannot_run_fails_first_and_the_rest_is_done(tmp_path: Path) -> None:
    events: list[Event] = []
    study = small_study(tmp_path, models=[str(model_folder("bert")), "./absent"], methods=METHODS)
    results = compare(study, tmp_path / "out", events.append)
    found = statuses(results)
    done = {name for name, status in found.items() if status == "done"}
    assert {name.split()[-1] for name in done} == {"majority", "head_only"}
    assert len(done) == 2
    assert set(found.values()) == {"done", "failed"}
    messages = {run.name: run.message or "" for run in results.runs if run.status == "failed"}
    assert sum("absent" in message for message in messages.values()) == 3
    assert any(f"has {LAYERS}" in message for message in messages.values())
    assert any("task number" in message for message in messages.values())
    order = [type(event).__name__ for event in events if isinstance(event, RunFinished | RunStarted)]
    assert order[:5] == ["RunFinished"] * 5, "what is refused is said before anything is trained"
    assert {event.name for event in events if isinstance(event, RunStarted)} == done
    for run in results.runs:
        assert results.store.run(run.run_id).read_record() == run
    assert "absent" in write_report(tmp_path / "out").read_text(encoding="utf-8")


def test_the_terminal_says_it_first(tmp_path: Path) -> None:
    lines: list[str] = []
    compare(small_study(tmp_path, methods=METHODS[:3]), tmp_path / "out", PlainLines(lines.append))
    refused = next(i for i, line in enumerate(lines) if "top_layers 4: failed, top_layers asks for" in line)
    assert refused < next(i for i, line in enumerate(lines) if "started" in line)


def test_a_refused_run_is_checked_again_on_resume(tmp_path: Path) -> None:
    study = small_study(tmp_path, models=["./later"], methods=["majority", "head_only"])
    assert statuses(compare(study, tmp_path / "out")) == {"majority": "done", "head_only": "failed"}
    shutil.copytree(model_folder("bert"), tmp_path / "later")
    events: list[Event] = []
    again = compare(study, tmp_path / "out", events.append)
    assert statuses(again) == {"majority": "done", "head_only": "done"}
    assert [event.name for event in events if isinstance(event, RunStarted)] == ["head_only"]


def test_a_done_run_is_kept_whatever_is_refused_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study(tmp_path, methods=["majority", "head_only"])
    first = compare(study, tmp_path / "out")

    def refuse(*_: object, **__: object) -> None:
        raise InputError("not today")

    monkeypatch.setattr("thriftune.study.preparation.refusals._check_run", refuse)
    events: list[Event] = []
    again = compare(study, tmp_path / "out", events.append)
    assert [run.test for run in again.runs] == [run.test for run in first.runs]
    assert not any(isinstance(event, RunStarted) for event in events)


def test_where_nothing_is_left_every_message_is_in_one_error(tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    study = small_study(tmp_path, methods=METHODS[2:])
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        compare(study, tmp_path / "out")
    assert f"- top_layers {LAYERS + 1}: top_layers asks" in str(caught.value)
    assert "- peft poly: " in str(caught.value)
    assert set(tmp_path.iterdir()) == before


def test_texts_that_are_too_long_for_one_model_alone(tmp_path: Path) -> None:
    """Positions end at 64 for both; a prompt takes some of them."""
    prompt = {"peft": {"type": "PROMPT_TUNING", "num_virtual_tokens": 8}}
    protocol = {"epochs": 1, "max_tokens": 60, "device": "cpu"}
    results = compare(small_study(tmp_path, methods=["head_only", prompt], protocol=protocol), tmp_path / "out")
    assert [run.status for run in results.runs] == ["done", "failed"]
    assert "64 tokens, 8 of them the prompt's. Set max_tokens to 56 or less" in (results.runs[1].message or "")


def test_a_tokenizer_that_knows_more_than_the_model(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    grown = tmp_path / "grown"
    shutil.copytree(model_folder("bert"), grown)
    tokenizer = AutoTokenizer.from_pretrained(grown)
    tokenizer.add_tokens(["cat", "dog", "catdog"])
    tokenizer.add_tokens(["red"])
    tokenizer.save_pretrained(grown)
    study = small_study(tmp_path, models=[str(model_folder("bert")), "grown"], methods=["head_only"])
    results = compare(study, tmp_path / "out")
    assert [run.status for run in results.runs] == ["done", "failed"]
    assert "makes the ids" in (results.runs[1].message or "")
    assert '"red"' in (results.runs[1].message or "")


def test_a_training_too_short_for_its_method(tmp_path: Path) -> None:
    tuner = {"peft": {"type": "ADALORA", "tinit": 500}}
    results = compare(small_study(tmp_path, methods=["majority", tuner]), tmp_path / "out")
    assert "cannot be allocated in 10 steps with tinit 500" in (results.runs[1].message or "")


def test_the_layers_of_an_architecture_that_are_not_known_have_a_reason(tmp_path: Path) -> None:
    results = compare(small_study(tmp_path, kind="albert", methods=["head_only"]), tmp_path / "out")
    cost = results.runs[0].cost
    assert cost is not None
    assert cost.layers is None
    assert cost.gradient_layers is None
    assert "one set of weights" in cost.reasons["layers"]


def test_an_estimate_leaves_out_what_cannot_be_estimated(tmp_path: Path) -> None:
    from thriftune.study.forecast.estimate import Question, estimate

    said: list[str] = []
    study = small_study(tmp_path, methods=METHODS[1:])
    cells = estimate(study, Question(probe=False), said.append)
    assert [cell.name for cell in cells] == ["head_only"]
    assert any(line.startswith("left out: peft poly: ") for line in said)
