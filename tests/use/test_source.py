"""What users name as a classifier."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.analysis.findings.planted import Planted, study_of
from tests.use.trained import study

from thriftune.analysis.findings.decision import decide
from thriftune.errors import InputError
from thriftune.use.choose import recommended
from thriftune.use.source import find


def test_names_and_folders() -> None:
    results = study()
    out, run = results.store.path, next(run for run in results.done if run.name == "lora r8 all")
    folder = results.store.run(run.run_id)
    for text in (
        f"{out}:lora r8 all",
        f"{out}:LoRA r8 ALL",
        f"{out}:lora r8 a",
        f"{out}:{run.run_id}",
        f"{out}:{run.run_id[:8]}",
        str(folder.path),
        str(folder.model_path),
        f"{folder.model_path}/",
    ):
        found = find(text)
        assert (found.name, found.model) == ("lora r8 all", folder.model_path)
        assert found.labels == tuple(results.labels)
        assert found.columns == ("premise", "hypothesis")


def test_the_recommended_run() -> None:
    results = study()
    taken = decide(results).taken
    assert taken is not None
    assert find(results.store.path).name in [run.name for run in taken.cell.runs]


def test_none_is_recommended_where_none_learned() -> None:
    label = np.arange(100) % 2
    results = study_of(label, {"full": Planted(np.zeros((1, 100), dtype=np.int64))})
    with pytest.raises(InputError, match=r'learned anything, so none is recommended\. Name one: "nowhere:NAME"'):
        recommended(results)


@pytest.mark.parametrize(("metric", "seed"), [("accuracy", 0), ("macro_f1", 1), ("balanced_accuracy", 2), ("mcc", 1)])
def test_of_the_seeds_the_best_by_what_the_study_decides_by(metric: str, seed: int) -> None:
    """On validation: the first is right most often, the third finds most of the rare class, the second is between."""
    label = np.arange(400) % 2
    results = study_of(label, {"full": Planted(np.stack([label] * 3))}, decide_by=metric)
    matrices = [[[900, 0], [60, 40]], [[880, 20], [40, 60]], [[800, 100], [20, 80]]]
    runs = [
        replace(run, validation=replace(run.test, accuracy=0.0, macro_f1=0.0, confusion=matrix))  # type: ignore[type-var]
        for run, matrix in zip(results.runs, matrices, strict=True)
    ]
    study = replace(results.study, runs=runs)
    assert recommended(type(results)(study, results.frames)).seed == seed  # type: ignore[attr-defined, call-arg, arg-type]


def test_a_folder_with_a_colon_in_its_name(tmp_path: Path) -> None:
    results = study()
    copied = tmp_path / "a:b"
    copied.mkdir()
    shutil.copy(results.store.results_path, copied)
    with pytest.raises(InputError, match="has no model in"):
        find(f"{copied}:full")


def test_what_is_no_classifier(tmp_path: Path) -> None:
    results = study()
    for text, said in (
        (f"{results.store.path}:lora", "Several runs .* Name one"),
        (f"{results.store.path}:", "is not known"),
        (f"{results.store.path}:fulll", 'did you mean "full"'),
        (str(tmp_path), "holds no classifier"),
        (str(tmp_path / "nothing"), "not there"),
        (f"{tmp_path}:full", "not there"),
        (str(results.store.results_path), "is a file"),
        ("", "blank"),
    ):
        with pytest.raises(InputError, match=said):
            find(text)


def test_a_model_taken_out_of_its_run(tmp_path: Path) -> None:
    results = study()
    run = next(run for run in results.done if run.name == "tfidf")
    shutil.copytree(results.store.run(run.run_id).path, tmp_path / "alone")
    found = find(tmp_path / "alone" / "model")
    assert found.name == "tfidf"
    assert found.results is None
    assert found.columns is None
