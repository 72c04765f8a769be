"""From a study to named runs, and their ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thriftune.study.file.config import Study, load_study, shipped_folder, study_from_dict
from thriftune.study.file.plan import plan, run_id


def study(**changes: Any) -> Study:
    data = {"name": "x", "data": {"source": "a.csv", "text": ["t"]}, "models": ["demo:minilm"], "methods": ["full"]}
    return study_from_dict({k: v for k, v in (data | changes).items() if v is not None}, Path())


def names(planned: Study) -> list[str]:
    return [run.name for run in plan(planned)]


def an_id(planned: Study, index: int = 0, **changes: str) -> str:
    known = {"fingerprint": "f", "weights_hash": "w", "engine_version": "1", "device_type": "cpu"}
    return run_id(plan(planned)[index], planned, **known | changes)


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_study_plans(path: Path) -> None:
    loaded = load_study(path)
    runs = plan(loaded)
    assert len({run.name for run in runs}) == len(runs) > 0
    assert len({run_id(run, loaded, "f", "w", "1", "cpu") for run in runs}) == len(runs)


def test_the_demo() -> None:
    assert names(load_study(None)) == [
        "majority",
        "tfidf",
        "tfidf hypothesis only",
        "embeddings",
        "top_layers 2",
        "head_only",
        "lora r8 all",
        "lora r8 top 2",
        "full",
    ]


def test_models_and_seeds_enter_names_only_where_there_are_several() -> None:
    grid = study(models=["demo:minilm", "google/electra-small"], methods=["full", "tfidf"], seeds=[1, 2])
    assert names(grid) == [
        "tfidf",
        "minilm full seed 1",
        "minilm full seed 2",
        "electra-small full seed 1",
        "electra-small full seed 2",
    ]
    assert {run.cell for run in plan(grid)} == {"tfidf", "minilm full", "electra-small full"}
    assert plan(grid)[0].seed == 1
    assert plan(grid)[0].model is None


def test_short_names_that_collide_stay_long() -> None:
    assert names(study(models=["a/bert", "b/bert"])) == ["a/bert full", "b/bert full"]


def test_equal_labels_are_told_apart_by_what_differs() -> None:
    methods = [{"lora": {"alpha": 16}}, {"lora": {"alpha": 32}}, {"full": {"learning_rate": [1e-5, 2e-5]}}, "full"]
    assert names(study(methods=methods)) == [
        "lora r8 all alpha 16",
        "lora r8 all alpha 32",
        "full learning rate 1e-05+2e-05",
        "full learning rate 5e-05",
    ]


def test_listed_runs_keep_their_names() -> None:
    runs = [
        {"name": "A", "model": "m", "method": "full", "seed": 7, "protocol": {"epochs": 1}},
        {"name": "B", "model": "m", "method": "full", "head": {"type": "linear"}},
        {"name": "C", "method": "majority"},
    ]
    planned = plan(study(models=None, methods=None, runs=runs, seeds=[0, 1]))
    assert [(run.name, run.cell, run.seed) for run in planned] == [
        ("A", "A", 7),
        ("B seed 0", "B", 0),
        ("B seed 1", "B", 1),
        ("C", "C", 0),
    ]
    assert [run.protocol.epochs for run in planned] == [1, 3, 3, 3]
    assert [run.head.type for run in planned] == ["own", "linear", "linear", "own"]


class TestRunId:
    def test_is_stable_and_short(self) -> None:
        assert an_id(study()) == an_id(study())
        assert len(an_id(study())) == 16
        assert int(an_id(study()), 16) >= 0

    @pytest.mark.parametrize(
        "changes",
        [
            {"protocol": {"epochs": 4}},
            {"head": {"type": "linear"}},
            {"methods": [{"full": {"learning_rate": 1e-5}}]},
            {"seeds": [1]},
            {"models": ["other"]},
            {"data": {"source": "a.csv", "text": ["u"]}},
        ],
    )
    def test_changes_with_what_results_depend_on(self, changes: dict[str, Any]) -> None:
        assert an_id(study(**changes)) != an_id(study())

    @pytest.mark.parametrize("key", ["fingerprint", "weights_hash", "engine_version", "device_type"])
    def test_changes_with_data_weights_engine_and_device(self, key: str) -> None:
        assert an_id(study(), **{key: "other"}) != an_id(study())

    def test_ignores_names_margin_and_the_word_for_the_device(self) -> None:
        other = study(name="y", margin=1, protocol={"device": "cpu"}, published={"full": {"accuracy": 0.5}})
        assert an_id(other) == an_id(study())

    def test_a_baseline_depends_on_no_model_protocol_or_device(self) -> None:
        first = study(methods=["tfidf", "full"])
        second = study(methods=["tfidf", "full"], protocol={"epochs": 9}, models=["other"])
        assert an_id(first) == an_id(second, device_type="cuda", weights_hash="other")


def test_planned_runs_are_plain_frozen_data() -> None:
    run = plan(study())[0]
    assert replace(run, name="z").name == "z"
