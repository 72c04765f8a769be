"""What threatens a study: each threat from its threshold on, with a remedy, the severe ones first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.synthetic import Variant, ended, write

from thriftune.analysis.findings.caution import caution
from thriftune.analysis.findings.threats import Threat, threats
from thriftune.analysis.panels.answers import summary
from thriftune.results.profile import DataWarning, Dropped, Groups, SharedText
from thriftune.results.store import Results

CALM = Variant(
    columns=("text",), troubled=False, texts=600, training=tuple((m, ended(0.0)) for m in ("full", "lora r8"))
)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write(tmp_path_factory.mktemp("calm"), CALM).load()


def changed(results: Results, **profile: Any) -> Results:
    settled = {"shared": [], "dropped": [], "warnings": [], "tokens": [], **profile}
    study = results.study
    return Results(results.store, replace(study, profile=replace(study.profile, **settled)))


def found(results: Results, kind: str) -> list[Threat]:
    return [each for each in threats(results) if each.kind == kind]


def test_a_sound_study_has_none(calm: Results) -> None:
    assert threats(changed(calm)) == []


def test_shared_texts_count_from_a_hundredth(calm: Results) -> None:
    def shared(exact: int, first: str = "train", second: str = "test") -> Results:
        return changed(calm, shared=[SharedText(first, second, exact, None, 1000)])

    (threat,) = threats(shared(200))
    assert (threat.kind, threat.severe, threat.share) == ("shared", True, 0.2)
    assert "200 of 1,000 test texts (20.0%) stand in train too" in threat.text
    assert threat.remedy == "data.deduplicate: true leaves them out of train."
    assert threats(shared(9)) == threats(shared(500, "train", "validation")) == []


@pytest.mark.parametrize(
    ("warning", "share", "severe"),
    [
        ("truncation", 0.06, False),
        ("truncation", 0.3, True),
        ("conflicting_labels", 0.02, False),
        ("conflicting_labels", 0.1, True),
        ("grouped_texts", 0.3, False),
        ("grouped_texts", 0.9, True),
        ("missing_label", 0.05, True),
        ("label_variants", None, True),
        ("repeated_texts", 0.5, False),
        ("dominant_label", 0.85, False),
        ("dominant_label", 0.95, True),
    ],
)
def test_what_the_reader_warned_of(calm: Results, warning: Any, share: float | None, severe: bool) -> None:
    results = changed(calm, warnings=[DataWarning(warning, "It is so.", "Do this.", share)])
    (threat,) = threats(results)
    assert (threat.words, threat.severe, threat.share) == ("It is so. Do this.", severe, share)
    careful = caution(results)
    assert (careful is not None and "It is so." in careful.words) == severe


def test_what_does_not_matter_is_not_said(calm: Results) -> None:
    warnings = [DataWarning("conflicting_labels", "Few.", "Do.", 0.001)]
    assert threats(changed(calm, warnings=warnings, dropped=[Dropped("train", "no label", 2)])) == []


def test_dropped_rows_but_those_that_the_user_left_out(calm: Results) -> None:
    rows = sum(calm.study.profile.rows.values())
    (threat,) = threats(changed(calm, dropped=[Dropped("train", "no label", rows)]))
    assert (threat.kind, threat.severe, threat.share) == ("dropped", True, 0.5)
    assert f"no label: {rows:,}" in threat.text
    assert threats(changed(calm, dropped=[Dropped("train", 'label "x" (data.labels)', rows)])) == []


def test_few_test_texts_and_few_groups(calm: Results) -> None:
    profile = calm.study.profile
    few = changed(calm, rows=profile.rows | {"test": 150})
    (threat,) = threats(few)
    assert (threat.kind, threat.severe) == ("few_texts", True)
    assert threat.text.startswith("There are 150 test texts: ")
    assert not found(changed(calm, rows=profile.rows | {"test": 400}), "few_texts")[0].severe
    grouped = changed(calm, groups=Groups("user", "example", 30, 600, None))
    assert found(grouped, "few_groups") == []  # every example is a group of its own


def test_rare_classes_in_test_are_severe_where_classes_weigh_alike(calm: Results) -> None:
    counts = calm.study.profile.label_counts | {"test": {"entailment": 500, "neutral": 4, "contradiction": 96}}
    (threat,) = threats(changed(calm, label_counts=counts))
    assert (threat.kind, threat.severe) == ("rare_in_test", False)
    assert "1 of 3 classes has fewer than 10 test texts: neutral (4)" in threat.text
    study = replace(calm.study, study=calm.study.study | {"decide_by": "macro_f1"})
    assert found(changed(Results(calm.store, study), label_counts=counts), "rare_in_test")[0].severe


def test_texts_of_groups_that_train_knows(calm: Results) -> None:
    (threat,) = found(changed(calm, groups=Groups("user", "user", 60, 600, 480)), "known_groups")
    assert "80.0% of the test texts have a user that train has too" in threat.text
    assert not threat.severe


def test_runs_without_result_and_runs_still_improving(tmp_path: Path) -> None:
    variant = replace(CALM, troubled=True, training=(("full", ended(0.03)), ("lora r8", ended(0.0))))
    results = changed(write(tmp_path, variant).load())
    kinds = [each.kind for each in threats(results)]
    assert kinds == ["improving", "lost", "lost"]
    improving, lost, memory = threats(results)
    assert improving.text == "Still improving in the last epoch: full (+3.0 points)."
    assert lost.text == "1 of 5 runs did not learn: lora r64."
    assert memory.text == "1 of 5 runs ran out of memory: full on xxl."
    assert "protocol.batch_size" in memory.remedy
    panel = summary.build(results)
    assert panel.sentences[:3] == [each.words for each in threats(results)]
    assert [each["severe"] for each in panel.statistics["threats"]] == [True] * 3


def test_the_severe_ones_come_first(calm: Results) -> None:
    warnings = [DataWarning("repeated_texts", "Minor.", "Do.", 0.1), DataWarning("truncation", "Major.", "Do.", 0.5)]
    assert [each.text for each in threats(changed(calm, warnings=warnings))] == ["Major.", "Minor."]
