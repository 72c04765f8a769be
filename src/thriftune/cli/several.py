"""`thriftune compare A.yaml B.yaml --ray ...`: several studies side by side on one cluster, a process leads each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer

from thriftune.cli.output import say_interrupted
from thriftune.endings import exit_code, killed_with_parent, patient
from thriftune.errors import InputError

if TYPE_CHECKING:
    from thriftune.study.crew.ray.settings import RaySettings

OWN = ("studies", "out", "ray")
"""Parameters of the command that are not passed on as they are."""


def compare_several(context: typer.Context, studies: Sequence[str], out: Path | None, ray: RaySettings | None) -> None:
    """Runs each study as the same command would alone; its results lie in `OUT/NAME`, or results-NAME.

    What each prints on the way has its name before it; what to take is printed in the end, one study after the other.
    Raises `typer.Exit` with the highest code that any of them ended with; `InputError` before anything begins where
    one of them is no study, or two have one name.
    """
    if ray is None:
        raise InputError("Several studies at once are made on a cluster: give --ray as well, or one study.")
    names = _names(studies)
    from thriftune.study.crew.ray.connection import connected
    from thriftune.study.crew.ray.settings import LOCAL

    with ExitStack() as stack:
        if ray.address == LOCAL:  # one for all of them
            stack.enter_context(connected(ray))
            ray = replace(ray, address=_address())
        options = [*_given(context), "--ray", ray.address]
        led = [
            _Led(name, [study, *options, *(() if out is None else ("--out", str(out / name)))])
            for study, name in zip(studies, names, strict=True)
        ]
        try:
            codes = [each.ended() for each in led]
        except KeyboardInterrupt:
            with patient():
                for each in led:
                    each.process.terminate()
                for each in led:
                    each.ended()
            say_interrupted("Interrupted. What is done is kept: the same command resumes.")
            raise typer.Exit(exit_code()) from None
    for each in led:
        if each.printed:
            typer.echo(f"\n{each.name}\n{each.printed.rstrip()}")
    if any(codes):
        raise typer.Exit(max(codes) if min(codes) >= 0 else 1)


class _Led:
    """A study in a process of its own, which dies with this one."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.printed = ""
        self.process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "thriftune", "compare", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches this process, which decides
            preexec_fn=killed_with_parent if os.name == "posix" else None,  # noqa: PLW1509 - no threads yet
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._pass_on, args=(self.process.stderr,), daemon=True),
            threading.Thread(target=self._keep, args=(self.process.stdout,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def ended(self) -> int:
        """Waits for it; its exit code."""
        code = self.process.wait()
        for reader in self._readers:
            reader.join()
        return code

    def _pass_on(self, stream: IO[str]) -> None:
        for line in stream:
            if line.strip():
                typer.echo(f"{self.name}: {line.rstrip()}", err=True)

    def _keep(self, stream: IO[str]) -> None:
        self.printed = stream.read()


def _names(studies: Sequence[str]) -> list[str]:
    """What the studies are called; raises `InputError` where one cannot be read, or two have one name."""
    from thriftune.cli.data_study import is_data, is_results
    from thriftune.paths import results_folder, user_path
    from thriftune.study.file.config import load_study

    names: dict[str, str] = {}
    for study in studies:
        path = user_path(study)
        if is_data(study):
            raise InputError(f"{study} is data. Several at once are study files: thriftune init makes one of each.")
        name = load_study(path / "study.yaml" if path.is_dir() and is_results(path) else path).name
        folder = results_folder(name).name
        if folder in names:
            raise InputError(f'{names[folder]} and {study} are both called "{name}". Give one of them another name.')
        names[folder] = study
    return [folder.removeprefix("results-") for folder in names]


def _given(context: typer.Context) -> list[str]:
    """The options that the command was given, but for those of its own."""
    found: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name in OWN or source is None or source.name != "COMMANDLINE":
            continue
        value: Any = context.params[name]
        if isinstance(value, bool):
            found.append(parameter.opts[0] if value else parameter.secondary_opts[0])
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            found += [parameter.opts[0], str(each)]
    return found


def _address() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)
