"""The only owner of paths under a study's output folder; every write is atomic.

`run.json` is written last: where it exists, the run is complete.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError
from thriftune.results.json_text import json_text
from thriftune.results.record import SCHEMA_VERSION, Crossovers, EpochPoint, RunRecord, StepPoint, StudyResults

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


@dataclass(frozen=True)
class Embeddings:
    """Vectors of some test texts, as one run's classification head read them."""

    rows: np.ndarray
    """Their rows in the test split, ascending: (texts,), int64."""
    vectors: np.ndarray
    """(texts, hidden), float16."""


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary path beside `path` and renames it there when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes text (UTF-8) atomically."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Writes JSON atomically; raises `ValueError` on NaN or infinity, which JSON does not have."""
    write_text(path, json_text(data) + "\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes an array as .npy, atomically."""
    import numpy as np

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # np.save would add a suffix to a path
            np.save(file, array, allow_pickle=False)

    write_atomic(path, write)


class RunFolder:
    """`OUT/runs/RUN_ID`: one run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path / "run.json"
        self.history_path = path / "history.jsonl"
        self.model_path = path / "model"
        self.error_path = path / "error.txt"
        self.dynamics_path = path / "dynamics.parquet"

    @property
    def complete(self) -> bool:
        """Whether the run's record was written."""
        return self.record_path.exists()

    def clear(self) -> None:
        """Deletes what an incomplete run left."""
        self.remove()
        self.path.mkdir(parents=True)

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write_record(self, record: RunRecord) -> None:
        """Writes `run.json`; call it last."""
        write_json(self.record_path, record.to_json())

    def read_record(self) -> RunRecord:
        """Reads `run.json`."""
        return RunRecord.from_json(json.loads(self.record_path.read_text(encoding="utf-8")))

    def write_history(self, points: Iterable[StepPoint | EpochPoint]) -> None:
        """Writes `history.jsonl`."""
        write_text(self.history_path, "".join(json.dumps(asdict(p), allow_nan=False) + "\n" for p in points))

    def read_history(self) -> tuple[list[StepPoint], list[EpochPoint]]:
        """Reads `history.jsonl`; two empty lists where the run has none (baselines)."""
        if not self.history_path.exists():
            return [], []
        rows = [json.loads(line) for line in self.history_path.read_text(encoding="utf-8").splitlines()]
        steps = [StepPoint(**row) for row in rows if row["kind"] == "step"]
        return steps, [EpochPoint(**row) for row in rows if row["kind"] == "epoch"]

    def write_dynamics(self, frame: pl.DataFrame) -> None:
        """Writes `dynamics.parquet`: columns example, epoch, p_true."""
        write_atomic(self.dynamics_path, frame.write_parquet)

    def read_dynamics(self) -> pl.DataFrame | None:
        """Reads `dynamics.parquet`; None where the run has none (baselines)."""
        import polars as pl

        return pl.read_parquet(self.dynamics_path) if self.dynamics_path.exists() else None

    def predictions_path(self, name: str) -> Path:
        """`predictions/NAME.parquet`; NAME is test, validation or a robustness set."""
        return self.path / "predictions" / f"{name}.parquet"

    def write_predictions(self, name: str, frame: pl.DataFrame) -> None:
        """Writes predictions: columns example, label, predicted and `p_LABEL` for each label."""
        write_atomic(self.predictions_path(name), frame.write_parquet)

    def read_predictions(self, name: str) -> pl.DataFrame:
        """Reads predictions in the order of the split."""
        import polars as pl

        return pl.read_parquet(self.predictions_path(name))

    def write_embeddings(self, embeddings: Embeddings) -> None:
        """Writes `embeddings.npy`, and `embeddings_rows.npy` before it."""
        write_array(self.path / "embeddings_rows.npy", embeddings.rows)
        write_array(self.path / "embeddings.npy", embeddings.vectors)

    def read_embeddings(self) -> Embeddings | None:
        """Reads the embeddings; None where the run has none (baselines)."""
        import numpy as np

        if not (self.path / "embeddings.npy").exists():
            return None
        names = ("embeddings_rows.npy", "embeddings.npy")
        return Embeddings(*(np.load(self.path / name, allow_pickle=False) for name in names))


class Store:
    """`OUT`: the output folder of one study."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study_path = path / "study.yaml"
        self.results_path = path / "results.json"
        self.report_path = path / "report.html"
        self.test_path = path / "test.parquet"
        self.train_path = path / "train.parquet"
        self.figures_path = path / "figures"
        self.robustness_path = path / "robustness"
        self.crossovers_path = path / "crossovers.json"

    def run(self, run_id: str) -> RunFolder:
        """The folder of one run."""
        return RunFolder(self.path / "runs" / run_id)

    def write_test(self, frame: pl.DataFrame) -> None:
        """Writes `test.parquet`: example, text column(s), label (its name), kept columns."""
        write_atomic(self.test_path, frame.write_parquet)

    def write_train(self, frame: pl.DataFrame) -> None:
        """Writes `train.parquet`: example, text column(s), label (its name)."""
        write_atomic(self.train_path, frame.write_parquet)

    def write_robustness(self, frames: dict[str, pl.DataFrame]) -> None:
        """Writes `robustness/NAME.parquet`, columns as in `test.parquet`; those of other names go."""
        for path in set(self.robustness_path.glob("*.parquet")) - {self._robustness_file(name) for name in frames}:
            path.unlink()
        for name, frame in frames.items():
            write_atomic(self._robustness_file(name), frame.write_parquet)

    def read_robustness(self, name: str) -> pl.DataFrame:
        """Reads one further test set."""
        import polars as pl

        return pl.read_parquet(self._robustness_file(name))

    def _robustness_file(self, name: str) -> Path:
        return self.robustness_path / f"{name}.parquet"

    def write_results(self, results: StudyResults) -> None:
        """Writes `results.json`."""
        write_json(self.results_path, results.to_json())

    def load(self) -> Results:
        """Reads a finished (or partly finished) study; raises `InputError` where there is none."""
        if not self.results_path.exists():
            raise InputError(
                f"{self.path} holds no results.json. Give the folder that `thriftune compare --out` wrote."
            )
        data = json.loads(self.results_path.read_text(encoding="utf-8"))
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{self.results_path} has schema_version {version}; this release reads {SCHEMA_VERSION}. "
                "Run the study again with `thriftune compare`."
            )
        return Results(self, StudyResults.from_json(data))


class Results:
    """A study's results as the analysis reads them: the record, and the tables beside it on demand."""

    def __init__(self, store: Store, study: StudyResults) -> None:
        self.store = store
        self.study = study

    @property
    def runs(self) -> list[RunRecord]:
        """All runs, in the study's order."""
        return self.study.runs

    @property
    def done(self) -> list[RunRecord]:
        """The runs that have test scores."""
        return [run for run in self.study.runs if run.status == "done" and run.test is not None]

    @property
    def labels(self) -> list[str]:
        """Label names in id order."""
        return self.study.profile.labels

    @cached_property
    def test(self) -> pl.DataFrame:
        """The test texts: example, text column(s), label, kept columns."""
        import polars as pl

        return pl.read_parquet(self.store.test_path)

    @cached_property
    def train(self) -> pl.DataFrame | None:
        """The training texts: example, text column(s), label; None where an earlier release left none."""
        import polars as pl

        return pl.read_parquet(self.store.train_path) if self.store.train_path.exists() else None

    @cached_property
    def crossovers(self) -> Crossovers | None:
        """What `thriftune crossovers --out` left here; None where it was not asked."""
        if not self.store.crossovers_path.exists():
            return None
        return Crossovers.from_json(json.loads(self.store.crossovers_path.read_text(encoding="utf-8")))

    def dynamics(self, run: RunRecord) -> pl.DataFrame | None:
        """How sure training was of each text's true label: example, epoch, p_true; None for baselines."""
        return self.store.run(run.run_id).read_dynamics()

    def robustness(self, name: str) -> pl.DataFrame:
        """The texts of a further test set, columns as in `test`."""
        return self.store.read_robustness(name)

    def robustness_runs(self, name: str) -> list[RunRecord]:
        """The done runs that were scored on the rows which that set holds now."""
        wanted = self.study.robustness[name].fingerprint
        return [run for run in self.done if run.robustness_fingerprints.get(name) == wanted]

    def predictions(self, run: RunRecord, name: str = "test") -> pl.DataFrame:
        """One run's predictions, rows as in `test`: example, label, predicted, p_LABEL..."""
        return self.store.run(run.run_id).read_predictions(name)

    def has_predictions(self, run: RunRecord, name: str) -> bool:
        """Whether a run has predictions of that name."""
        return self.store.run(run.run_id).predictions_path(name).exists()

    def embeddings(self, run: RunRecord) -> Embeddings | None:
        """One run's vectors of a sample of the test texts; None where it has none."""
        return self.store.run(run.run_id).read_embeddings()

    def history(self, run: RunRecord) -> tuple[list[StepPoint], list[EpochPoint]]:
        """One run's training curves; two empty lists for baselines."""
        return self.store.run(run.run_id).read_history()
