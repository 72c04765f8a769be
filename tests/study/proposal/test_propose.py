"""What init proposes for data of some size: always a study that loads, and that ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.study.proposal.synthetic_speeds import speeds

from thriftune.data.guess.inspect import Guess, guess
from thriftune.data.guess.shares import shares
from thriftune.data.settings import SplitSettings
from thriftune.models.head import HeadSettings
from thriftune.study.file.config import Study, load_study
from thriftune.study.forecast.duration import Speeds, about
from thriftune.study.proposal import propose as module
from thriftune.study.proposal.deciding import deciding_metric
from thriftune.study.proposal.draft import draft
from thriftune.study.proposal.max_tokens import TokenRoom
from thriftune.study.proposal.propose import LONG, Proposal, initial, propose, protocol_for

ROOM = TokenRoom(64, "max_tokens 64.", (12, 20, 30), 100)


def proposal(rows: Mapping[str, int], machine: Speeds | None, classes: int = 3, head: str = "mean") -> Proposal:
    protocol = protocol_for(rows["train"], 64)
    return propose(rows, classes, protocol, HeadSettings(type=head), "demo:minilm", machine, "it is not here")


def guessed(rows: Mapping[str, int], classes: int) -> Guess:
    total = sum(rows.values())
    made = shares(total, classes, ["validation", "test"])
    return Guess(
        source="a.csv",
        text=("text",),
        label="label",
        labels={f"class {i}": total // classes for i in range(classes)},
        splits=("train",),
        split=SplitSettings(test=made.test, validation=made.validation),
        rows=dict(rows),
        texts=(["a text"],),
        reasons=['"text" is the text: --text says so.'],
        warnings=[],
        problem=None,
    )


def written(found: Proposal, classes: int = 3) -> tuple[str, Study]:
    with TemporaryDirectory() as name:
        path = Path(name) / "study.yaml"
        text = draft(guessed(found.rows, classes), ROOM, found, "study", Path(name))
        path.write_text(text, encoding="utf-8")
        return text, load_study(path)


@settings(max_examples=25, deadline=None)
@given(
    total=st.integers(30, 2_000_000),
    classes=st.integers(2, 200),
    seconds=st.one_of(st.none(), st.floats(1e-5, 1.0)),
    head=st.sampled_from(["mean", "own"]),
)
def test_what_is_written_loads_and_ends(total: int, classes: int, seconds: float | None, head: str) -> None:
    made = shares(total, classes, ["validation", "test"])
    validation, test = (max(1, round(share * total)) for share in (made.validation, made.test))
    rows = {"train": total - validation - test, "validation": validation, "test": test}
    found = proposal(rows, None if seconds is None else speeds(seconds), classes, head)
    text, study = written(found, classes)
    for key in ("budget", "max_tokens", "batch_size"):
        assert getattr(study.protocol, key) == getattr(found.protocol, key)
    assert study.head == found.head
    assert study.protocol.epochs == "auto"
    assert study.protocol.batch_size in (8, 16, 32)
    names = [method.NAME for method in study.methods]
    assert names[:3] == ["majority", "tfidf", "embeddings"]
    assert len(names) >= 5, "two fine-tunings at least"
    assert names == [entry.name for entry in found.methods if not entry.off]
    for entry in found.methods:
        assert entry.off <= (entry.seconds is not None and entry.seconds > LONG)
        assert (f"  # - {entry.name}: " in text) == entry.off
    if found.limit is not None:
        assert found.limit.rows["train"] < rows["train"]
        assert "  # limit: {train: " in text
    if seconds is None:
        assert "Time is not predicted: it is not here." in text
    else:
        assert "#   Time: about " in text


def test_the_batch_follows_the_rows() -> None:
    assert [protocol_for(rows, 64).batch_size for rows in (100, 499, 500, 3_999, 4_000, 10**6)] == [
        8,
        8,
        16,
        16,
        32,
        32,
    ]


def test_a_small_study_is_short_and_whole() -> None:
    found = proposal({"train": 900, "validation": 100, "test": 3_080}, speeds(0.01), 77)
    assert not any(entry.off for entry in found.methods)
    assert found.limit is None
    assert found.protocol.budget.seconds is None
    assert found.reasons[-1].startswith("Time: about ")
    assert "on this machine (2 processors), predicted: full " in found.reasons[-1]


def test_what_takes_long_is_left_to_be_switched_on() -> None:
    text, study = written(proposal({"train": 9_000, "validation": 1_000, "test": 3_000}, speeds(0.025)))
    assert [method.NAME for method in study.methods][3:] == ["head_only", "top_layers", "lora"]
    assert "  # - full: {learning_rate: auto, head_learning_rate: 0.005} # about 36 min here\n" in text
    assert study.protocol.budget.seconds is None, "no training that stays is as long"


def test_large_data_end_by_a_budget_and_a_first_look_is_offered() -> None:
    found = proposal({"train": 288_000, "validation": 2_000, "test": 9_900}, speeds(0.02))
    text, study = written(found)
    assert study.protocol.budget.seconds == LONG
    assert [method.NAME for method in study.methods][3:] == ["head_only", "top_layers"]
    assert found.limit is not None
    assert found.limit.rows["test"] == 2_000
    assert "for a first look: about " in text
    assert "without the budget" in text


def test_the_head_is_the_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = {"train": 100, "validation": 20, "test": 20}
    found = initial(guessed(rows, 2), ROOM, str(tmp_path), False, lambda text: None)
    assert found.head.type == "own"
    assert found.reasons[-1] == "Time is not predicted: the machine was not probed (--no-probe)."
    monkeypatch.setattr(module, "pooled_by", lambda folder: "mean")
    found = initial(guessed(rows, 2), ROOM, str(tmp_path), False, lambda text: None)
    assert found.head.type == "mean"
    assert "trained to be read as the mean of its tokens" in " ".join(found.reasons)
    absent = initial(guessed(rows, 2), ROOM, "owner/absent", True, lambda text: None)
    assert absent.head.type == "own"
    assert absent.reasons[-1] == "Time is not predicted: owner/absent is not on this machine."


def test_data_that_compare_refuses_have_a_proposal_too(tmp_path: Path) -> None:
    refused = guessed({}, 2)
    found = initial(
        Guess(**{**refused.__dict__, "labels": {"a": 90, "b": 10}}), ROOM, str(tmp_path), False, lambda text: None
    )
    assert found.rows["train"] == 60


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "5 s"), (52, "50 s"), (58, "1 min"), (89, "1 min"), (5_000, "83 min"), (6_000, "1.5 h"), (2e5, "56 h")],
)
def test_about(seconds: float, words: str) -> None:
    assert about(seconds) == (words if seconds < 172_800 else "2 days")


def test_macro_f1_is_proposed_where_classes_are_of_very_unequal_size() -> None:
    assert deciding_metric({"a": 100, "b": 10}, {"a": 20, "b": 12}) == (None, None)
    chosen, why = deciding_metric({"a": 101, "b": 10}, {"a": 20, "b": 12})
    assert chosen == "macro_f1"
    assert why is not None
    assert "a has 101 rows and b 10" in why
    chosen, why = deciding_metric({"a": 900, "b": 12, "c": 30}, {"a": 180, "b": 2, "c": 6})
    assert chosen is None
    assert why is not None
    assert "2 classes have fewer than 10 test texts (b 2)" in why


def test_what_is_found_is_written_and_loads(tmp_path: Path) -> None:
    rows = "".join(f"text number {i},{int(i % 15 == 0)},{['no', 'yes'][i % 15 == 0]},u{i // 9}\n" for i in range(1800))
    (tmp_path / "a.csv").write_text(f"text,label,label_text,user\n{rows}", encoding="utf-8")
    found = guess(tmp_path / "a.csv")
    room = ROOM
    text = draft(found, room, initial(found, room, "demo:minilm", False, print), "a", tmp_path)
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    study = load_study(tmp_path / "a.yaml")
    assert (study.decide_by, study.data.group, study.data.labels) == ("macro_f1", "user", {"0": "no", "1": "yes"})
    assert "labels: {0: no, 1: yes}" in text.replace("'", "")
