"""The keys that say what a study rests on: `decide_by` and `tolerance`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from thriftune.analysis.statistics.metric_intervals import METRICS
from thriftune.errors import InputError
from thriftune.study.file.config import Study, study_from_dict, study_to_dict
from thriftune.study.file.settings import DECIDING


def study(**changes: Any) -> Study:
    data: dict[str, Any] = {
        "name": "x",
        "data": {"source": "a.csv", "text": ["t"]},
        "models": ["demo:minilm"],
        "methods": ["full"],
    }
    return study_from_dict(data | changes, Path())


def test_the_metrics_are_those_that_the_analysis_knows() -> None:
    assert DECIDING == METRICS


def test_defaults() -> None:
    assert (study().tolerance, study().decide_by, study().protocol.select) == (1.0, "accuracy", "accuracy")


@pytest.mark.parametrize("metric", DECIDING[1:])
def test_epochs_are_selected_by_macro_f1_unless_said_otherwise(metric: str) -> None:
    found = study(decide_by=metric)
    assert found.protocol.select == "macro_f1"
    assert study_from_dict(study_to_dict(found), Path()) == found
    assert study(decide_by=metric, protocol={"select": "loss", "epochs": 2}).protocol.select == "loss"
    assert study(decide_by=metric, protocol={"epochs": 2}).protocol.select == "macro_f1"


def test_it_is_no_mistake_where_nothing_is_selected() -> None:
    assert study(decide_by="mcc", protocol={"keep": "last"}).decide_by == "mcc"
    assert study(decide_by="mcc", methods=["tfidf"], models=[]).decide_by == "mcc"
    assert study(decide_by="mcc", methods=["embeddings"]).decide_by == "mcc"
    single = {"name": "a", "model": "demo:minilm", "method": "full", "protocol": {"epochs": 1}}
    found = study(decide_by="macro_f1", runs=[single], methods=[], models=[])
    assert found.runs[0].protocol.select == "macro_f1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decide_by": "f1"}, "decide_by"),
        ({"decide_by": ["accuracy"]}, "decide_by"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": 101}, "tolerance"),
        ({"tolerance": "one"}, "tolerance"),
    ],
)
def test_what_is_not_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        study(**changes)
