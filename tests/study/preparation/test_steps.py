from pathlib import Path

import pytest
from tests.study.small_study import small_study, write_pairs

from thriftune.errors import InputError
from thriftune.study.execute import compare
from thriftune.study.file.plan import plan
from thriftune.study.preparation.steps import check_steps


def test_a_study_whose_warm_up_leaves_no_step_is_refused_before_it_runs(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.csv", 40)
    study = small_study(tmp_path, protocol={"epochs": 1, "batch_size": 64, "max_tokens": 32, "device": "cpu"})
    with pytest.raises(InputError, match=r"full: 20 training texts make 1 optimiser step.*schedule\.warmup to 0"):
        compare(study, tmp_path / "out", isolate=False)
    assert not (tmp_path / "out" / "results.json").exists()


def test_baselines_take_no_steps(tmp_path: Path) -> None:
    check_steps(plan(small_study(tmp_path, methods=["tfidf", "majority"], models=None, protocol=None)), 1)
