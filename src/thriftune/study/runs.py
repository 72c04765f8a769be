"""A study under way: what is done is found, what is left is made, and `results.json` always holds what is known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from thriftune.cost.measured.checkout import checkout
from thriftune.cost.measured.environment import environment
from thriftune.results.files import DamagedError, write_text
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.run_folder import RunFolder
from thriftune.results.soundness import check_run
from thriftune.results.store import Store
from thriftune.study.board import Board
from thriftune.study.crew.base import Crew, Ready
from thriftune.study.crew.ray.crew import RayCrew
from thriftune.study.crew.serial import Serial
from thriftune.study.events import Event, Listener, Notice, RunFinished, RunStarted, StudyPlanned
from thriftune.study.file.config import Study, study_to_dict, study_to_yaml
from thriftune.study.forecast.kept import kept_output
from thriftune.study.forecast.outlook import outlook_of
from thriftune.study.forecast.predictor import Predictor
from thriftune.study.jobs import robustness_profile, text_frame
from thriftune.study.preparation.prepare import Prepared
from thriftune.study.run.extend import missing_sets
from thriftune.study.run.job import Job, blank_record
from thriftune.study.shared.plan_file import SharedPlan, plan_of, write_plan

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Begun:
    """Where a study stands before its first run."""

    records: dict[str, RunRecord]
    """Of what is done or refused, by run id."""
    left: list[Job]
    """The runs to be made, and those that are only to be scored on further sets."""
    board: Board


@dataclass(frozen=True)
class StudyRuns:
    """A study under way: `results.json` always holds what is known of every run."""

    study: Study
    prepared: Prepared
    jobs: list[Job]
    store: Store
    kept: list[RunRecord]
    """Runs of the study that were made before and are not asked for now."""
    order: list[str]
    """The names of all runs of the study."""
    cluster: RayCrew | None = None
    """What makes its runs, where that is a cluster."""

    def begin(self, listen: Listener, warm_up: Callable[[], None]) -> Begun:
        """Finds what is done, writes what is known before the first run, and says what there is to do."""
        records = {job.run_id: record for job in self.jobs if (record := self._done_before(job, listen)) is not None}
        whole = {
            job.run_id for job in self.jobs if job.run_id in records and not missing_sets(job, records[job.run_id])
        }
        asked = {job.run_id for job in self.jobs if job.planned.name in self.prepared.refused}
        refused, whole = asked - records.keys(), whole | (asked & records.keys())
        if any(job.planned.method.NEEDS_MODEL for job in self.jobs if job.run_id not in whole | refused):
            warm_up()
        self._write_head()
        records |= {job.run_id: self._refuse(job) for job in self.jobs if job.run_id in refused}
        board = self._board(records)
        board.write()
        profile = self.prepared.profile
        listen(
            StudyPlanned(
                [job.planned.name for job in self.jobs],
                [job.planned.name for job in self.jobs if job.run_id in whole],
                ([dropped] if (dropped := profile.unusable()) else []) + [warning.text for warning in profile.warnings],
                {job.planned.name: job.run_id for job in self.jobs},
            )
        )
        for job in self.jobs:
            if job.run_id in refused:
                listen(RunFinished(job.planned.name, records[job.run_id], reused=False))
        for job in self.jobs:
            if job.run_id in whole:
                listen(RunFinished(job.planned.name, records[job.run_id], reused=True))
        left = [job for job in self.jobs if job.run_id not in whole | refused]
        return Begun(records, left, board)

    def run(self, crew: Crew, listen: Listener, warm_up: Callable[[], None]) -> None:
        """Has the crew make what is not done yet."""
        begun = self.begin(listen, warm_up)
        write_plan(self.store.path, self.plan(begun))  # for `thriftune status`
        records, left, board = begun.records, begun.left, begun.board
        predictor = Predictor()
        alone = [job for job in left if job.run_id not in records] if isinstance(crew, Serial) else []
        if (outlook := outlook_of(alone, predictor)) is not None:
            listen(Notice(outlook))
        if (kept := kept_output([job for job in left if job.run_id not in records])) is not None:
            listen(Notice(kept.sentence))

        done = [job.run_id for job in left if job.run_id in records]
        ready = predicting(predictor, done)
        with _ending(crew.records(left, ready, _in_the_study(listen, self.jobs))) as made:
            try:
                for job, record in made:
                    board.put(record)
                    if board.due:
                        board.write()
                    listen(RunFinished(job.planned.name, record, reused=False))
            finally:
                board.finish()

    def plan(self, begun: Begun) -> SharedPlan:
        """What is to be made, for other processes."""
        done = [job.run_id for job in begun.left if job.run_id in begun.records]
        return plan_of(self.study, self.store.path, self.prepared, self.jobs, begun.left, done)

    def _refuse(self, job: Job) -> RunRecord:
        """The record of a run that cannot be run, which it also writes."""
        folder = RunFolder(job.out)
        folder.clear()
        record = blank_record(job, "failed", self.prepared.refused[job.planned.name])
        record = replace(record, environment={**environment(job.device, training=False), **job.checkout})
        folder.write_record(record)
        return record

    def _done_before(self, job: Job, listen: Listener) -> RunRecord | None:
        """The record of a run that is done, under the names that today's study gives it.

        A run whose files are not those that it left is not done; `listen` is told why.
        """
        folder = RunFolder(job.out)
        if not folder.complete:
            return None
        try:
            found = folder.read_record()
            if found.status != "done":
                return None
            scored = found.robustness_fingerprints
            held = [name for name in self._texts if name == "test" or scored.get(name) == job.robustness[name]]
            check_run(folder, found, list(job.labels), {name: self._texts[name] for name in held})
        except DamagedError as error:
            listen(Notice(f"{job.planned.name} is run again: {error.path} is damaged: {error.why}."))
            return None
        if job.planned.method.BASELINE and missing_sets(job, found):
            return None  # a baseline is fitted again sooner than read back
        named = replace(found, name=job.planned.name, cell=job.planned.cell, searched=job.searched)
        if named != found:
            folder.write_record(named)
        folder.drop_checkpoint()  # of a study that ended between the record and that
        return named

    @cached_property
    def _texts(self) -> dict[str, pl.DataFrame]:
        """The texts of test and of every robustness set as they go to disk."""
        dataset = self.prepared.dataset
        sets = {name: text_frame(dataset, each.frame) for name, each in dataset.robustness.items()}
        return {"test": text_frame(dataset, dataset.splits["test"]), **sets}

    def _write_head(self) -> None:
        """Writes what is known before the first run: the resolved study and the test texts."""
        write_text(self.store.study_path, study_to_yaml(self.study, self.store.path))
        dataset = self.prepared.dataset
        self.store.write_test(self._texts["test"])
        train = text_frame(dataset, dataset.splits["train"])
        self.store.write_train(train[["example", *dataset.text_columns, "label"]])
        self.store.write_robustness({name: frame for name, frame in self._texts.items() if name != "test"})

    def _board(self, records: dict[str, RunRecord]) -> Board:
        """What `results.json` says before the first run."""
        head = StudyResults(
            name=self.study.name,
            study=study_to_dict(self.study),
            profile=self.prepared.profile,
            runs=[],
            margin=self.study.margin,
            published=self.study.published,
            environment=environment(
                "cuda" if any(job.device == "cuda" for job in self.jobs) else "cpu",
                training=any(job.planned.method.NEEDS_MODEL for job in self.jobs),
            )
            | checkout(),
            robustness={
                name: robustness_profile(each, self.prepared.dataset.labels)
                for name, each in self.prepared.dataset.robustness.items()
            },
        )
        board = Board(self.store, head, self.order)
        missing = "the study ended before this run was complete; the same compare resumes it"
        for job in self.jobs:
            board.put(records.get(job.run_id) or blank_record(job, "interrupted", missing))
        for record in self.kept:
            board.put(record)
        return board


def predicting(predictor: Predictor, done: Collection[str]) -> Ready:
    """Adds the prediction to a run that is about to start; to those that are done only that they are."""

    def ready(job: Job) -> Job:
        if job.run_id in done:
            return replace(job, done=True)
        predicted, why = predictor.of(job)
        return replace(job, predicted=predicted, unpredicted=why, done=False)

    return ready


def _in_the_study(listen: Listener, jobs: Sequence[Job]) -> Listener:
    """Tells `listen` of a crew's runs by their places in the whole study."""
    places = {job.planned.name: index for index, job in enumerate(jobs, start=1)}

    def tell(event: Event) -> None:
        if isinstance(event, RunStarted):
            event = RunStarted(event.name, places[event.name], len(jobs))
        listen(event)

    return tell


@contextmanager
def _ending(made: Iterator[tuple[Job, RunRecord]]) -> Iterator[Iterator[tuple[Job, RunRecord]]]:
    """Ends what still runs when the block is left, however it is."""
    try:
        yield made
    finally:
        if isinstance(made, Generator):
            made.close()
