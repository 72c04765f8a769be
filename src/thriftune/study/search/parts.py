"""Searches that are made on other machines: each has a database of its own meanwhile, as SQLite takes one writer.

A part is a file in `OUT/.search`, named by the search's key. What it holds goes into `search.db` when the search has
ended, and at the next start where it could not.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.errors import InputError, first_line
from thriftune.results.store import Store
from thriftune.study.search.job import SearchJob

if TYPE_CHECKING:
    import optuna


def part_of(job: SearchJob, store: Store) -> SearchJob:
    """The search with a database of its own, which holds the trials that were made before."""
    store.search_parts_path.mkdir(exist_ok=True)
    part = store.search_parts_path / f"{job.search.key}.db"
    if not part.exists() and store.search_database.exists():
        _copy(job.search.key, store.search_database, part)
    return replace(job, database=part)


def gather(store: Store, keys: list[str] | None = None) -> None:
    """Moves parts into `search.db`: those of some searches, or all that are there.

    Raises `InputError` where one cannot be read; the others are moved then.
    """
    folder = store.search_parts_path
    if not folder.is_dir():
        return
    problems: list[InputError] = []
    for part in sorted(folder.glob("*.db")):
        if keys is not None and part.stem not in keys:
            continue
        try:
            _copy(part.stem, part, store.search_database)
        except InputError as error:
            problems.append(error)
            continue
        for file in folder.glob(f"{part.name}*"):
            file.unlink()
    if problems:
        raise problems[0]
    if not any(folder.glob("*.db")):
        shutil.rmtree(folder)


def _copy(key: str, source: Path, target: Path) -> None:
    """Puts a search into another database, in place of what that holds of it; one that is not there is not."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        storages: list[optuna.storages.RDBStorage] = []
        try:
            given, taken = (_storage(path, storages) for path in (source, target))
            if key not in optuna.get_all_study_names(given):
                return
            if key in optuna.get_all_study_names(taken):
                optuna.delete_study(study_name=key, storage=taken)
            optuna.copy_study(from_study_name=key, from_storage=given, to_storage=taken)
        except (SQLAlchemyError, RuntimeError) as error:  # RuntimeError: tables of another version of Optuna
            raise InputError(
                f"{source} cannot be put into {target}: {first_line(error)}. Remove the first of them (its trials are "
                "then made again), or give another --out."
            ) from error
        finally:
            for storage in storages:
                storage.remove_session()
                storage.engine.dispose()


def _storage(path: Path, opened: list[optuna.storages.RDBStorage]) -> optuna.storages.RDBStorage:
    import optuna
    from sqlalchemy.engine import URL

    url = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    opened.append(optuna.storages.RDBStorage(url))
    return opened[-1]
