"""What a study file may ask of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.study.search.searched import OVER, RATES, compare, study_of

from thriftune.errors import InputError
from thriftune.study.file.config import load_study, study_from_dict, study_to_yaml
from thriftune.study.file.plan import plan
from thriftune.study.file.search_settings import written
from thriftune.study.file.search_space import searched_run, space_of
from thriftune.study.file.yaml_text import parse_yaml


def problems(data: Path, over: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        study_of(data, over, **changes)
    return str(caught.value)


class TestStudyFile:
    def test_a_search_is_read_and_written(self, data: Path) -> None:
        over = {**OVER, "optimizer": {"weight_decay": [0, 0.1]}, "lora.alpha": {"choose": [8, 16]}}
        study = study_of(data, over)
        assert study_from_dict(parse_yaml(study_to_yaml(study), "it"), data) == study
        head, lora = (run for run in plan(study) if run.model)
        assert head.cell == "head_only"
        assert lora.cell == "lora searched", "its rank is not known before"
        shared = {"learning_rate": [1e-4, 0.1, "log"], "epochs": [1, 3], "optimizer.weight_decay": [0, 0.1]}
        assert written(space_of(head.method, study.search)) == shared
        assert written(space_of(lora.method, study.search)) == {
            **shared,
            "rank": [2, 8],
            "alpha": {"choose": [8, 16]},
        }
        changed = searched_run(lora, {"optimizer.weight_decay": 0.05, "rank": 3, "targets": ["query", "key"]})
        assert changed.protocol.optimizer.weight_decay == 0.05
        assert changed.method.flat()["rank"] == 3
        assert changed.method.flat()["targets"] == ["query", "key"]

    def test_a_method_s_own_range_comes_before_the_common_one(self, data: Path) -> None:
        study = study_of(data, {"lora.learning_rate": [0.1, 0.2], **RATES})
        spaces = [written(space_of(run.method, study.search)) for run in plan(study) if run.model]
        assert spaces == [RATES, {"learning_rate": [0.1, 0.2]}]

    def test_a_search_can_be_set_from_outside(self, data: Path) -> None:
        path = data / "study.yaml"
        path.write_text(study_to_yaml(study_of(data)), encoding="utf-8")
        sets = ["search.trials=4", "search.over.optimizer.weight_decay=[0, 0.1]", "search.over.rank={choose: [2, 4]}"]
        found = load_study(path, sets).search
        assert found is not None
        assert found.trials == 4
        assert written(found.dimensions) == {
            **RATES,
            "epochs": [1, 3],
            "rank": {"choose": [2, 4]},
            "optimizer.weight_decay": [0, 0.1],
        }

    def test_all_problems_at_once(self, data: Path) -> None:
        text = problems(
            data,
            {
                "epochs": [4, 8, 16],
                "batch_size": [8, 2],
                "dropout": [0, 0.5, "log"],
                "alpha": 3,
                "rank": {"choose": [4]},
                "layers": {"choose": ["all", "all"]},
            },
            search={"prune": "mean"},
        )
        assert "7 problems" in text
        for part in (
            'search.prune: "mean" is given; allowed: median or none',
            "over.epochs: [4, 8, 16] is given; allowed: [low, high], [low, high, log], or {choose: [a, b]}; for these "
            "values alone write {choose: [4, 8, 16]}",
            "over.batch_size: [8, 2] is given; the first number of a range must be below the second",
            'over.dropout: [0, 0.5, "log"] is given; a range on a log scale must begin above 0',
            "over.alpha: 3 is given; allowed",
            "a choice needs two values or more",
            "it names a value twice",
        ):
            assert part in text

    @pytest.mark.parametrize(
        ("over", "message"),
        [
            ({"learning_rat": [1, 2]}, 'over.learning_rat: unknown key; did you mean "learning_rate"?'),
            ({"lora.ranks": [1, 2]}, 'over.lora.ranks: lora has no key ranks; did you mean "rank"?'),
            ({"bitfit.learning_rate": [1, 2]}, "has no effect; the study has no method bitfit"),
            ({"top_layers": {"layers": [1, 2]}}, "has no effect; the study has no method top_layers"),
            ({"optimizer": [0, 1]}, "over.optimizer: is a mapping; name one of its keys: optimizer.weight_decay"),
            ({"max_tokens": [8, 32]}, "over.max_tokens: cannot be searched: texts are cut once"),
            ({"protocol.epochs": [1, 2], "epochs": [1, 3]}, "over.epochs: is the same key as protocol.epochs"),
            ({"epochs": [0, 2]}, "over.epochs: 0 is given, it must be at least 1"),
            ({"rank": [1.5, 4]}, "over.rank: 1.5 is given; allowed: a whole number"),
            ({"layers": [1, 3]}, "over.layers: is a range of numbers, but layers of lora is text: use {choose:"),
            ({"schedule.type": {"choose": ["linear", "cosin"]}}, 'did you mean "cosine"?'),
            ({"early_stopping.patience": [1, 3]}, "is null; give early_stopping"),
            ({"learning_rate": {"pick": [1, 2]}}, "over.learning_rate.pick: unknown key"),
            ({"layers": {"choose": [1, 2]}}, "allowed: text (layers of lora)"),
        ],
    )
    def test_refusals(self, data: Path, over: dict[str, Any], message: str) -> None:
        assert message in problems(data, over)

    def test_what_has_no_effect(self, data: Path) -> None:
        text = problems(data, RATES, methods=["tfidf"], models=None, protocol=None)
        assert "search: has no effect; no method of the study has settings to search" in text
        none = problems(data, {"rank": [1, 2]}, methods=["full"])
        assert "search.over.rank: has no effect; no method of the study that can be searched has it (lora" in none
        twice = problems(data, OVER, methods=[{"lora": {"rank": 4}}, {"lora": {"rank": 8}}])
        assert "two runs would be called" in twice
        protocol = {"batch_size": [8, 16], "max_tokens": 32}
        assert "over.batch_size: has no effect beside a list" in problems(
            data, {"batch_size": [4, 8]}, protocol=protocol
        )

    def test_selecting_by_loss_has_an_effect_on_the_last_weights_too(self, data: Path) -> None:
        study_of(data, protocol={"keep": "last", "select": "loss", "max_tokens": 32})

    def test_a_space_that_the_model_does_not_take_is_refused_before_training(self, data: Path, tmp_path: Path) -> None:
        results = compare(study_of(data, {"rank": [2, 64]}, methods=["majority", "lora"]), tmp_path / "out")
        assert [run.status for run in results.runs] == ["done", "failed"]
        assert "search.over: lora searched with rank 64: lora: rank is 64, but" in (results.runs[1].message or "")
        assert results.search is None

    def test_validation_is_needed(self, data: Path, tmp_path: Path) -> None:
        study = study_of(data, protocol={"keep": "last", "max_tokens": 32}, data={"split": {"test": 0.3}})
        with pytest.raises(InputError, match="validation"):
            compare(study, tmp_path / "out")
