"""The output folder of a study: which ones can be used, and by one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thriftune.errors import InputError
from thriftune.paths import check_new_folder, kind, status
from thriftune.results.files import DamagedError
from thriftune.results.record import StudyResults
from thriftune.results.storage.errors import UnwritableError, unwritable
from thriftune.results.storage.temporary import sweep
from thriftune.results.store import Store

WORK = ".work"
"""Folder in OUT for the data that the runs' processes read; deleted at the end."""


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it; a folder that is empty at the end goes again.

    Raises `InputError` where the folder holds something that is not a study, cannot be made, or is in use.
    """
    from filelock import FileLock, Timeout

    check_folder(out)
    made = [path for path in (out, *out.parents) if not path.exists()]
    lock = Store(out).lock_path
    try:
        out.mkdir(parents=True, exist_ok=True)
        holder = FileLock(lock, timeout=0)
        holder.acquire()
    except Timeout:
        raise InputError(
            f"Another thriftune compare is writing to {out}. Wait for it, or give another --out."
        ) from None
    except OSError as error:
        raise InputError(f"The folder {out} cannot be written to ({error.strerror}). Give another --out.") from error
    try:
        sweep(out)
        yield
    except Exception as error:
        if isinstance(error, InputError) or (found := unwritable(error, out)) is None:
            raise
        raise UnwritableError(found) from error
    finally:
        with suppress(OSError):
            lock.unlink(missing_ok=True)
        holder.release()
        for path in made:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def check_folder(out: Path) -> None:
    """Raises `InputError` where the output folder holds something that is not a study."""
    check_new_folder(out)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if links := [path for path in (*_followed(out), Store(out).lock_path) if path.is_symlink()]:
        raise InputError(
            f"{links[0]} is a symbolic link. What lies in it is deleted and made anew, and no link is followed for "
            f"that: give {links[0].resolve().parent} as --out, or put a folder in its place."
        )
    store = Store(out)
    # A study.yaml alone is someone's own, which the resolved one would replace.
    ours = [store.results_path, store.test_path, store.runs_path, store.search_database, store.asked_path]
    ours += [out / WORK, store.lock_path]
    if not any(path.exists() for path in ours):
        raise InputError(f"{out} is not empty and holds no study. Give a new folder, or one that compare wrote before.")
    for path in _followed(out):
        if (found := status(path)) is not None and not path.is_dir():
            raise InputError(
                f"{path} is {kind(found)}, where compare needs a folder. Remove it, or give another --out."
            )
    searches = (store.search_path, store.search_database)
    for path in (store.study_path, store.test_path, store.train_path, store.report_path, *searches):
        if (found := status(path)) is not None and not path.is_file():
            raise InputError(f"{path} is {kind(found)}, where compare needs a file. Remove it, or give another --out.")


def _followed(out: Path) -> list[Path]:
    """The folders in OUT whose content is deleted."""
    store = Store(out)
    return [out / WORK, store.runs_path, store.robustness_path, store.figures_path]


def earlier_results(out: Path) -> StudyResults | None:
    """What an earlier study left in the folder; None where there is nothing that can be lost or reused.

    A damaged results.json says nothing: its runs' own records do, and it is written anew.
    """
    store = Store(out)
    if not store.results_path.exists():
        return None
    try:
        found = store.load()
    except DamagedError:
        return None
    return found.study if found.done else None


def check_same_study(out: Path, name: str, fingerprint: str) -> None:
    """Raises `InputError` where the folder holds finished runs of a study of another name, or on other data."""
    found = earlier_results(out)
    if found is None:
        return
    remedy = f"Give another --out, or remove {out} if its results are no longer needed."
    if found.name != name:
        raise InputError(f'{out} holds the results of the study "{found.name}"; this one is "{name}". {remedy}')
    if found.profile.fingerprint != fingerprint:
        rows = ", ".join(f"{count:,} {split}" for split, count in found.profile.rows.items())
        raise InputError(
            f'{out} holds results of the study "{name}" on other data or other splits ({rows}): the results would '
            f"not be comparable. {remedy}"
        )
