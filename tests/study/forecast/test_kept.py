"""What the output of frozen layers will take is said before it is made, and is what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.study.small_study import small_study

from thriftune.report.forecast import kept_remark
from thriftune.results.store import Results
from thriftune.study.events import Notice
from thriftune.study.execute import compare
from thriftune.study.forecast.estimate import Question, document, estimate, kept_document
from thriftune.wording import size

HEADER = 128
"""Bytes of a .npy file beside its values."""
METHODS = [{"top_layers": {"layers": 1}}, {"lora": {"layers": "top 1"}}, "head_only", "full", "majority"]


def said(study: object, out: Path) -> tuple[list[str], Results]:
    heard: list[object] = []
    results = compare(study, out, heard.append, isolate=False)  # type: ignore[arg-type]
    return [event.text for event in heard if isinstance(event, Notice)], results


@pytest.mark.parametrize("kind", ["fp32", "bf16"])
def test_it_is_said_first_and_is_what_it_takes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "cache"))
    study = small_study(tmp_path, methods=METHODS, protocol={"epochs": 1, "max_tokens": 48, "prefix": kind})
    cells = estimate(study, Question(probe=False))
    notices, results = said(study, tmp_path / "out")
    folder = tmp_path / "cache" / "prefixes"
    taken = sum(path.stat().st_size - HEADER for path in folder.glob("*.npy"))
    expected = f"Output of the frozen layers: {size(taken)} on disk in {folder} (limit 20.0 GB)."
    assert expected in notices
    assert {run.status for run in results.runs} == {"done"}
    named = {cell.name.split()[0]: cell for cell in cells}
    assert named["full"].prefix_bytes is None
    about = kept_document(cells)
    assert about["prefix_bytes"] == pytest.approx(taken, rel=0.3), "texts of test are taken to be as long as train's"
    remark = kept_remark(about)
    assert remark is not None
    assert remark.startswith(f"Output of the frozen layers: about {size(about['prefix_bytes'])} on disk in {folder}")
    assert document(study, Question(), cells)["prefix_limit_bytes"] == 20_000_000_000


def test_where_there_is_no_room_it_is_said_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("THRIFTUNE_CACHE_LIMIT", "0.01MB")
    study = small_study(tmp_path, methods=[{"top_layers": {"layers": 1}}], protocol={"epochs": 1, "max_tokens": 48})
    notices, results = said(study, tmp_path / "out")
    (notice,) = [text for text in notices if "No room" in text]
    assert "top_layers 1" in notice
    assert "THRIFTUNE_CACHE_LIMIT" in notice
    (run,) = results.runs
    assert any("The frozen layers ran in every step: their output takes" in note for note in run.notes)
    assert not list((tmp_path / "cache" / "prefixes").glob("*.npy"))
