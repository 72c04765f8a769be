"""What a user names as a classifier: a model's folder, a run's, or a study's with or without a run's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thriftune.errors import InputError
from thriftune.paths import check_folder, status, user_path
from thriftune.results.models.refitted import REMEDY as REFIT
from thriftune.results.models.refitted import Refitted, refits
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.results.soundness import check_files, check_model
from thriftune.results.store import Results, Store
from thriftune.use import choose
from thriftune.use.loading import is_model
from thriftune.use.models.best import REMEDY as REMADE
from thriftune.use.models.best import Best

WANTED = "a model's folder, a run's, or a study's output folder, with or without a run's name: results:lora"


@dataclass(frozen=True)
class Source:
    """A stored classifier and what lies around it."""

    model: Path
    name: str
    """For people."""
    run: RunFolder | None
    record: RunRecord | None
    """The run's; None of a model's folder that was taken out of its run. Of a refit that of the study's run."""
    results: Results | None
    """Those of the study that the run is part of, where it still lies there."""
    notes: tuple[str, ...] = ()
    """What whoever uses it should know: sentences."""

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
    """The classifier that a text such as "results", "results:lora", "results:refit" or "results/best" names.

    Raises `InputError` where there is none.
    """
    folder, name = _parts(str(text))
    check_folder(folder, WANTED)
    if (folder / "results.json").is_file():
        return _of_study(Store(folder).load(), name)
    if name is not None:
        raise InputError(f"{folder} is no study's output folder, so it has no run called {name}. Give {WANTED}.")
    place = folder.absolute()
    for refit in (place, place.parent):
        if (about := Refitted.read(refit)) is not None and (refit == place or is_model(place)):
            return _of_refit(refit, about)
    if (best := Best.read(place)) is not None:
        return _of_best(place, best, _study(place.parent))
    if is_model(folder):
        run = RunFolder(place.parent)
        if run.complete and run.model_path.samefile(folder):
            return _of_run(run, run.read_record(), _of_folder(run))
        return Source(folder, folder.name, None, None, None)
    run = RunFolder(folder)
    if run.complete:
        return _of_run(run, run.read_record(), _of_folder(run))
    raise InputError(f"{folder} holds no classifier. Give {WANTED}.")


def _of_study(results: Results, name: str | None) -> Source:
    """Without a name the promoted run, or else the one that the study recommends."""
    if name is None and (promoted := Best.of(results.store)) is not None and promoted.promoted:
        return _of_best(results.store.best_path, promoted, results)
    if name is not None and _asks_refit(results, name):
        folder = _refit(results, name)
        about = Refitted.read(folder)
        assert about is not None
        return _of_refit(folder, about)
    record = choose.recommended(results) if name is None else choose.named(results, name)
    run = results.store.run(record.run_id)
    if not is_model(run.model_path) and (best := Best.of(results.store)) is not None and best.run_id == record.run_id:
        return _of_best(results.store.best_path, best, results)
    return _of_run(run, record, results)


def _of_best(folder: Path, best: Best, results: Results | None) -> Source:
    """What `best/` holds, with the run that it came from where that is still there."""
    if not is_model(folder):
        raise InputError(f"{folder} holds no model that is whole. Run the study again: thriftune compare.")
    check_files(folder, best.files, remedy=REMADE)
    if results is None:
        return Source(folder, best.name, None, None, None)
    run = results.store.run(best.run_id)
    record = next((each for each in results.runs if each.run_id == best.run_id), None)
    if record is None and run.complete:
        record = run.read_record()
    notes = (f"{best.name} is the run that was promoted.",) if best.promoted else ()
    return Source(folder, best.name, run if run.complete else None, record, results, notes)


def _of_refit(folder: Path, about: Refitted) -> Source:
    """A refit: its own weights, and what the study's run lets expect of them."""
    model = folder / "model"
    if not is_model(model):
        raise InputError(f"{model} holds no model that is whole. Train it again: thriftune refit.")
    check_files(model, about.files, remedy=REFIT)
    results = _study(folder.parent.parent)
    run = None if results is None else results.store.run(about.run_id)
    found = run is not None and run.complete
    record = run.read_record() if run is not None and found else None
    return Source(model, f"{about.name} (refit)", run if found else None, record, results, (about.sentence(),))


def _asks_refit(results: Results, name: str) -> bool:
    """Whether "refit" or "refit/NAME" is meant, and no run is called so."""
    return name.partition("/")[0] == "refit" and name not in [run.name for run in results.done]


def _refit(results: Results, name: str) -> Path:
    found = refits(results.store)
    wanted = name.partition("/")[2].strip("/")
    fitting = [each for each in found if wanted in ("", each.name)]
    if len(fitting) == 1:
        return fitting[0]
    if not found:
        raise InputError(f"{results.store.path} holds no refit. Make one: thriftune refit {results.store.path}")
    listed = ", ".join(f"{results.store.path}:refit/{each.name}" for each in found)
    raise InputError(f"{'Several refits are' if not wanted else 'No such refit is'} there. Name one: {listed}.")


def _of_run(run: RunFolder, record: RunRecord, results: Results | None) -> Source:
    if not is_model(run.model_path):
        why = "" if record.status == "done" else f" ({record.status.replace('_', ' ')})"
        raise InputError(f'The run "{record.name}"{why} has no model in {run.model_path}. Name another run.')
    check_model(run.model_path, record)
    return Source(run.model_path, record.name, run, record, results)


def _of_folder(run: RunFolder) -> Results | None:
    folder = run.path.absolute()
    return _study(folder.parent.parent) if folder.parent.name == "runs" else None


def _study(folder: Path) -> Results | None:
    store = Store(folder)
    return store.load() if store.results_path.is_file() else None


def _parts(text: str) -> tuple[Path, str | None]:
    """The folder, and the run's name after a colon, where a folder of the whole text is not there.

    Folders and runs may have colons in their names (C:\\results, demo:minilm lora): the longest folder is taken.
    """
    whole = user_path(text)
    if status(whole) is None:
        for place in range(len(text) - 1, 0, -1):
            if text[place] == ":" and (user_path(text[:place]) / "results.json").is_file():
                return user_path(text[:place]), text[place + 1 :]
    return whole, None
