"""A run in a fresh process, which a crash or a kill cannot take the study down with."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from multiprocessing import connection, spawn
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from thriftune.endings import SIGNALS, end_with_parent, starting
from thriftune.processors import brief_waits
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.run.extend import without_scores
from thriftune.study.run.job import Emit, Job, blank_record
from thriftune.study.run.worker import execute

FORKS = "forkserver" in multiprocessing.get_all_start_methods()
"""Whether the platform has fork servers; Windows has none."""
PRELOADED = ["thriftune.study.run.preload"]
"""What the fork server imports."""
SERVER_DIED = 255
"""How multiprocessing reports the end of a process whose fork server is gone."""
ENDED_BY_SIGNAL = (*(-number for number in SIGNALS), SERVER_DIED)
GROUP_SECONDS = 1.0
"""A signal to all processes of a group may reach a run's before the study's."""
IN_THE_SCRIPT = (
    ". The run uses code of the script itself, which its process imports again: put the calls below "
    '`if __name__ == "__main__":`, or the code into a module beside it'
)
_STARTING = threading.Lock()


class Abandoned(BaseException):
    """A run's process was killed because the run is another's now: its folder is not to be touched."""


def run_in_process(
    job: Job, emit: Emit, variables: Mapping[str, str] | None = None, stop: Connection | None = None
) -> RunRecord:
    """Executes a run in a process of its own and passes its progress on; returns its record.

    A process that dies without a record counts as failed, or out of memory where it was killed. When this
    process is interrupted, the run's process ends too; an incomplete run leaves nothing. `variables` and `stop`: see
    `in_process`.
    """
    try:
        needs_model = job.planned.method.NEEDS_MODEL
        record, exit_code = in_process(_child, job, needs_model, emit, (RunRecord,), variables, stop)
    except Abandoned:
        raise
    except BaseException:
        if not RunFolder(job.out).complete:
            RunFolder(job.out).remove()
        raise
    return record or _died(job, exit_code)


def in_process(
    target: Callable[..., None],
    job: object,
    needs_model: bool,
    emit: Callable[[Any], None],
    last: tuple[type, ...],
    variables: Mapping[str, str] | None = None,
    stop: Connection | None = None,
) -> tuple[Any, int | None]:
    """Calls `target(job, sender, environment)` in a process of its own; what it sends goes to `emit`.

    Returns its last message, which is of one of the types `last`, or None and the exit code where it ends without one.
    When this process is interrupted, the other ends too. `variables` are set in the other process alone. `stop` serves
    a thread, which no signal interrupts: once its other end is closed, `KeyboardInterrupt` is raised here, and
    `Abandoned`, the process killed at once, where something was sent through it.
    """
    context = _context(needs_model)
    importing = nullcontext if _reads_main((target, job)) else _without_main
    receiver, sender = context.Pipe(duplex=False)
    process: BaseProcess | None = None
    try:
        for further in (True, False):
            try:
                with starting(), brief_waits(), importing():
                    process = context.Process(
                        target=target, args=(job, sender, {**os.environ, **(variables or {})}), daemon=False
                    )
                    process.start()
                break
            except (EOFError, ConnectionError):  # the fork server died, as for want of memory; there is a new one then
                process = None
                if not further:
                    return None, SERVER_DIED
        assert process is not None
        sender.close()
        found = _listen(receiver, emit, last, stop)
        process.join()
        if found is None and process.exitcode in ENDED_BY_SIGNAL:
            time.sleep(GROUP_SECONDS)  # this process's own signal ends the sleep, and the study
    except Abandoned:
        if process is not None:
            process.kill()
            process.join()
        raise
    except BaseException:
        if process is not None:
            _end(process)
        raise
    finally:
        receiver.close()
    return found, process.exitcode


def warm_up() -> None:
    """Starts the process that runs on a transformer are forked from: it has imported what each of them imports.

    The imports, seconds of work, go on there while this process does something else.
    """
    if FORKS:
        # The server dies with the thread that starts it; only the main one surely lasts as long as the study.
        mortal = ["thriftune.study.run.mortal"] if threading.current_thread() is threading.main_thread() else []
        multiprocessing.get_context("forkserver").set_forkserver_preload([*mortal, *PRELOADED])
        with starting(), brief_waits():
            from multiprocessing.forkserver import ensure_running

            ensure_running()


def _context(needs_model: bool) -> Any:
    if not (FORKS and needs_model):
        return multiprocessing.get_context("spawn")
    warm_up()
    return multiprocessing.get_context("forkserver")


def _reads_main(sent: object) -> bool:
    """Whether what a process is sent refers to code of the main module, such as a method that a script defines."""
    return b"__main__" in pickle.dumps(sent)


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is started inside does not run the program's main module again, as multiprocessing would have it.

    So a script needs no `if __name__ == "__main__":`, and what it does besides is not done once for each run.
    """
    with _STARTING:
        own = spawn.get_preparation_data

        def without_main(name: str) -> dict[str, Any]:
            return {key: value for key, value in own(name).items() if not key.startswith("init_main")}

        spawn.get_preparation_data = without_main
        try:
            yield
        finally:
            spawn.get_preparation_data = own


def _end(process: BaseProcess) -> None:
    """Kills the run's process: it has nothing to tidy up that its parent does not."""
    if process.pid is not None:
        process.kill()
        process.join()


def _listen(receiver: Connection, emit: Callable[[Any], None], last: tuple[type, ...], stop: Connection | None) -> Any:
    """Passes a child's progress on until its last message comes; None where the child ends without one."""
    while True:
        if stop is not None and stop in connection.wait([receiver, stop]):
            raise _why_stopped(stop)
        try:
            message: Any = receiver.recv()
        except (EOFError, OSError):  # OSError: killed in the middle of a message
            return None
        if isinstance(message, last):
            return message
        emit(message)


def _why_stopped(stop: Connection) -> BaseException:
    try:
        stop.recv_bytes()
    except (EOFError, OSError):
        return KeyboardInterrupt()
    return Abandoned()


def _died(job: Job, exit_code: int | None) -> RunRecord:
    if exit_code == -getattr(signal, "SIGKILL", 9):
        status, why = "out_of_memory", "was killed, most likely because the machine ran out of memory"
    else:
        status, why = "failed", "broke off"
    message = f"the run's process {why} (exit code {exit_code}){IN_THE_SCRIPT if _reads_main(job) else ''}"
    folder = RunFolder(job.out)
    if job.done and folder.complete:
        record = without_scores(job, message)
    else:
        record = blank_record(job, status, message)  # type: ignore[arg-type]
        folder.clear()
    folder.write_record(record)
    return record


def _child(job: Job, sender: Connection, variables: dict[str, str]) -> None:
    tell = as_child(sender, variables)
    tell(execute(job, tell))


def as_child(sender: Connection, variables: dict[str, str]) -> Callable[[object], None]:
    """Makes this process a child that ends with its parent and leaves signals to it; returns how to tell it things."""
    end_with_parent()
    # A forked process has the variables of the time when its server started.
    os.environ.clear()
    os.environ.update(variables)

    def tell(message: object) -> None:
        try:
            sender.send(message)
        except OSError:
            raise SystemExit(1) from None  # the parent is gone, and with it the study

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return tell
