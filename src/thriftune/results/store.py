"""The only owner of paths under a study's output folder; every write is atomic.

`run.json` is written last: where it exists, the run is complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from thriftune.errors import InputError
from thriftune.results.files import (
    DamagedError,
    checksums,
    delete,
    read_json,
    read_parquet,
    sha256,
    write_atomic,
    write_json,
    write_parquet,
    write_text,
)
from thriftune.results.record import (
    SCHEMA_VERSION,
    Crossovers,
    EpochPoint,
    RunRecord,
    StepPoint,
    StudyResults,
    check_types,
)
from thriftune.results.search import StudySearch

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


KEPT = 2_000_000_000
"""Bytes of predictions and further test sets that results hold in memory; what goes beyond is read again."""


@dataclass(frozen=True)
class Embeddings:
    """Vectors of some test texts, as one run's classification head read them."""

    rows: np.ndarray
    """Their rows in the test split, ascending: (texts,), int64."""
    vectors: np.ndarray
    """(texts, hidden), float16."""


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
        """Deletes what an incomplete run left; a symbolic link in the folder's place goes, not what it points to."""
        self.remove()
        self.path.mkdir(parents=True)

    def remove(self) -> None:
        """Deletes the folder."""
        delete(self.path)

    def checksums(self) -> dict[str, dict[str, Any]]:
        """Bytes and SHA-256 of the run's files by relative path, all but its record; they are on the disk then."""
        return checksums(self.path, without=[self.record_path.name])

    def write_record(self, record: RunRecord) -> None:
        """Writes `run.json`; call it last."""
        write_json(self.record_path, record.to_json())

    def read_record(self) -> RunRecord:
        """Reads `run.json`; raises `DamagedError` where it is not what a run writes."""
        return _sound(self.record_path, RunRecord.from_json)

    def write_history(self, points: Iterable[StepPoint | EpochPoint]) -> None:
        """Writes `history.jsonl`."""
        write_text(self.history_path, "".join(json.dumps(asdict(p), allow_nan=False) + "\n" for p in points))

    def read_history(self) -> tuple[list[StepPoint], list[EpochPoint]]:
        """Reads `history.jsonl`; two empty lists where the run has none (baselines)."""
        if not self.history_path.exists():
            return [], []
        try:
            rows = [json.loads(line) for line in self.history_path.read_text(encoding="utf-8").splitlines()]
            steps = [StepPoint(**row) for row in rows if row["kind"] == "step"]
            return steps, [EpochPoint(**row) for row in rows if row["kind"] == "epoch"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DamagedError(self.history_path, "its lines are not the points of a training") from error

    def write_dynamics(self, frame: pl.DataFrame) -> None:
        """Writes `dynamics.parquet`: columns example, epoch, p_true."""
        write_parquet(self.dynamics_path, frame, durable=False)

    def read_dynamics(self) -> pl.DataFrame | None:
        """Reads `dynamics.parquet`; None where the run has none (baselines)."""
        return read_parquet(self.dynamics_path) if self.dynamics_path.exists() else None

    def predictions_path(self, name: str) -> Path:
        """`predictions/NAME.parquet`; NAME is test, validation or a robustness set."""
        return self.path / "predictions" / f"{name}.parquet"

    def write_predictions(self, name: str, frame: pl.DataFrame) -> None:
        """Writes predictions: columns example, label, predicted and `p_LABEL` for each label."""
        write_parquet(self.predictions_path(name), frame, durable=False)

    def read_predictions(self, name: str) -> pl.DataFrame:
        """Reads predictions in the order of the split."""
        return read_parquet(self.predictions_path(name))

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
        try:
            return Embeddings(*(np.load(self.path / name, allow_pickle=False) for name in names))
        except (OSError, ValueError, EOFError) as error:
            raise DamagedError(self.path / names[1], "it holds no vectors") from error


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
        self.runs_path = path / "runs"
        self.crossovers_path = path / "crossovers.json"
        self.search_path = path / "search.json"
        self.search_database = path / "search.db"
        """Optuna's storage, which a search resumes from."""
        self.lock_path = path / ".lock"
        """Held by the process that writes to the folder."""

    def run(self, run_id: str) -> RunFolder:
        """The folder of one run."""
        return RunFolder(self.runs_path / run_id)

    def write_test(self, frame: pl.DataFrame) -> None:
        """Writes `test.parquet`: example, text column(s), label (its name), kept columns."""
        write_parquet(self.test_path, frame)

    def write_train(self, frame: pl.DataFrame) -> None:
        """Writes `train.parquet`: example, text column(s), label (its name)."""
        write_parquet(self.train_path, frame)

    def write_robustness(self, frames: dict[str, pl.DataFrame]) -> None:
        """Writes `robustness/NAME.parquet`, columns as in `test.parquet`; those of other names go."""
        for path in set(self.robustness_path.glob("*.parquet")) - {self._robustness_file(name) for name in frames}:
            path.unlink()
        for name, frame in frames.items():
            write_parquet(self._robustness_file(name), frame)

    def read_robustness(self, name: str) -> pl.DataFrame:
        """Reads one further test set."""
        return read_parquet(self._robustness_file(name))

    def _robustness_file(self, name: str) -> Path:
        return self.robustness_path / f"{name}.parquet"

    def write_results(self, results: StudyResults) -> None:
        """Writes `results.json`."""
        write_json(self.results_path, results.to_json())

    def write_search(self, search: StudySearch) -> None:
        """Writes `search.json`."""
        write_json(self.search_path, search.to_json())

    def read_search(self) -> StudySearch | None:
        """Reads `search.json`; None where there is none."""
        return _sound(self.search_path, StudySearch.from_json) if self.search_path.exists() else None

    def load(self) -> Results:
        """Reads a finished (or partly finished) study; raises `InputError` where there is none."""
        if not self.results_path.exists():
            raise InputError(
                f"{self.path} holds no results.json. Give the folder that `thriftune compare --out` wrote."
            )
        version = read_json(self.results_path).get("schema_version")
        if not isinstance(version, int):
            raise DamagedError(self.results_path, "it has no schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{self.results_path} has schema_version {version}; this release reads {SCHEMA_VERSION}. "
                "Run the study again with `thriftune compare`."
            )
        source = sha256(self.results_path)
        return Results(self, _sound(self.results_path, StudyResults.from_json), source)

    def add_statistics(self, results: Results, statistics: dict[str, Any]) -> bool:
        """Puts what the panels computed into the results and into `results.json`; returns whether the file has it.

        Not where another process is writing to the folder, or wrote since the results were read: its are newer.
        """
        from filelock import FileLock, Timeout

        results.study = replace(results.study, statistics=statistics)
        lock = FileLock(self.lock_path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        try:
            if results.source is not None and sha256(self.results_path) != results.source:
                return False
            self.write_results(results.study)
            results.source = sha256(self.results_path)
        finally:
            self.lock_path.unlink(missing_ok=True)
            lock.release()
        return True


T = TypeVar("T", RunRecord, StudyResults, Crossovers, StudySearch)


def _sound(path: Path, read: Callable[[dict[str, Any]], T]) -> T:
    """What a JSON file says; raises `DamagedError` where it has another shape, or values of other types."""
    data = read_json(path)
    try:
        found = read(data)
        check_types(found)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        name = f" ({error})" if isinstance(error, KeyError) else ""
        raise DamagedError(path, f"it does not hold what this release writes there{name}") from error
    return found


class Results:
    """A study's results as the analysis reads them: the record, and the tables beside it on demand."""

    def __init__(self, store: Store, study: StudyResults, source: str | None = None) -> None:
        self.store = store
        self.study = study
        self.source = source
        """SHA-256 of the results.json that they were read from."""
        self._tables: dict[tuple[str, str], pl.DataFrame] = {}
        self._kept_bytes = 0

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
        return read_parquet(self.store.test_path)

    @cached_property
    def train(self) -> pl.DataFrame | None:
        """The training texts: example, text column(s), label; None where an earlier release left none."""
        return read_parquet(self.store.train_path) if self.store.train_path.exists() else None

    @cached_property
    def crossovers(self) -> Crossovers | None:
        """What `thriftune crossovers --out` left here; None where it was not asked."""
        if not self.store.crossovers_path.exists():
            return None
        return _sound(self.store.crossovers_path, Crossovers.from_json)

    @cached_property
    def search(self) -> StudySearch | None:
        """Every trial of the study's search; None where it has none."""
        return self.store.read_search() if self.study.study.get("search") else None

    def dynamics(self, run: RunRecord) -> pl.DataFrame | None:
        """How sure training was of each text's true label: example, epoch, p_true; None for baselines."""
        return self.store.run(run.run_id).read_dynamics()

    def robustness(self, name: str) -> pl.DataFrame:
        """The texts of a further test set, columns as in `test`."""
        return self._once(("", name), lambda: self.store.read_robustness(name))

    def robustness_runs(self, name: str) -> list[RunRecord]:
        """The done runs that were scored on the rows which that set holds now."""
        wanted = self.study.robustness[name].fingerprint
        return [run for run in self.done if run.robustness_fingerprints.get(name) == wanted]

    def predictions(self, run: RunRecord, name: str = "test") -> pl.DataFrame:
        """One run's predictions, rows as in `test`: example, label, predicted, p_LABEL..."""
        return self._once((run.run_id, name), lambda: self.store.run(run.run_id).read_predictions(name))

    def _once(self, key: tuple[str, str], read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """A table that stays in memory once it was read, while all such tables together are no larger than KEPT."""
        if (found := self._tables.get(key)) is not None:
            return found
        frame = read()
        self._kept_bytes += int(frame.estimated_size())
        if self._kept_bytes <= KEPT:
            self._tables[key] = frame
        return frame

    def has_predictions(self, run: RunRecord, name: str) -> bool:
        """Whether a run has predictions of that name."""
        return self.store.run(run.run_id).predictions_path(name).exists()

    def embeddings(self, run: RunRecord) -> Embeddings | None:
        """One run's vectors of a sample of the test texts; None where it has none."""
        return self.store.run(run.run_id).read_embeddings()

    def history(self, run: RunRecord) -> tuple[list[StepPoint], list[EpochPoint]]:
        """One run's training curves; two empty lists for baselines."""
        return self.store.run(run.run_id).read_history()
