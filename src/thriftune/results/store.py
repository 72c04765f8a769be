"""The only owner of paths under a study's output folder; every write is atomic."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError
from thriftune.results.files import (
    TEXT,
    WHOLE,
    read_parquet,
    read_record,
    sha256,
    write_atomic,
    write_json,
    write_parquet,
)
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.plain import record_from, values_of
from thriftune.results.prediction import Crossovers
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.run_folder import Embeddings, RunFolder, RunFolders
from thriftune.results.scores import FurtherTest
from thriftune.results.search import StudySearch

if TYPE_CHECKING:
    import polars as pl


KEPT = 2_000_000_000
"""Bytes of predictions and robustness sets that results hold in memory; what goes beyond is read again."""


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
        self._folders = RunFolders(self.runs_path)
        self.best_path = path / "best"
        self.refit_path = path / "refit"
        self.evaluations_path = path / "evaluations"
        self.crossovers_path = path / "crossovers.json"
        self.search_path = path / "search.json"
        self.search_database = path / "search.db"
        """Optuna's storage, which a search resumes from."""
        self.search_parts_path = path / ".search"
        """Databases of searches that other machines make meanwhile, one each."""
        self.data_path = path / "data"
        """Tables that Python was given in memory, as parquet files."""
        self.asked_path = path / "asked.json"
        """What Python was asked for, by which the same call goes on with the study."""
        self.lock_path = path / ".lock"
        """Held by the process that writes to the folder."""

    def run(self, run_id: str, cell: str | None = None, seed: int = 0) -> RunFolder:
        """The folder of one run: the one that is there, else a new one, named after its cell and seed where given.

        It is found by its id, whatever the run was called when it was made.
        """
        return RunFolder(self._folders.path(run_id, cell, seed))

    def write_test(self, frame: pl.DataFrame) -> None:
        """Writes `test.parquet`: example, text column(s), label (its name), kept columns."""
        write_parquet(self.test_path, frame)

    def write_train(self, frame: pl.DataFrame) -> None:
        """Writes `train.parquet`: example, text column(s), label (its name)."""
        write_parquet(self.train_path, frame)

    def write_robustness(self, frames: dict[str, pl.DataFrame]) -> None:
        """Writes `robustness/NAME.parquet`, columns as in `test.parquet`; those of other names go."""
        for path in set(self.robustness_path.glob("*.parquet")) - {self.robustness_file(name) for name in frames}:
            path.unlink()
        for name, frame in frames.items():
            write_parquet(self.robustness_file(name), frame)

    def robustness_file(self, name: str) -> Path:
        """Where the texts of one robustness set are."""
        return self.robustness_path / f"{name}.parquet"

    def evaluations(self) -> list[FurtherTest]:
        """What `thriftune evaluate` added, by name."""
        paths = sorted(self.evaluations_path.glob("*.json"))
        remedy = "Evaluate the file again, or remove this one."
        return [read_record(path, partial(record_from, FurtherTest), remedy) for path in paths]

    def evaluated_rows(self, name: str, run_id: str) -> pl.DataFrame:
        """A run's predictions on a further test set: row, text_NAME for each column, label, predicted, p_LABEL..."""
        return read_parquet(self._evaluated_file(name, run_id), {"row": WHOLE, "label": TEXT, "predicted": TEXT})

    def write_evaluation(self, test: FurtherTest, run_id: str, predictions: Path) -> FurtherTest:
        """Adds one run's scores and predictions (a parquet file) to `evaluations/NAME.json`; returns what is there now.

        Runs that were scored on other rows under that name are gone.
        """
        from filelock import FileLock

        self.evaluations_path.mkdir(exist_ok=True)
        with FileLock(self.evaluations_path / ".lock"):
            earlier = next((each for each in self.evaluations() if each.name == test.name), None)
            whole = test.added_to(earlier)
            write_atomic(self._evaluated_file(test.name, run_id), partial(shutil.copyfile, predictions))
            write_json(self.evaluations_path / f"{test.name}.json", values_of(whole))
            for each in earlier.runs if earlier else ():
                if whole.of(each.run_id) is None:
                    self._evaluated_file(test.name, each.run_id).unlink(missing_ok=True)
        return whole

    def _evaluated_file(self, name: str, run_id: str) -> Path:
        return self.evaluations_path / f"{name}-{run_id}.parquet"

    def write_results(self, results: StudyResults) -> None:
        """Writes `results.json`."""
        write_json(self.results_path, results.to_json())

    def write_search(self, search: StudySearch) -> None:
        """Writes `search.json`."""
        write_json(self.search_path, values_of(search))

    def read_search(self) -> StudySearch | None:
        """Reads `search.json`; None where there is none."""
        return read_record(self.search_path, partial(record_from, StudySearch)) if self.search_path.exists() else None

    def load(self) -> Results:
        """Reads a finished (or partly finished) study; raises `InputError` where there is none."""
        if not self.results_path.exists():
            raise InputError(
                f"{self.path} holds no results.json. Give the folder that `thriftune compare --out` wrote."
            )
        source = sha256(self.results_path) if self.results_path.is_file() else None
        return Results(self, read_record(self.results_path, StudyResults.from_json), source)

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

    @property
    def _columns(self) -> dict[str, str]:
        """The columns that every table of texts has."""
        return {"example": WHOLE, "label": TEXT, **dict.fromkeys(self.study.profile.text_columns, TEXT)}

    @cached_property
    def test(self) -> pl.DataFrame:
        """The test texts: example, text column(s), label, kept columns."""
        return read_parquet(self.store.test_path, self._columns)

    @cached_property
    def train(self) -> pl.DataFrame | None:
        """The training texts: example, text column(s), label; None where an earlier release left none."""
        return read_parquet(self.store.train_path, self._columns) if self.store.train_path.exists() else None

    @cached_property
    def crossovers(self) -> Crossovers | None:
        """What `thriftune crossovers --out` left here; None where it was not asked."""
        path = self.store.crossovers_path
        remedy = f"Make it again with `thriftune crossovers --out {self.store.path}`, or remove it."
        return read_record(path, partial(record_from, Crossovers), remedy) if path.exists() else None

    @cached_property
    def search(self) -> StudySearch | None:
        """Every trial of the study's search; None where it has none."""
        return self.store.read_search() if self.study.study.get("search") else None

    @cached_property
    def further_tests(self) -> list[FurtherTest]:
        """Files that runs of this study were scored on afterwards, by name."""
        known = {run.run_id for run in self.done}
        return [each for each in self.store.evaluations() if any(run.run_id in known for run in each.runs)]

    def dynamics(self, run: RunRecord) -> pl.DataFrame | None:
        """How sure training was of each text's true label: example, epoch, p_true; None for baselines."""
        return self.store.run(run.run_id).read_dynamics()

    def robustness(self, name: str) -> pl.DataFrame:
        """The texts of a robustness set, columns as in `test`."""
        return self._once(("", name), lambda: read_parquet(self.store.robustness_file(name), self._columns))

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
