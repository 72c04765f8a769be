"""What a user names as a classifier: a model's folder, a run's, or a study's with or without a run's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thriftune.errors import InputError
from thriftune.paths import check_folder, status, user_path
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.results.store import Results, Store
from thriftune.use import choose
from thriftune.use.loading import is_model

WANTED = "a model's folder, a run's, or a study's output folder, with or without a run's name: results:lora"


@dataclass(frozen=True)
class Source:
    """A stored classifier and what lies around it."""

    model: Path
    name: str
    """For people."""
    run: RunFolder | None
    record: RunRecord | None
    """The run's; None of a model's folder that was taken out of its run."""
    results: Results | None
    """Those of the study that the run is part of, where it still lies there."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Label names in id order, as far as the record says."""
        test = None if self.record is None else self.record.test
        return None if test is None else tuple(test.per_class)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The text columns that the method saw, as far as record and study say."""
        own = None if self.record is None else self.record.method.get("text")
        study = None if self.results is None else self.results.study.profile.text_columns
        return tuple(own or study or ()) or None


def find(text: str | Path) -> Source:
    """The classifier that a text such as "results", "results:lora r8 all" or "results/runs/ID/model" names.

    Raises `InputError` where there is none.
    """
    folder, name = _parts(str(text))
    check_folder(folder, WANTED)
    if (folder / "results.json").is_file():
        results = Store(folder).load()
        record = choose.recommended(results) if name is None else choose.named(results, name)
        return _of_run(results.store.run(record.run_id), record, results)
    if name is not None:
        raise InputError(f"{folder} is no study's output folder, so it has no run called {name}. Give {WANTED}.")
    if is_model(folder):
        run = RunFolder(folder.absolute().parent)
        if run.complete and run.model_path.samefile(folder):
            return _of_run(run, run.read_record(), _study(run))
        return Source(folder, folder.name, None, None, None)
    run = RunFolder(folder)
    if run.complete:
        return _of_run(run, run.read_record(), _study(run))
    raise InputError(f"{folder} holds no classifier. Give {WANTED}.")


def _of_run(run: RunFolder, record: RunRecord, results: Results | None) -> Source:
    if not is_model(run.model_path):
        why = "" if record.status == "done" else f" ({record.status.replace('_', ' ')})"
        raise InputError(f'The run "{record.name}"{why} has no model in {run.model_path}. Name another run.')
    return Source(run.model_path, record.name, run, record, results)


def _study(run: RunFolder) -> Results | None:
    store = Store(run.path.absolute().parent.parent)
    return store.load() if store.results_path.is_file() and store.runs_path == run.path.absolute().parent else None


def _parts(text: str) -> tuple[Path, str | None]:
    """The folder, and the run's name after a colon, where a folder of the whole text is not there."""
    whole = user_path(text)
    if status(whole) is None:
        for place, character in enumerate(text):
            if character == ":" and place and (user_path(text[:place]) / "results.json").is_file():
                return user_path(text[:place]), text[place + 1 :]
    return whole, None
