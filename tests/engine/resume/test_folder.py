"""Checkpoints that are damaged, of something else, or not whole: never used; the one before is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.resume.interrupted import check_same, checkpoints_in, trained

from thriftune import endings
from thriftune.engine.protocol import Protocol
from thriftune.engine.resume import found, saver
from thriftune.engine.resume.folder import numbered
from thriftune.engine.resume.reached import read_reached

PROTOCOL = Protocol(epochs=2, batch_size=8, max_tokens=32, device="cpu")
SETTINGS = {"rank": 2}


def interrupt(folder: Path, written_at: list[int], ends_at: int = 9) -> None:
    """Leaves checkpoints of a training that ends after a step as a kill ends it."""
    with pytest.raises(KeyboardInterrupt):
        trained(
            folder,
            "lora",
            SETTINGS,
            PROTOCOL,
            written_at=written_at,
            ends_at=ends_at,
            checkpoints=checkpoints_in(folder, PROTOCOL),
        )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["manifest.json", "state.json", "tensors.safetensors", "epoch.safetensors"])
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
def test_a_damaged_one_is_said_and_the_one_before_is_used(
    name: str, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    interrupt(tmp_path, [7, 8], 9)
    first, second = numbered(tmp_path / "checkpoint")
    harm(second / name)
    told: list[str] = []
    checkpoints = checkpoints_in(tmp_path, PROTOCOL, told=told)
    assert checkpoints.resuming
    assert checkpoints.reached.steps == 7
    assert len(told) == 1
    assert f"Checkpoint {second.name} was not used: {name} is damaged" in told[0]
    assert checkpoints.notes == told
    assert numbered(tmp_path / "checkpoint") == [first]
    checkpoints.close()


def test_where_both_are_damaged_training_starts_anew_and_ends_the_same(tmp_path: Path) -> None:
    whole = trained(tmp_path, "lora", SETTINGS, PROTOCOL)
    interrupt(tmp_path, [3, 5])
    for path in numbered(tmp_path / "checkpoint"):
        flip(path / "tensors.safetensors")
    told: list[str] = []
    checkpoints = checkpoints_in(tmp_path, PROTOCOL, told=told)
    assert not checkpoints.resuming
    assert [note.endswith("Training started anew.") for note in told] == [True, True]
    check_same(whole, trained(tmp_path, "lora", SETTINGS, PROTOCOL, checkpoints=checkpoints))
    assert checkpoints.reached.resumed == 0


def test_one_that_is_damaged_is_passed_over_to_the_same_end(tmp_path: Path) -> None:
    whole = trained(tmp_path, "lora", SETTINGS, PROTOCOL)
    interrupt(tmp_path, [7, 9], 10)
    flip(numbered(tmp_path / "checkpoint")[-1] / "epoch.safetensors")
    checkpoints = checkpoints_in(tmp_path, PROTOCOL)
    check_same(whole, trained(tmp_path, "lora", SETTINGS, PROTOCOL, checkpoints=checkpoints))


def test_that_of_another_run_or_other_settings_is_not_used(tmp_path: Path) -> None:
    for change in ({"run_id": "other"}, {"protocol": replace(PROTOCOL, epochs=3)}):
        interrupt(tmp_path, [3])
        told: list[str] = []
        given = {"protocol": PROTOCOL, "run_id": "run", **change}
        other = checkpoints_in(tmp_path, given["protocol"], given["run_id"], told)  # type: ignore[arg-type]
        assert not other.resuming
        assert "it has another" in told[0]
        other.close()
        assert found(tmp_path) is None
    interrupt(tmp_path, [3])
    assert checkpoints_in(tmp_path, replace(PROTOCOL, checkpoint_every="5min")).resuming


def test_one_that_was_being_written_is_none_and_is_swept(tmp_path: Path) -> None:
    interrupt(tmp_path, [3])
    (whole,) = numbered(tmp_path / "checkpoint")
    half = tmp_path / "checkpoint" / ".writing-000002"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    (tmp_path / "checkpoint" / "000003").mkdir()
    info = found(tmp_path)
    assert info is not None
    assert (info.path, info.run_id, info.steps, info.most_steps) == (whole, "run", 3, 12)
    assert checkpoints_in(tmp_path, PROTOCOL).resuming
    assert not half.exists()


def test_what_a_kill_cost_is_known(tmp_path: Path) -> None:
    interrupt(tmp_path, [3], ends_at=7)
    reached = read_reached(tmp_path / "checkpoint")
    info = found(tmp_path)
    assert reached is not None
    assert info is not None
    assert (reached.steps, info.trained_steps) == (6, 3)
    checkpoints = checkpoints_in(tmp_path, PROTOCOL)
    assert checkpoints.reached.uncounted == pytest.approx(reached.seconds - info.trained_seconds)
    trained(tmp_path, "lora", SETTINGS, PROTOCOL, checkpoints=checkpoints)
    assert checkpoints.reached.steps == 12
    assert checkpoints.reached.uncounted > reached.seconds - info.trained_seconds


def test_a_request_to_end_writes_one_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([False, False, True])
    monkeypatch.setattr("thriftune.engine.loop.asked_to_end", lambda: next(asked))
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, "lora", SETTINGS, PROTOCOL, checkpoints=checkpoints_in(tmp_path, PROTOCOL))
    info = found(tmp_path)
    assert info is not None
    assert info.steps == 3
    assert endings.asked_to_end() is False


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(tmp_path, "lora", SETTINGS, PROTOCOL)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    told: list[str] = []
    checkpoints = checkpoints_in(tmp_path, PROTOCOL, told=told)
    with monkeypatch.context() as changed:
        changed.setattr(saver, "write_state", full)
        check_same(whole, trained(tmp_path, "lora", SETTINGS, PROTOCOL, written_at=[2, 4], checkpoints=checkpoints))
    assert told == ["A checkpoint could not be written (No space left on device); training went on without."]
    assert not numbered(tmp_path / "checkpoint")
    assert not list((tmp_path / "checkpoint").glob(".writing*"))


def test_other_threads_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(tmp_path, [3])
    now = saver.circumstances()
    monkeypatch.setattr(saver, "circumstances", lambda: {**now, "threads": 64})
    told: list[str] = []
    assert checkpoints_in(tmp_path, PROTOCOL, told=told).resuming
    assert f"threads was {now['threads']}, now 64" in told[0]


def test_writes_are_due_in_time_and_do_not_crowd_training_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(saver.time, "perf_counter", lambda: clock[0])
    checkpoints = checkpoints_in(tmp_path, PROTOCOL)
    assert not checkpoints.due(), "nothing was trained"
    clock[0] += 500
    checkpoints.started()
    assert not checkpoints.due()
    clock[0] += 59
    assert not checkpoints.due()
    clock[0] += 1
    assert checkpoints.due()
    checkpoints._took = 5.0
    clock[0] -= 4
    assert checkpoints.due(), "what a kill in the middle of writing loses counts too"
    checkpoints._blocked = 20.0
    clock[0] += 100
    assert not checkpoints.due(), "ten times what the last one took"
    checkpoints.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="one more interpreter")
def test_found_needs_no_torch() -> None:
    code = "import sys; from thriftune.engine.resume import found; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
