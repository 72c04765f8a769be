"""A validation split is asked for only where a run reads it."""

from pathlib import Path
from typing import Any

import pytest
from tests.study.small_study import small_study

from thriftune.errors import InputError
from thriftune.report.render import write_report
from thriftune.study.execute import compare
from thriftune.study.file.plan import needs_validation, plan

LAST = {"epochs": 1, "batch_size": 16, "max_tokens": 32, "device": "cpu", "keep": "last"}
NEEDING: dict[str, dict[str, Any]] = {
    "best": {"protocol": {**LAST, "keep": "best"}},
    "a search": {"methods": [{"full": {"learning_rate": [0.001, 0.01]}}]},
    "early stopping": {"protocol": {**LAST, "early_stopping": {"patience": 1}}},
    "a plateau": {"protocol": {**LAST, "schedule": {"type": "plateau"}}},
}


@pytest.mark.parametrize("case", NEEDING)
def test_what_reads_validation_asks_for_it(tmp_path: Path, case: str) -> None:
    study = small_study(tmp_path, **{"protocol": LAST, **NEEDING[case], "data": {"split": {"test": 0.3}}})
    assert needs_validation(plan(study))
    with pytest.raises(InputError, match="no validation split"):
        compare(study, tmp_path / "out", isolate=False)


def test_a_study_without_validation_runs_to_its_report(tmp_path: Path) -> None:
    """Its columns have names that mean something to others (a regular expression, a file that a run leaves)."""
    rows = "".join(f"{'good' if i % 2 else 'bad'} film {i},said {i % 7},who {i},{i % 2}\n" for i in range(60))
    (tmp_path / "odd.csv").write_text("^.*$,predicted,*,class\n" + rows)
    data = {"source": "odd.csv", "text": ["^.*$", "predicted"], "label": "class", "keep": "*", "split": {"test": 0.3}}
    methods = ["majority", "tfidf", {"full": {"learning_rate": 0.003}}]
    study = small_study(tmp_path, protocol=LAST, methods=methods, data=data)
    results = compare(study, tmp_path / "out", isolate=False)
    assert [run.status for run in results.study.runs] == ["done"] * 3
    assert all(run.validation is None and run.test is not None for run in results.study.runs)
    assert list(results.study.profile.rows) == ["train", "test"]
    assert results.test.columns == ["example", "^.*$", "predicted", "label", "*"]
    assert write_report(tmp_path / "out").exists()


def test_baselines_need_no_validation(tmp_path: Path) -> None:
    study = small_study(
        tmp_path, protocol=None, models=None, methods=["majority", "tfidf"], data={"split": {"test": 0.3}}
    )
    assert not needs_validation(plan(study))
