"""Studies side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.cli.commands import run
from tests.report.synthetic import sure, write_runs

from thriftune.analysis.findings.decision import decide
from thriftune.errors import InputError
from thriftune.report.beside import read_beside, sentences, table, write_beside
from thriftune.results.store import Store

LABELS = ("no", "yes")
TEXTS = 400
HELD = {"lora": 60, "full": 40}
OTHER = {"lora": 30, "top": 80}


def _study(folder: Path, wrong: dict[str, int], *, prefix: str = "text", labels: tuple[str, ...] = LABELS) -> Store:
    """Its runs get so many of the same texts wrong, the first of them."""
    rng = np.random.default_rng(0)
    truth = np.arange(TEXTS) % 2
    answers = {name: sure(truth, np.arange(TEXTS) < count, 2, rng) for name, count in wrong.items()}
    texts = {"text": [f"{prefix} {i}" for i in range(TEXTS)], "label": truth}
    return write_runs(folder, texts, labels, answers)


def _reversed(store: Store) -> None:
    """The same study with its test texts in another order."""
    results = store.load()
    store.write_test(results.test.reverse())
    for each in results.runs:
        frame = results.predictions(each)
        store.run(each.run_id).write_predictions("test", frame.reverse())


@pytest.mark.parametrize("turned", [False, True])
def test_the_same_test_texts_are_compared_text_by_text(tmp_path: Path, turned: bool) -> None:
    _study(tmp_path / "a", HELD)
    other = _study(tmp_path / "b", OTHER)
    if turned:
        _reversed(other)
    found = read_beside([tmp_path / "a", tmp_path / "b"])
    assert found.same_test
    (difference,) = found.differences["lora"]
    assert difference is not None
    assert difference.value == pytest.approx(30 / TEXTS)
    assert difference.low is not None
    assert difference.high is not None
    assert 0 < difference.low < difference.value < difference.high < 0.15
    assert found.differences["full"] == found.differences["top"] == [None]
    rows = {row["Method"]: row for row in table(found)}
    assert rows["lora"]["A Acc. %"].startswith("85.0")
    assert rows["lora"]["B Acc. %"] == "92.5 *"
    assert rows["lora"]["B − A"].startswith("7.5 (")
    assert rows["top"]["A Acc. %"] == rows["top"]["B − A"] == "–"
    assert [decide(each) is own for each, own in zip(found.studies, found.decisions, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"prefix": "another"}, "test texts or labels differ"), ({"labels": ("no", "maybe")}, "labels differ")],
)
def test_other_texts_or_labels_are_not_compared(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    _study(tmp_path / "a", HELD)
    _study(tmp_path / "b", OTHER, **changes)  # type: ignore[arg-type]
    found = read_beside([tmp_path / "a", tmp_path / "b"])
    assert not found.same_test
    assert f"not comparable: their {why}" in sentences(found)[0]
    assert "B − A" not in table(found)[0]


def test_the_command_and_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    _study(tmp_path / "a", HELD)
    _study(tmp_path / "b", OTHER)
    _study(tmp_path / "c", HELD, prefix="<script>")
    result = run("report", "a", "b")
    assert result.exit_code == 0, result.output
    for said in ("A: a (planted", "Take lora", "same test texts and labels", "Report: side-by-side.html"):
        assert said in result.stdout
    text = (tmp_path / "side-by-side.html").read_text(encoding="utf-8")
    assert "B − A" in text
    assert "<script" not in text
    assert run("report", "a", "b", "c").exit_code == 0
    assert "C Acc. %" in (tmp_path / "side-by-side.html").read_text(encoding="utf-8")


def test_what_cannot_stand_side_by_side(tmp_path: Path) -> None:
    _study(tmp_path / "a", HELD)
    _study(tmp_path / "b", OTHER)
    for folders, said in (
        ((tmp_path / "a", tmp_path / "a"), "given twice"),
        ((tmp_path / "a", tmp_path / "none"), "not there"),
        ((tmp_path / "a", tmp_path), "no results.json"),
    ):
        with pytest.raises(InputError, match=said):
            read_beside(list(folders))
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    with pytest.raises(InputError, match="is there and is no such page"):
        write_beside(read_beside([tmp_path / "a", tmp_path / "b"]), mine)
    assert mine.read_text() == "mine"
    result = run("report", str(tmp_path / "a"), "--out", "x.html")
    assert (result.exit_code, "no effect on one folder" in result.stderr) == (2, True)
