"""Code from outside this package: the entry points of installed packages, and what a study file names by its path."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from thriftune.errors import InputError

log = logging.getLogger(__name__)

Flaw = Callable[[Any], str | None]
"""Says why an object is not what it should be; None where it is."""


@cache
def entries(group: str, built_in: tuple[str, ...] = ()) -> dict[str, EntryPoint]:
    """The entry points of a group by name, none of them imported; those with a name that is taken are left out."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda each: (each.name, each.value)):
        if entry.name in built_in:
            _warn(entry, "has the name of one that is built in")
        elif not entry.name or ":" in entry.name:
            _warn(entry, "has a name with a colon, or none")
        elif entry.name in found and entry.value != found[entry.name].value:
            _warn(entry, f"has the name of {found[entry.name].value}")
        else:
            found.setdefault(entry.name, entry)
    return found


def load(group: str, built_in: Iterable[str], flaw: Flaw) -> dict[str, Any]:
    """What the entry points of a group name; a broken one is left out with a warning that names it."""
    found = {}
    for name, entry in entries(group, tuple(built_in)).items():
        try:
            made = entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - one package's fault must not break the others
            _warn(entry, f"cannot be imported ({said(error)})")
            continue
        why = flaw(made)
        if why is None:
            found[name] = made
        else:
            _warn(entry, why)
    return found


def named(path: str, folder: Path | None, flaw: Flaw) -> Any:
    """The object that `package.module:Name` names, imported; `folder` is searched last, and stays on Python's path.

    Raises `InputError` that says what was tried where there is no such module or name, where importing fails, and
    where `folder` holds another module of that name than Python finds.
    """
    module_name, _, name = path.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise InputError(f'"{path}" names no code; write package.module:Name, for example mypackage.mymodule:MyMethod')
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))
    importlib.invalidate_caches()
    places = "where Python looks" + ("" if folder is None else f", and in {folder}")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise InputError(
                f'"{path}" is not found: there is no module {missing} ({places}); install it, or name its folder '
                "in PYTHONPATH"
            ) from error
        raise InputError(f'"{path}" cannot be used: importing {module_name} failed ({said(error)})') from error
    _check_single(module_name.split(".")[0], folder)
    if not hasattr(module, name):
        raise InputError(f'"{path}" is not found: {module_name} ({_file(module)}) has no {name}')
    found = getattr(module, name)
    why = flaw(found)
    if why is not None:
        raise InputError(f'"{path}" cannot be used: it {why}')
    return found


def path_of(cls: type) -> str:
    """`package.module:Name` of a class; a script's is `__main__` in its child processes too."""
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return f"{module}:{cls.__qualname__}"


def _check_single(top: str, folder: Path | None) -> None:
    """Raises where a study's folder holds a module that Python found elsewhere: one would silently stand for both."""
    beside = None if folder is None else PathFinder.find_spec(top, [str(folder)])
    taken = _file(sys.modules[top])
    if beside is not None and beside.origin is not None and os.path.realpath(beside.origin) != taken:
        raise InputError(f"the module {top} is found twice: {taken} is taken, and {beside.origin} is not; rename one")


def _file(module: Any) -> str:
    return os.path.realpath(getattr(module, "__file__", None) or "built in")


def said(error: BaseException) -> str:
    """An error in one line, with the place where it was raised."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    where = "" if step is None else f", {step.tb_frame.f_code.co_filename} line {step.tb_lineno}"
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}{where}"


def _warn(entry: EntryPoint, why: str) -> None:
    package = f" of the package {entry.dist.name}" if entry.dist is not None else ""
    # What a study's process has said, those of its runs do not say again.
    level = logging.DEBUG if multiprocessing.parent_process() is not None else logging.WARNING
    log.log(level, "The plug-in %s = %s (%s)%s is left out: it %s.", entry.name, entry.value, entry.group, package, why)
