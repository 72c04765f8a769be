"""What the data needs is said in results.json, on the page's first screen and in the terminal."""

import json
import re
from pathlib import Path

import pytest
from tests.analysis.summarised import summarised

from thriftune.analysis.panels.answers import summary
from thriftune.analysis.panels.data import profile
from thriftune.report.printed.table import summary_notes
from thriftune.results.profile import DataWarning
from thriftune.results.store import Results
from thriftune.study.events import Event, StudyPlanned
from thriftune.study.execute import compare
from thriftune.study.file.config import study_from_dict

REPEATED = {"shared_texts", "conflicting_labels", "repeated_texts"}


def compared(folder: Path, events: list[Event], **data: object) -> Results:
    rows = [f"text number {i % 200},{['pos', 'Pos', 'neg'][i % 3]}" for i in range(240)]
    (folder / "a.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    split = {"test": 0.25, "validation": 0.25}
    settings = {"source": "a.csv", "text": ["text"], "split": split, **data}
    study = study_from_dict({"name": "s", "data": settings, "methods": ["majority", "tfidf"]}, folder)
    return compare(study, folder / "out", events.append, isolate=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, list[Event]]:
    events: list[Event] = []
    return compared(tmp_path_factory.mktemp("repeated"), events), events


def test_in_results_json(results: tuple[Results, list[Event]]) -> None:
    found = json.loads((results[0].store.path / "results.json").read_text(encoding="utf-8"))["profile"]["warnings"]
    assert {each["kind"] for each in found} == REPEATED | {"label_variants"}
    assert all(set(each) - {"share", "share_reason"} == {"kind", "message", "remedy"} for each in found)
    assert results[0].study.profile.warnings == [DataWarning(**each) for each in found]


def test_on_the_page_and_in_the_terminal(results: tuple[Results, list[Event]]) -> None:
    whole, events = results
    said = [warning.text for warning in whole.study.profile.warnings]
    first = summary.build(whole)
    threats = first.sentences  # type: ignore[union-attr]
    assert threats[0].startswith("6 of 60 test texts (10.0%) stand in train too"), "the severe ones first"
    own = [warning.text for warning in whole.study.profile.warnings if warning.kind != "shared_texts"]
    assert set(own) <= set(threats)
    assert next(table for table in profile.build(whole).tables if table.name == "warnings").rows[0]["remedy"]  # type: ignore[union-attr]
    assert summary_notes(summarised(whole))[: len(threats)] == threats
    assert next(event for event in events if isinstance(event, StudyPlanned)).warnings == said


def test_the_remedies_remedy(tmp_path: Path) -> None:
    clean = compared(tmp_path, [], labels={"Pos": "pos"}, deduplicate=True)
    assert {warning.kind for warning in clean.study.profile.warnings} <= {"conflicting_labels"}
    assert clean.labels == ["neg", "pos"]


def test_tfidf_records_what_it_chose(results: tuple[Results, list[Event]]) -> None:
    run = next(run for run in results[0].runs if run.name == "tfidf")
    assert re.fullmatch(r"Features: .*n-grams .* \(blanks part the words\)\.", run.notes[0])
    assert "were chosen by validation accuracy" in run.notes[1]
    assert "was chosen by validation accuracy" in run.notes[2]
    assert run.method["regularization"] == "auto"
