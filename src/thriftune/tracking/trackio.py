"""Trackio: a project for the study, a run for each of its runs; told of each when it has ended."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.paths import slug
from thriftune.tracking.ledger import Ledger
from thriftune.tracking.values import Logged, Setting, folder_of

if TYPE_CHECKING:
    from thriftune.tracking.base import TrackedStudy


def obstacle() -> str | None:
    """Why it cannot be used; it always can."""
    return None


def open_tracker(study: TrackedStudy) -> Trackio:
    """The tracker of a study."""
    return Trackio(study)


class Trackio:
    """Configuration is Trackio's own (TRACKIO_DIR, TRACKIO_SPACE_ID, TRACKIO_SERVER_URL ...).

    Trackio ends a run where another begins, so that runs which go on side by side cannot be followed live.
    """

    def __init__(self, study: TrackedStudy) -> None:
        import os

        from trackio.utils import TRACKIO_DIR

        self._project = slug(study.name)
        place = os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL")
        self.where = f"{place or TRACKIO_DIR}, project {self._project} (trackio show --project {self._project})"
        self._ledger = Ledger(study.folder / "trackio.json", str(place or TRACKIO_DIR))

    def holds(self, run_id: str) -> bool:
        """Whether it was told of the run, as far as is remembered in the study's folder."""
        return self._ledger.holds(run_id)

    def begin(self, run_id: str, name: str) -> None:
        """Nothing yet."""

    def progress(self, run_id: str, step: int, values: dict[str, float]) -> None:
        """Nothing yet."""

    def finish(self, run: Logged) -> None:
        """Logs settings, curves, scores and costs."""
        with redirect_stdout(io.StringIO()):  # what it prints would mix with the command's own output
            place = self._run(folder_of(run.run_id, run.name), {**run.settings, "status": run.status})
            for point in run.curves:
                place.log(dict(point.values), step=point.step)
            last = run.curves[-1].step if run.curves else 0
            place.log(dict(run.numbers), step=last)
            place.finish()
        if run.done:
            self._ledger.add(run.run_id)

    def report(self, page: Path, shown: str) -> None:
        """Stores the page as an artefact of a run called report."""
        with redirect_stdout(io.StringIO()):
            place = self._run("report", {"page": shown})
            place.log_artifact(str(page), name="report.html", type="report", overwrite=True)
            place.finish()

    def close(self) -> None:
        """Nothing is open."""

    def _run(self, name: str, config: dict[str, Setting]) -> Any:
        import trackio

        return trackio.init(
            project=self._project,
            name=name,
            group=self._project,
            config=config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
