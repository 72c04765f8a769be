"""The connection to a Ray cluster: one that runs, or one started on this machine for the study alone."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from thriftune.errors import InputError, first_line
from thriftune.processors import usable_processors
from thriftune.study.crew.ray.settings import LOCAL, RaySettings

STORE_BYTES = 80_000_000
"""Ray's object store on this machine: nothing but records and progress goes through it."""
PREFIX = "thriftune-ray-"
LONGEST_FOLDER = 20
"""Characters: Ray's sockets lie below its folder, and their paths may have 107 on Linux."""
SHORT = "/tmp"  # noqa: S108 - mkdtemp makes a folder of this user's own in it
ANSWER_SECONDS = 10.0
"""In which a cluster must answer."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
    "RAY_SCHEDULER_EVENTS": "0",
}
"""Ray reads them when it is imported and when it starts: nothing is reported to anyone, and what its processes say of
lost nodes is not printed over the study's own words. What the user has set stays."""


@contextmanager
def connected(settings: RaySettings) -> Iterator[None]:
    """Inside, Ray is connected to the cluster; one that was connected before stays so.

    Ray tells nothing on the terminal, and the program's signals stay its own. Raises `InputError` where Ray is not
    installed, or the cluster is not there or has other versions of Python or Ray.
    """
    ray = imported()
    if ray.is_initialized():
        if settings.address == LOCAL:
            raise InputError("This program is connected to a Ray cluster already. Use it: give auto instead of local.")
        yield
        return
    _check_reachable(settings)
    with _folder(settings) as folder:
        try:
            with _own_signals(), _variables(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    ray.init(**_arguments(settings, folder))
                except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
                    raise InputError(_refusal(settings, error)) from error
            yield
        finally:
            ray.shutdown()


def imported() -> Any:
    """The package ray; raises `InputError` where it is not installed."""
    try:
        with _variables():
            import ray
            import ray.exceptions
    except ImportError as error:
        raise InputError(
            f"--ray needs the package ray, which cannot be imported ({first_line(error)}): pip install 'thriftune[ray]'"
        ) from error
    return ray


def _check_reachable(settings: RaySettings) -> None:
    """Raises `InputError` where nobody listens at the address: Ray would try for minutes."""
    address = os.environ.get("RAY_ADDRESS") if settings.address == "auto" else settings.address
    if not address or address in (LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f'"{address}" is no address of a Ray cluster: give HOST:PORT, auto or local.')
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS):
            return
    except (OSError, OverflowError) as error:
        raise InputError(_refusal(settings, error)) from error


def _arguments(settings: RaySettings, folder: Path | None) -> dict[str, Any]:
    shared = {"log_to_driver": False, "logging_level": logging.CRITICAL, "namespace": "thriftune"}
    if folder is None:
        return {"address": settings.address, **shared}
    return {
        "address": LOCAL,
        "num_cpus": max(usable_processors(), settings.threads or 1),
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": str(folder),
        **shared,
    }


def _refusal(settings: RaySettings, error: Exception) -> str:
    if settings.address == LOCAL:
        return f"Ray could not be started on this machine: {first_line(error)}"
    said = " ".join(str(error).split())[:500].rstrip(".")
    return (
        f'The Ray cluster "{settings.address}" cannot be used: {said}. Start one with `ray start --head` '
        "and give the address that it prints, or give --ray local for this machine alone."
    )


@contextmanager
def _folder(settings: RaySettings) -> Iterator[Path | None]:
    """A folder for what a cluster on this machine leaves, which is deleted in the end."""
    if settings.address != LOCAL:
        yield None
        return
    from filelock import FileLock

    usual = tempfile.gettempdir()
    short = usual if len(usual) <= LONGEST_FOLDER or not Path(SHORT).is_dir() else SHORT
    _sweep(Path(short))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=short))
    lock = FileLock(folder / "lock")
    lock.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _sweep(place: Path) -> None:
    """Deletes what studies left that were killed: nobody holds their lock."""
    from filelock import FileLock, Timeout

    for lock in place.glob(f"{PREFIX}*/lock"):
        with suppress(OSError, Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent, ignore_errors=True)


@contextmanager
def _variables() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it connects: one that comes meanwhile is an interrupt, and what it meant before
    it means again after."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGTERM, before)
