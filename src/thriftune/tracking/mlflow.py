"""MLflow: an experiment for the study, with a run that holds the page and, inside it, one for each of the study's."""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.tracking.values import Logged

if TYPE_CHECKING:
    from thriftune.tracking.base import TrackedStudy

RUN, STUDY = "thriftune.run_id", "thriftune.study"
"""Tags by which runs are found again."""
AT_ONCE = 500
"""Numbers in one request; MLflow takes 1,000."""
SETTINGS_AT_ONCE = 100
LONGEST = 500
"""Letters of a setting."""


def obstacle() -> str | None:
    """Why it cannot be used; what its server says comes later."""
    return None


def open_tracker(study: TrackedStudy) -> MLflow:
    """The tracker of a study."""
    return MLflow(study)


class MLflow:
    """Goes to MLFLOW_TRACKING_URI, or else to an SQLite store in the study's folder."""

    def __init__(self, study: TrackedStudy) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        named = os.environ.get("MLFLOW_TRACKING_URI")
        if named is None:
            study.folder.mkdir(parents=True, exist_ok=True)
        uri = named or f"sqlite:///{(study.folder / 'mlflow.db').absolute()}"
        self.where = uri
        self._client: Any = MlflowClient(tracking_uri=uri)
        artifacts = None if named else (study.folder / "mlflow-artifacts").absolute().as_uri()
        self._experiment = self._found_experiment(study.name, artifacts)
        tag = study.name.replace("'", "")  # a search takes no quote within quotes
        self._study = self._run_of(STUDY, tag) or self._new(study.name, {STUDY: tag})
        self._open: dict[str, str] = {}

    def holds(self, run_id: str) -> bool:
        """Whether the experiment has the run, finished."""
        found = self._search(RUN, run_id)
        return bool(found) and found[0].info.status == "FINISHED"

    def begin(self, run_id: str, name: str) -> None:
        """Finds the run or makes it."""
        if run_id in self._open:
            return
        found = self._run_of(RUN, run_id)
        if found is None:
            found = self._new(name, {RUN: run_id, STUDY: "", "mlflow.parentRunId": self._study})
        else:
            self._client.update_run(found, status="RUNNING", name=name)
        self._open[run_id] = found

    def progress(self, run_id: str, step: int, values: dict[str, float]) -> None:
        """Adds points."""
        self._log(self._open[run_id], [(step, values)])

    def finish(self, run: Logged) -> None:
        """Adds settings, curves, scores and costs."""
        from mlflow.entities import Param

        self.begin(run.run_id, run.name)
        place = self._open.pop(run.run_id)
        known = self._client.get_run(place).data.params
        new = [Param(name, str(value)[:LONGEST]) for name, value in run.settings.items() if name not in known]
        for start in range(0, len(new), SETTINGS_AT_ONCE):
            self._client.log_batch(place, params=new[start : start + SETTINGS_AT_ONCE])
        last = run.curves[-1].step if run.curves else 0
        self._log(place, [*((point.step, point.values) for point in run.curves), (last, run.numbers)])
        self._client.set_tag(place, "thriftune.status", run.status)
        if run.message:
            self._client.set_tag(place, "mlflow.note.content", run.message[:LONGEST])
        self._client.set_terminated(place, "FINISHED" if run.done else "FAILED")

    def report(self, page: Path, shown: str) -> None:
        """Stores the page with the study's run."""
        self._client.log_artifact(self._study, str(page))
        self._client.set_tag(self._study, "thriftune.report", shown)

    def close(self) -> None:
        """Marks what is open as broken off."""
        for place in self._open.values():
            self._client.set_terminated(place, "KILLED")
        self._client.set_terminated(self._study, "FINISHED")

    def _found_experiment(self, study: str, artifacts: str | None) -> str:
        if (given := os.environ.get("MLFLOW_EXPERIMENT_ID")) is not None:
            return given
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or study
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=artifacts))

    def _new(self, name: str, tags: dict[str, str]) -> str:
        return str(self._client.create_run(self._experiment, tags=tags, run_name=name).info.run_id)

    def _run_of(self, tag: str, value: str) -> str | None:
        found = self._search(tag, value)
        return str(found[0].info.run_id) if found else None

    def _search(self, tag: str, value: str) -> list[Any]:
        wanted = f"tags.`{tag}` = '{value}'"
        found: list[Any] = list(self._client.search_runs([self._experiment], wanted, max_results=1))
        return found

    def _log(self, place: str, points: list[tuple[int, dict[str, float]]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(re.sub(r"[^\w./ -]", "-", name), value, now, step)
            for step, values in points
            for name, value in values.items()
        ]
        for start in range(0, len(metrics), AT_ONCE):
            self._client.log_batch(place, metrics=metrics[start : start + AT_ONCE])
