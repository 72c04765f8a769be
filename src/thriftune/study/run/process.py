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
from dataclasses import dataclass
from multiprocessing import connection, spawn
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from thriftune.cost.measured.kills import kill_counts, killed_for_memory
from thriftune.endings import SIGNALS, asked_again, end_with_parent, exit_code, led_by_parent, patient, starting
from thriftune.processors import brief_waits
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.run.extend import without_scores
from thriftune.study.run.job import Emit, Job, blank_record
from thriftune.study.run.worker import attempt, with_fitting_batch

FORKS = "forkserver" in multiprocessing.get_all_start_methods()
"""Whether the platform has fork servers; Windows has none."""
PRELOADED = ["thriftune.study.run.preload"]
"""What the fork server imports."""
SERVER_DIED = 255
"""How multiprocessing reports the end of a process whose fork server is gone."""
ENDED_BY_SIGNAL = (*(-number for number in SIGNALS), *(128 + number for number in SIGNALS), SERVER_DIED)
FINISH_SECONDS = 30.0
"""So long a run may take to finish its step and write its checkpoint when the study is interrupted."""
SIGKILL = getattr(signal, "SIGKILL", 9)
POLL_SECONDS = 0.1
GROUP_SECONDS = 1.0
"""A signal to all processes of a group may reach a run's before the study's."""
IN_THE_SCRIPT = (
    ". The run uses code of the script itself, which its process imports again: put the calls below "
    '`if __name__ == "__main__":`, or the code into a module beside it'
)
_STARTING = threading.Lock()


@dataclass(frozen=True)
class Death:
    """How a process ended that left no last message."""

    exit_code: int | None
    """Negative: the signal."""
    for_memory: bool = False
    """Whether the kernel says that it ended the process for want of memory."""

    @property
    def status(self) -> Literal["out_of_memory", "killed", "failed"]:
        """What its work counts as."""
        if self.for_memory:
            return "out_of_memory"
        return "killed" if self.exit_code in (-SIGKILL, *ENDED_BY_SIGNAL[:-1]) else "failed"

    @property
    def why(self) -> str:
        """What became of it: "was killed (exit code -9)"."""
        if self.for_memory:
            return f"was killed by the kernel, for want of memory (exit code {self.exit_code})"
        word = "was killed" if self.status == "killed" else "broke off"
        return f"{word} (exit code {self.exit_code})"


class Abandoned(BaseException):
    """A run's process was killed because the run is another's now: its folder is not to be touched."""


def run_in_process(
    job: Job, emit: Emit, variables: Mapping[str, str] | None = None, stop: Connection | None = None
) -> RunRecord:
    """Executes a run in a process of its own and passes its progress on; returns its record.

    A process that dies without a record counts as killed or failed, and as out of memory where the kernel says so. One
    that runs out of memory is tried again with smaller batches where the protocol says `fit_batch`. When this process
    is interrupted, the run's process ends too, a training after its step and with a checkpoint; without one an
    incomplete run leaves nothing. `variables` and `stop`: see `in_process`.
    """
    return with_fitting_batch(lambda job, emit: _in_process(job, emit, variables, stop), job, emit)


def _in_process(job: Job, emit: Emit, variables: Mapping[str, str] | None, stop: Connection | None) -> RunRecord:
    folder = RunFolder(job.out)
    try:
        needs_model = job.planned.method.NEEDS_MODEL
        record, death = in_process(_child, job, needs_model, emit, (RunRecord,), variables, stop)
    except Abandoned:
        raise
    except BaseException:
        if not folder.complete:
            folder.remove(keep_checkpoint=True)
        raise
    return record or _died(job, death)


def in_process(
    target: Callable[..., None],
    job: object,
    needs_model: bool,
    emit: Callable[[Any], None],
    last: tuple[type, ...],
    variables: Mapping[str, str] | None = None,
    stop: Connection | None = None,
) -> tuple[Any, Death]:
    """Calls `target(job, sender, environment)` in a process of its own; what it sends goes to `emit`.

    Returns its last message, which is of one of the types `last`, or None and how it ended without one. When this
    process is interrupted, the other ends too: see `end`. `variables` are set in the other process alone. `stop` serves
    a thread, which no signal interrupts: once its other end is closed, `KeyboardInterrupt` is raised here, and
    `Abandoned`, the process killed at once, where something was sent through it.
    """
    context = _context(needs_model)
    importing = nullcontext if _reads_main((target, job)) else _without_main
    receiver, sender = context.Pipe(duplex=False)
    process: BaseProcess | None = None
    before = kill_counts()
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
                    return None, Death(SERVER_DIED)
        assert process is not None
        sender.close()
        found = _listen(receiver, emit, last, stop)
        process.join()
        if found is None and process.exitcode in ENDED_BY_SIGNAL:
            _await_own_signal(stop)
    except Abandoned:
        if process is not None:
            process.kill()
            process.join()
        raise
    except BaseException:
        if process is not None:
            end(process, receiver)
        raise
    finally:
        receiver.close()
    if found is not None:
        return found, Death(process.exitcode)
    for_memory = process.exitcode == -SIGKILL and killed_for_memory(before, kill_counts(), process.pid)
    return None, Death(process.exitcode, for_memory)


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


def _await_own_signal(stop: Connection | None) -> None:
    """Waits for the signal that ended the other process to reach this one too: it ends the wait, and the study."""
    if stop is None:
        time.sleep(GROUP_SECONDS)
    elif stop.poll(GROUP_SECONDS):
        raise _why_stopped(stop)


def end(process: BaseProcess, receiver: Connection, seconds: float = FINISH_SECONDS) -> None:
    """Asks a run's process to end (SIGTERM) and waits for it; kills it where it takes longer, or one interrupts again.

    It ends at once, but where it trains: then it finishes its step and writes its checkpoint.
    """
    if process.pid is None:
        return
    until = time.monotonic() + seconds
    with patient():
        process.terminate()
        watched: list[Any] = [process.sentinel, receiver]
        while process.sentinel in watched and time.monotonic() < until and not asked_again():
            for each in connection.wait(watched, timeout=POLL_SECONDS):
                if each is process.sentinel or not _drained(receiver):
                    watched.remove(each)
        process.kill()
        process.join()


def _drained(receiver: Connection) -> bool:
    """Reads a message that nobody wants, so that who sends it does not wait for a reader; False where all is read."""
    try:
        receiver.recv()
    except (EOFError, OSError):
        return False
    return True


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


def _died(job: Job, death: Death) -> RunRecord:
    message = f"the run's process {death.why}{IN_THE_SCRIPT if _reads_main(job) else ''}"
    folder = RunFolder(job.out)
    if job.done and folder.complete:
        record = without_scores(job, message)
    else:
        record = blank_record(job, death.status, message)
        folder.clear(keep_checkpoint=True)
    folder.write_record(record)
    return record


def _child(job: Job, sender: Connection, variables: dict[str, str]) -> None:
    tell = as_child(sender, variables)
    with quiet_end():
        tell(attempt(job, tell))


@contextmanager
def quiet_end() -> Iterator[None]:
    """A process that was asked to end inside ends without a traceback, with the exit code that says so."""
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(exit_code()) from None


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

    led_by_parent()
    return tell
