"""How processes end: which signals count as Ctrl-C, who dies with whom, and whether anyone still reads.

A closed terminal (SIGHUP) and a polite request (SIGTERM) are Ctrl-C: what is done is kept, and nothing is left half.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, parent_process
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
PARENTS_OWN = tuple(number for number in SIGNALS if number != signal.SIGTERM)
"""What a terminal sends to all processes at once, and the one that started the others decides on."""
GRACE_SECONDS = 10.0
"""After an interrupt, how long further ones are dropped: tidying up is not to be interrupted as well."""
PR_SET_PDEATHSIG = 1


class _State:
    """Of this process's interrupts; signal handlers are the process's too."""

    last = -float("inf")
    held = 0
    waiting = False


def _interrupt(number: int, frame: Any) -> None:
    now = time.monotonic()
    if now - _State.last < GRACE_SECONDS:
        return
    if _State.held:
        _State.waiting = True
        return
    _State.last, _State.waiting = now, False
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise `KeyboardInterrupt` as Ctrl-C does, and a second one soon after it is dropped.

    A signal that is ignored (nohup) or that the program handles itself stays so; in other threads than the main one
    nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    own = [number for number, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]
    if own:
        _State.last = -float("inf")
    for number in own:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in own:
            signal.signal(number, before[number])


def deaf() -> None:
    """From now on no interrupt changes how this process ends; for the last lines of a program."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def starting() -> Iterator[None]:
    """Interrupts wait until the block is over, which starts a process.

    The new process never sees Ctrl-C or a closed terminal: they reach all processes of a group, but the one that
    started the others decides.
    """
    blocked = None
    if hasattr(signal, "pthread_sigmask"):
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_OWN)
    held = threading.current_thread() is threading.main_thread()  # no interrupt is raised in any other
    _State.held += held
    try:
        yield
    finally:
        _State.held -= held
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if held and _State.waiting and not _State.held:
            _State.last, _State.waiting = time.monotonic(), False
            raise KeyboardInterrupt


def end_with_parent() -> None:
    """Ends this process at once when the one that started it is gone, however that ended.

    On Linux the kernel sees to it. A process that was forked by a server has another parent than the one that wants
    it, so a thread watches both; it is enough where the kernel does not help.
    """
    killed_with_parent()
    watched: list[Any] = []
    parent = parent_process()
    if parent is not None:
        watched.append(parent.sentinel)
    if hasattr(os, "pidfd_open"):
        for pid in {os.getppid(), parent.pid if parent is not None and parent.pid else os.getppid()}:
            try:
                watched.append(os.pidfd_open(pid))
            except OSError:  # gone already, or a system that has no such thing
                continue
    if watched:
        threading.Thread(target=_wait_and_die, args=(watched,), name="parent's end", daemon=True).start()


def _wait_and_die(watched: list[Any]) -> None:
    connection.wait(watched)
    os._exit(1)


def killed_with_parent() -> None:
    """Asks the kernel to kill this process when the thread that started it ends; does nothing but on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def unread(stream: Any) -> bool:
    """Whether nobody will read what is written to a stream: a pipe whose reader has ended, a closed terminal."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))


def from_unread(error: OSError, *streams: Any) -> bool:
    """Whether a write failed because nobody reads one of the streams."""
    return error.errno in (errno.EPIPE, errno.EIO) and any(map(unread, streams))


def flush_or_drop(stream: Any) -> None:
    """Writes what a stream still holds; to nowhere where nobody reads it, so that the interpreter ends in silence."""
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        drop(stream)


def drop(stream: Any) -> None:
    """What a stream still holds, and whatever is written to it from now on, goes nowhere."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
