"""What runs' folders are called, and how they are found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thriftune.results.run_folder import RunFolders, ascii_name, folder_name
from thriftune.results.store import Store

ID = "1a2b3c4d5e6f7081"


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("lora r8 all", "lora-r8-all-seed0-1a2b3c4d"),
        ("demo:minilm / full batch 8", "demo-minilm-full-batch-8-seed0-1a2b3c4d"),
        ("Größe 1e-05", "grosse-1e-05-seed0-1a2b3c4d"),
        ("方法", "run-seed0-1a2b3c4d"),
        ("../CON. ", "con-seed0-1a2b3c4d"),
        ("x" * 500, f"{'x' * 60}-seed0-1a2b3c4d"),
    ],
)
def test_names_are_readable_and_safe(cell: str, name: str) -> None:
    assert folder_name(cell, 0, ID) == name
    assert len(folder_name(cell, 2**63, ID)) < 120


def test_a_name_is_never_empty() -> None:
    assert ascii_name("--- . ---") == "run"


def _made(folder: Path, run_id: str | None) -> Path:
    folder.mkdir(parents=True)
    if run_id is not None:
        (folder / "run.json").write_text(json.dumps({"run_id": run_id}))
    return folder


def test_a_run_is_found_by_its_id_whatever_it_was_called(tmp_path: Path) -> None:
    folder = _made(tmp_path / "runs" / "lora-seed0-1a2b3c4d", ID)
    assert Store(tmp_path).run(ID).path == folder
    assert Store(tmp_path).run(ID, "another name", 3).path == folder


def test_folders_of_earlier_releases_are_found(tmp_path: Path) -> None:
    folder = _made(tmp_path / "runs" / ID, ID)
    assert Store(tmp_path).run(ID, "lora r8 all", 0).path == folder


def test_what_a_run_left_unfinished_is_its_own(tmp_path: Path) -> None:
    folder = _made(tmp_path / "runs" / "lora-seed0-1a2b3c4d", None)
    assert Store(tmp_path).run(ID, "lora", 0).path == folder


def test_runs_whose_ids_begin_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    other = "1a2b3c4d00000000"
    first = _made(tmp_path / "runs" / "lora-seed0-1a2b3c4d", other)
    second = Store(tmp_path).run(ID, "lora", 0).path
    assert second.name == f"lora-seed0-{ID}"
    _made(second, ID)
    assert [RunFolders(tmp_path / "runs").path_of(each) for each in (other, ID)] == [first, second]


def test_a_run_without_a_folder(tmp_path: Path) -> None:
    assert RunFolders(tmp_path / "runs").path_of(ID) is None
    assert Store(tmp_path).run(ID).path == tmp_path / "runs" / ID
