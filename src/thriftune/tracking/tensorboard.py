"""TensorBoard: a folder of event files for each run in `OUT/tracking/tensorboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.results.files import delete
from thriftune.tracking.ledger import Ledger
from thriftune.tracking.values import Logged, folder_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from thriftune.tracking.base import TrackedStudy


def obstacle() -> str | None:
    """Why it cannot be used; it always can."""
    return None


def open_tracker(study: TrackedStudy) -> TensorBoard:
    """The tracker of a study."""
    return TensorBoard(study)


class TensorBoard:
    """Curves appear while a run goes on; settings and scores under HPARAMS when it has ended."""

    def __init__(self, study: TrackedStudy) -> None:
        self._folder = study.folder / "tensorboard"
        self._ledger = Ledger(study.folder / "tensorboard.json", "tensorboard")
        self._open: dict[str, SummaryWriter] = {}
        self.where = f"{self._folder} (tensorboard --logdir {self._folder})"

    def holds(self, run_id: str) -> bool:
        """Whether the run's folder is there and was written to its end."""
        return self._ledger.holds(run_id) and any(self._folder.glob(f"*-{run_id[:8]}"))

    def begin(self, run_id: str, name: str) -> None:
        """Opens the run's folder; what a broken-off attempt left stays, that of an earlier make of the run goes."""
        if run_id not in self._open:
            if self._ledger.holds(run_id):
                delete(self._folder / folder_of(run_id, name))
            self._open[run_id] = self._writer(folder_of(run_id, name))

    def progress(self, run_id: str, step: int, values: dict[str, float]) -> None:
        """Adds points, which are on the disk at once."""
        for name, value in values.items():
            self._open[run_id].add_scalar(name, value, step)
        self._open[run_id].flush()

    def finish(self, run: Logged) -> None:
        """Adds curves, scores and costs."""
        self.begin(run.run_id, run.name)
        writer = self._open.pop(run.run_id)
        for point in run.curves:
            for name, value in point.values.items():
                writer.add_scalar(name, value, point.step)
        last = run.curves[-1].step if run.curves else 0
        for name, value in run.numbers.items():
            writer.add_scalar(name, value, last)
        scores = {f"hparam/{name}": value for name, value in run.numbers.items() if name.startswith("test/")}
        writer.add_hparams(dict(run.settings), scores, run_name=".")
        writer.add_text("status", run.status if run.message is None else f"{run.status}: {run.message}")
        writer.close()
        if run.done:
            self._ledger.add(run.run_id)

    def report(self, page: Path, shown: str) -> None:
        """Says where the page is, as text: event files hold none."""
        delete(self._folder / "report")
        with self._writer("report") as writer:
            writer.add_text("report", shown)

    def close(self) -> None:
        """Closes what is open."""
        for writer in self._open.values():
            writer.close()

    def _writer(self, folder: str) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._folder / folder))
