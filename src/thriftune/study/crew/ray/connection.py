"""The connection to a Ray cluster: one that runs, or one started on this machine for the study alone."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thriftune.errors import InputError, first_line
from thriftune.processors import usable_processors
from thriftune.study.crew.ray.settings import LOCAL, RaySettings

STORE_BYTES = 80_000_000
"""Ray's object store on this machine: nothing but records and progress goes through it."""
LONGEST_FOLDER = 30
"""Characters: Ray's sockets lie below its folder, and their paths may have 107 on Linux."""
SHORT = "/tmp"  # noqa: S108 - mkdtemp makes a folder of this user's own in it
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Variables of processes that are started here: nothing is reported to anyone, and no warning of a coming change."""


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
    with _own_signals(), _variables(), _folder(settings) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(**_arguments(settings, folder))
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            ray.shutdown()
            raise InputError(_refusal(settings, error)) from error
        except BaseException:
            ray.shutdown()
            raise
    try:
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def imported() -> Any:
    """The package ray; raises `InputError` where it is not installed."""
    before = {name: os.environ.get(name) for name in QUIET}
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise InputError(
            f"--ray needs the package ray, which cannot be imported ({first_line(error)}): pip install 'thriftune[ray]'"
        ) from error
    finally:
        _restore(before)
    return ray


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
    return (
        f'The Ray cluster "{settings.address}" cannot be used: {first_line(error)}. Start one with `ray start --head` '
        "and give the address that it prints, or give --ray local for this machine alone."
    )


@contextmanager
def _folder(settings: RaySettings) -> Iterator[Path | None]:
    """A folder for what a cluster on this machine leaves; deleted here where it does not start."""
    if settings.address != LOCAL:
        yield None
        return
    usual = tempfile.gettempdir()
    short = usual if len(usual) <= LONGEST_FOLDER or not Path(SHORT).is_dir() else SHORT
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=short))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _variables() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    try:
        yield
    finally:
        _restore(before)


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it connects; what it meant before it means again after."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
