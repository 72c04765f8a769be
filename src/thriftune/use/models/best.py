"""`OUT/best`: the model of the run to take, apart from all others, replaced as a whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from thriftune.analysis.findings.decision import decide, headline
from thriftune.errors import InputError
from thriftune.results.files import DamagedError, checksums, delete, flush, read_record, sha256, write_json
from thriftune.results.plain import record_from
from thriftune.results.record import RunRecord
from thriftune.results.store import Results, Store
from thriftune.use import choose
from thriftune.wording import plain

FILE = "best.json"
LINKED = (".safetensors", ".npz")
"""Files of weights are linked: nothing writes into them. The small ones are copies, which may be edited."""
Card = Callable[[Results, RunRecord, Path | None], str]
"""Writes the README.md of a run's model (`export.card.card`); the path is that of the base, where it is a folder."""
REMEDY = "Run the study again with `thriftune compare`, which makes it anew."


@dataclass(frozen=True, kw_only=True)
class Best:
    """`best.json`: which run's model lies beside it, why, and of which results."""

    run_id: str
    name: str
    folder: str
    """The run's, relative to the study's."""
    promoted: bool
    """Whether a user chose it (`thriftune promote`); then the next comparison keeps it."""
    why: str
    study: str
    data: str
    """Fingerprint of the study's data."""
    results_sha256: str
    """Of the results.json that it was chosen from."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`bytes` and `sha256` of the files beside it; its README.md may be edited. Empty in those of earlier versions."""

    @classmethod
    def read(cls, folder: Path) -> Best | None:
        """What a folder's best.json says; None where it has none. Raises `DamagedError` where it is damaged."""
        path = folder / FILE
        return read_record(path, lambda data: record_from(cls, data), REMEDY) if path.is_file() else None

    @classmethod
    def of(cls, store: Store) -> Best | None:
        """What a study's `best/` holds; None where there is none."""
        _restore(store)
        return cls.read(store.best_path)


@dataclass(frozen=True)
class Kept:
    """What `keep` left."""

    best: Best | None
    reason: str | None
    """Why `best/` is not the recommended run's model; None where it is."""


def keep(results: Results, card: Card) -> Kept:
    """Puts the model of the run to take into `best/`: the promoted one, else the recommended one.

    Where there is none to take, `best/` goes, unless a user promoted what it holds.
    """
    store = results.store
    try:
        held = _held(store)
        if held is not None and held.promoted:
            return _keep_promoted(results, held, card)
        taken = decide(results).taken
        run = None if taken is None else choose.best_seed(results, taken.cell.runs)
        if run is not None and _has_model(results, run):
            return Kept(_place(results, run, headline(decide(results)), False, card), None)
        if run is not None and held is not None and held.run_id == run.run_id:
            return Kept(held, None)
        _remove(store)
        none = "no run learned anything, so no model is recommended"
        why = none if run is None else f"{run.name}, which is recommended, has no model folder"
        return Kept(None, f"{store.best_path} is not there: {why}.")
    except InputError as error:
        return Kept(None, f"{store.best_path} is left as it is: {error}")
    except OSError as error:
        return Kept(None, f"{store.best_path} cannot be written: {error.strerror}.")


def promote(results: Results, run: RunRecord, card: Card) -> Best:
    """Puts a run's model into `best/`, where the next comparisons leave it.

    Raises `InputError` where the run has no model, or another process is writing to the folder.
    """
    if not _has_model(results, run):
        raise InputError(f'The run "{run.name}" has no model: {results.store.run(run.run_id).model_path} is not there.')
    return _place(results, run, "promoted by the user", True, card)


def demote(results: Results, card: Card) -> Kept:
    """Puts the recommended run's model into `best/` again."""
    held = _held(results.store)
    if held is not None and held.promoted:
        _remove(results.store)
    return keep(results, card)


def _held(store: Store) -> Best | None:
    """What `best/` holds; None where its best.json is damaged too: it is made anew."""
    try:
        return Best.of(store)
    except DamagedError:
        return None


def _keep_promoted(results: Results, held: Best, card: Card) -> Kept:
    run = next((run for run in results.done if run.run_id == held.run_id), None)
    back = f"thriftune promote {results.store.path} --recommended"
    if run is None or not _has_model(results, run):
        lost = "is no longer a finished run of the study" if run is None else "has no model folder any more"
        return Kept(held, f"{results.store.best_path} keeps {held.name}, which was promoted and {lost}. Back: {back}")
    best = _place(results, run, held.why, True, card)
    taken = decide(results).taken
    if taken is not None and run in taken.cell.runs:
        return Kept(best, None)
    name = "none" if taken is None else taken.name
    return Kept(best, f"{results.store.best_path} keeps {run.name}, which was promoted; recommended: {name}. {back}")


def _has_model(results: Results, run: RunRecord) -> bool:
    model = results.store.run(run.run_id).model_path
    return run.status == "done" and model.is_dir() and any(model.iterdir())


def _place(results: Results, run: RunRecord, why: str, promoted: bool, card: Card) -> Best:
    """Makes the folder beside its place, then puts it there: what is in `best/` is whole."""
    from thriftune.study.folder import alone_in

    store, folder = results.store, results.store.run(run.run_id)
    best = Best(
        run_id=run.run_id,
        name=run.name,
        folder=folder.path.relative_to(store.path).as_posix(),
        promoted=promoted,
        why=plain(why),
        study=results.study.name,
        data=results.study.profile.fingerprint,
        results_sha256=sha256(store.results_path),
    )
    with alone_in(store.path):
        new = _beside(store, "new")
        delete(new)
        copy_model(folder.model_path, new)
        text = card(results, run, rebase(folder.model_path, new))
        (new / "README.md").write_text(text, encoding="utf-8")
        best = replace(best, files=_files(new, run))
        write_json(new / FILE, {"schema_version": 1, **asdict(best)})
        _swap(store, new)
    return best


def _files(new: Path, run: RunRecord) -> dict[str, dict[str, Any]]:
    """The checksums of a folder's files; of its weights those that the run left, whatever became of them since."""
    weights = {name.removeprefix("model/"): about for name, about in run.files.items() if name.endswith(LINKED)}
    found = checksums(new, without=["README.md", *weights])
    return found | {name: about for name, about in weights.items() if (new / name).is_file()}


def copy_model(model: Path, new: Path) -> None:
    """Links the files of weights, or copies them where that fails, and copies the others. No link is symbolic."""
    for path in sorted(model.rglob("*")):
        target = new / path.relative_to(model)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            continue
        if path.suffix in LINKED and not path.is_symlink():
            try:
                os.link(path, target)
                continue
            except OSError:  # another file system, or one without links
                pass
        shutil.copyfile(path, target)
        flush(target)


def base_of(model: Path) -> Path | None:
    """The base folder of an adapter or regression, seen from its own; None where it has none, or one on the hub."""
    from thriftune.models.trained.usage import FILE as USAGE
    from thriftune.models.trained.usage import Usage, is_path

    if not (model / USAGE).is_file():
        return None
    base = Usage.read(model).base
    return Path(base) if base is not None and is_path(base) else None


def rebase(model: Path, new: Path) -> Path | None:
    """Has an adapter's files name the same base from another folder, where it is a path; returns it as seen there."""
    from thriftune.models.trained.usage import Usage

    base = base_of(model)
    if base is None:
        return None
    reference = Path(os.path.relpath((model / base).resolve(), new.resolve())).as_posix()
    replace(Usage.read(model), base=reference).write(new)
    adapter = new / "adapter_config.json"
    if adapter.is_file():
        settings = json.loads(adapter.read_text(encoding="utf-8")) | {"base_model_name_or_path": reference}
        adapter.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return Path(reference)


def _beside(store: Store, what: str) -> Path:
    return store.path / f".best.{what}"


def _swap(store: Store, new: Path) -> None:
    """Puts the new folder in the place of the old one; a crash between the two leaves the old one, which comes back."""
    old = _beside(store, "old")
    _check_ours(store)
    _restore(store)
    if store.best_path.is_symlink():
        delete(store.best_path)
    elif store.best_path.exists():
        delete(old)
        store.best_path.rename(old)
    new.rename(store.best_path)
    flush(store.path)
    delete(old)


def _remove(store: Store) -> None:
    if store.best_path.exists():
        _check_ours(store)
        delete(store.best_path)


def _check_ours(store: Store) -> None:
    """Raises `InputError` where `best` is something that no comparison made."""
    path = store.best_path
    if path.exists() and not path.is_symlink() and not (path / FILE).is_file():
        raise InputError(f"{path} is there and is none that Thriftune made. Move it away.")


def _restore(store: Store) -> None:
    """Brings back what a crash left half way."""
    old = _beside(store, "old")
    if old.is_dir() and not store.best_path.exists():
        old.rename(store.best_path)
