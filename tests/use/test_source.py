"""What users name as a classifier."""

from __future__ import annotations

import shutil
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
