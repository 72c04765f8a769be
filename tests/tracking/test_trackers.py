"""Each tracker for real, offline: what is stored is read back by the tracker's own reader."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thriftune.errors import InputError
from thriftune.tracking.base import TrackedStudy, check, tracker
from thriftune.tracking.values import Logged, Point

RUN = Logged(
    run_id="1a2b3c4d5e6f",
    name="lora r8",
    status="done",
    message=None,
    settings={"method.rank": 8, "model": "demo:minilm", "learning_rate": 0.001, "head.pool": True},
    numbers={"test/accuracy": 0.75, "robustness/a-b/accuracy": 0.5, "cost/train_seconds": 3.0},
    curves=[Point(1, {"train/loss": 1.0}), Point(2, {"train/loss": 0.5, "curve/validation_loss": 0.7})],
)
FAILED = Logged("99887766", "full", "failed", "no memory", {"model": "x"}, {}, [])


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "report.html"
    path.parent.mkdir()
    path.write_text("<p>page</p>")
    return path


def told(name: str, page: Path) -> None:
    """Tells a tracker of a study with two runs, one of them live, and its page."""
    to = tracker(name, TrackedStudy("my study", page.parent))
    assert not to.holds(RUN.run_id)
    to.begin(RUN.run_id, RUN.name)
    to.progress(RUN.run_id, 1, {"live/loss": 0.9})
    to.finish(RUN)
    to.finish(FAILED)
    to.report(page, "s3://bucket/report.html")
    to.close()
    again = tracker(name, TrackedStudy("my study", page.parent))
    assert again.holds(RUN.run_id)
    assert not again.holds(FAILED.run_id)
    again.close()


def test_tensorboard(page: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    to = tracker("tensorboard", TrackedStudy("my study", page.parent))
    to.begin(RUN.run_id, RUN.name)
    to.progress(RUN.run_id, 1, {"live/loss": 0.9})
    folder = page.parent / "tracking" / "tensorboard" / "lora-r8-1a2b3c4d"
    under_way = EventAccumulator(str(folder)).Reload()
    assert [(e.step, round(e.value, 6)) for e in under_way.Scalars("live/loss")] == [(1, 0.9)]
    to.close()
    told("tensorboard", page)
    found = EventAccumulator(str(folder), {"scalars": 0, "tensors": 0}).Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(1, 1.0), (2, 0.5)]
    assert found.Scalars("test/accuracy")[0].value == 0.75
    assert "_hparams_/session_start_info" in found.summary_metadata
    assert (folder.parent / "report").is_dir()


@pytest.mark.slow
def test_mlflow(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told("mlflow", page)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{page.parent / 'tracking' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("my study")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"lora r8", "full", "my study"}
    lora, study = runs["lora r8"], runs["my study"]
    assert lora.info.status == "FINISHED"
    assert runs["full"].info.status == "FAILED"
    assert lora.data.params["method.rank"] == "8"
    assert lora.data.metrics["test/accuracy"] == 0.75
    assert lora.data.tags["mlflow.parentRunId"] == study.info.run_id
    points = client.get_metric_history(lora.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 0.5)]
    stored = client.list_artifacts(study.info.run_id)
    assert [each.path for each in stored] == ["report.html"]
    assert Path(client.download_artifacts(study.info.run_id, "report.html")).read_text() == "<p>page</p>"


@pytest.mark.slow
def test_wandb(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    told("wandb", page)
    files = sorted((page.parent / "tracking" / "wandb").glob("offline-run-*/*.wandb"))
    assert {path.stem.removeprefix("run-") for path in files} == {RUN.run_id, FAILED.run_id, "report-my-study"}
    found = {path.stem.removeprefix("run-"): records(path) for path in files}
    history = [
        {(item.key or "/".join(item.nested_key)): item.value_json for item in record.history.item}
        for record in found[RUN.run_id]
        if record.HasField("history")
    ]
    assert [float(point["train/loss"]) for point in history if "train/loss" in point] == [1.0, 0.5]
    begun = next(record.run for record in found[RUN.run_id] if record.HasField("run"))
    assert (begun.project, begun.run_group, begun.display_name) == ("my-study", "my study", "lora r8")
    assert any(record.HasField("artifact") or record.HasField("request") for record in found["report-my-study"])


def records(path: Path) -> list:  # type: ignore[type-arg]
    """The records of W&B's offline file: a LevelDB log after 7 bytes, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, found, part = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(part)
            found.append(record)
            part = b""
    return found


def test_wandb_without_a_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()
    with pytest.raises(InputError, match=r"--track wandb: it has no key.*WANDB_MODE=offline"):
        check(["wandb"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert check(["wandb"]) == ["wandb"]


@pytest.mark.slow
def test_trackio(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trackio.utils
    from trackio.sqlite_storage import SQLiteStorage

    place = Path(os.environ.get("TRACKIO_DIR") or trackio.utils.TRACKIO_DIR)
    project = "my-study"
    told("trackio", page)
    assert place.exists()
    names = {run["name"] if isinstance(run, dict) else run for run in trackio.Api().runs(project)._load_runs() or []}
    assert names or SQLiteStorage.get_runs(project)
    logs = SQLiteStorage.get_logs(project, "lora-r8-1a2b3c4d")
    assert [row["train/loss"] for row in logs if "train/loss" in row] == [1.0, 0.5]
    assert any(row.get("test/accuracy") == 0.75 for row in logs)
    trackio.delete_project(project, force=True)
