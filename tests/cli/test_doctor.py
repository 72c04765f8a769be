"""thriftune doctor: what it prints, and its exit codes."""

from __future__ import annotations

import json

import pytest
from tests.cli.commands import run

from thriftune.doctor import examine
from thriftune.doctor.finding import Finding

FINE = Finding("Python", "3.11.7")
NOTE = Finding("Memory", "1.0 GB free", "note", "end other programs")
BAD = Finding("Packages", "peft is missing", "fails", "pip install 'peft>=0.19'")


def found(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(examine, "examine", lambda online: list(findings))


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, FINE)
    result = run("doctor")
    assert result.exit_code == 0
    assert result.stdout.split() == ["ok", "Python", "3.11.7", "Everything", "works."]


def test_notes_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, FINE, NOTE)
    result = run("doctor")
    assert result.exit_code == 0
    assert "→ end other programs" in result.stdout
    assert "Everything works; 1 note above." in result.stdout


def test_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, FINE, NOTE, BAD)
    result = run("doctor")
    assert result.exit_code == 1
    assert "FAILS  Packages  peft is missing" in result.stdout
    assert "pip install 'peft>=0.19'" in result.stdout
    assert "1 thing will fail" in result.stdout


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, FINE, BAD)
    result = run("doctor", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["fine"] is False
    assert document["findings"][1] == {
        "subject": "Packages",
        "found": "peft is missing",
        "state": "fails",
        "remedy": "pip install 'peft>=0.19'",
    }
