"""`thriftune export` as a program: what it prints, and what it refuses with code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.use.trained import study
from typer.testing import CliRunner

from thriftune.cli.entry import app
from thriftune.engine.stored.onnx import graph


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["export", *words])
    return done.exit_code, done.output


def test_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "_traced", graph._scripted)  # a tenth of the time
    code, said = run(f"{study().store.path}:full", "--to", str(tmp_path / "out"), "--format", "onnx", "--calibrated")
    assert code == 0, said
    for part in ("Largest difference", "Points lost", "int8", "in a process without Thriftune", "licence is yours"):
        assert part in said
    kept = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert [each["variant"] for each in kept["checked"]] == ["fp32", "int8"]
    assert kept["checked"][0]["texts"] == 45


@pytest.mark.parametrize(
    ("run_name", "options", "why"),
    [
        ("full", ["--format", "peft"], "Formats that it can have: onnx, sentence-transformers, transformers"),
        ("tfidf", ["--format", "onnx"], "has no transformer"),
        ("full", ["--format", "pickle"], "is not known"),
        ("fuller", ["--format", "onnx"], "fuller"),
        ("full", ["--format", "transformers", "--public"], "without --push"),
        ("full", ["--format", "transformers", "--push", "me"], "Give OWNER/NAME"),
        ("full", ["--format", "transformers", "--calibrated"], "no place for a temperature"),
        ("tfidf", ["--format", "onnx", "--texts", "0"], "--texts"),
    ],
)
def test_refused(run_name: str, options: list[str], why: str, tmp_path: Path) -> None:
    code, said = run(f"{study().store.path}:{run_name}", "--to", str(tmp_path / "out"), *options)
    assert code == 2, said
    assert why in " ".join(said.split())
    assert not list(tmp_path.iterdir())
