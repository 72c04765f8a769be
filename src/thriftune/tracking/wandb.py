"""Weights & Biases: a project for the study, a group of runs, and one that holds the page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.paths import slug
from thriftune.tracking.ledger import Ledger
from thriftune.tracking.values import Logged

if TYPE_CHECKING:
    from thriftune.tracking.base import TrackedStudy

UNSENT = ("offline", "disabled", "dryrun")


def obstacle() -> str | None:
    """Why it cannot be used: it would ask for a key."""
    import wandb

    settings = wandb.setup().settings
    mode = os.environ.get("WANDB_MODE") or settings.mode
    if mode in UNSENT or settings.api_key or settings.identity_token_file or _in_netrc(str(settings.base_url)):
        return None
    return "it has no key. Set WANDB_API_KEY, or run `wandb login`, or set WANDB_MODE=offline and `wandb sync` later."


def open_tracker(study: TrackedStudy) -> WandB:
    """The tracker of a study."""
    return WandB(study)


class WandB:
    """Runs are found again by their ids; configuration is W&B's own (WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY ...)."""

    def __init__(self, study: TrackedStudy) -> None:
        self._study = study.name
        self._project = os.environ.get("WANDB_PROJECT") or slug(study.name)
        self._folder = Path(os.environ.get("WANDB_DIR") or study.folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        mode = os.environ.get("WANDB_MODE") or "online"
        base = os.environ.get("WANDB_BASE_URL") or "wandb.ai"
        offline = mode in UNSENT
        self.where = f"{self._folder / 'wandb'} (offline)" if offline else f"{base}, project {self._project}"
        self._ledger = Ledger(study.folder / "wandb.json", f"{mode} {base} {self._project}")
        self._open: dict[str, Any] = {}

    def holds(self, run_id: str) -> bool:
        """Whether it was told of the run to its end, as far as is remembered in the study's folder."""
        return self._ledger.holds(run_id)

    def begin(self, run_id: str, name: str) -> None:
        """Begins the run, or goes on with the one of that id."""
        if run_id not in self._open:
            self._open[run_id] = self._run(run_id, name, "run")

    def progress(self, run_id: str, step: int, values: dict[str, float]) -> None:
        """Adds points."""
        self._open[run_id].log({"step": step, **values})

    def finish(self, run: Logged) -> None:
        """Adds settings, curves, scores and costs."""
        self.begin(run.run_id, run.name)
        place = self._open.pop(run.run_id)
        place.config.update(run.settings, allow_val_change=True)
        for point in run.curves:
            place.log({"step": point.step, **point.values})
        place.summary.update({**run.numbers, "status": run.status, "message": run.message})
        place.finish(exit_code=0 if run.done else 1)
        if run.done:
            self._ledger.add(run.run_id)

    def report(self, page: Path, shown: str) -> None:
        """Stores the page as an artefact."""
        import wandb

        place = self._run(f"report-{slug(self._study)}"[:64], "report", "report")
        artefact = wandb.Artifact(slug(f"{self._study}-report"), type="report", metadata={"page": shown})
        artefact.add_file(str(page), name="report.html")
        place.log_artifact(artefact)
        place.finish()

    def close(self) -> None:
        """Ends what is open, as failed."""
        for place in self._open.values():
            place.finish(exit_code=1)

    def _run(self, run_id: str, name: str, kind: str) -> Any:
        import wandb

        place = wandb.init(
            project=self._project,
            group=self._study[:128],
            id=run_id,
            name=name,
            job_type=kind,
            dir=str(self._folder),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )
        place.define_metric("step", hidden=True)
        place.define_metric("*", step_metric="step")
        return place


def _in_netrc(url: str) -> bool:
    import netrc
    from urllib.parse import urlsplit

    try:
        return netrc.netrc().authenticators(urlsplit(url).netloc) is not None
    except (OSError, netrc.NetrcParseError):
        return False
