"""How processes end: which signals count as Ctrl-C, who dies with whom, and whether anyone still reads.

A closed terminal (SIGHUP) and a polite request (SIGTERM) are Ctrl-C: what is done is kept, and nothing is left half. A
training finishes its step first (`finishing`, `asked_to_end`), so that it can be gone on with.
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
"""After an interrupt, how long further ones raise nothing: tidying up is not to be interrupted as well."""
SAME_SECONDS = 1.0
"""So long a further signal is the same one: to a group and to a process, or from two fingers."""
PR_SET_PDEATHSIG = 1
HANGUP = 129
"""The exit code of what a closed terminal has ended."""


class _State:
    """Of this process's interrupts; signal handlers are the process's too."""

    last = -float("inf")
    """When the last interrupt was raised, or taken note of."""
    held = 0
    waiting = False
    number: int | None = None
    """The signal of the interrupt."""
    finishing = 0
    asked = False
    patient = 0
    again = False
    child = False


_PATIENT = threading.Lock()
"""Threads that each wait for a run's process are patient at once."""


def _interrupt(number: int, frame: Any) -> None:
    now = time.monotonic()
    since = now - _State.last
    if since < SAME_SECONDS:
        return
    if _State.patient:
        _State.again = True
        return
    if _State.finishing and not _State.asked:
        _State.last, _State.number, _State.asked = now, number, True
        return
    if since < GRACE_SECONDS and not _State.finishing:
        _State.again = True
        return
    if _State.held:
        _State.waiting, _State.number = True, number
        return
    _State.last, _State.waiting, _State.number = now, False, number
    raise KeyboardInterrupt


def asked_to_end() -> bool:
    """Whether this process was asked to end while it is `finishing` something; a training looks after every step.

    Whoever sees it keeps what there is (a checkpoint) and raises `KeyboardInterrupt`.
    """
    return _State.asked


def exit_code() -> int:
    """What a program that was interrupted ends with: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (signal.SIGINT if _State.number is None else _State.number)


@contextmanager
def finishing() -> Iterator[None]:
    """Inside, a request to end breaks nothing off: `asked_to_end` says so, and the work ends where it can go on later.

    That is so in the process of a run, and where this one is `interruptible`; a second request, a second later or more,
    breaks it off. Where the work is over before it looked, `KeyboardInterrupt` is raised after it. In other threads
    than the main one, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.finishing += 1
    before = signal.signal(signal.SIGTERM, _ask) if _State.child else None
    try:
        yield
    finally:
        _State.finishing -= 1
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    if _State.asked and not _State.finishing:
        raise KeyboardInterrupt


def _ask(number: int, frame: Any) -> None:
    _State.asked, _State.number = True, number


def led_by_parent() -> None:
    """Leaves it to the process that started this one when it ends: no Ctrl-C reaches it, and SIGTERM ends it at once.

    Only where it is `finishing` something it comes to an end itself.
    """
    _State.child, _State.finishing, _State.asked = True, 0, False
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def patient() -> Iterator[None]:
    """Inside, which waits for others to end, an interrupt raises nothing: `asked_again` says so."""
    with _PATIENT:
        _State.patient += 1
    try:
        yield
    finally:
        with _PATIENT:
            _State.patient -= 1


def asked_again() -> bool:
    """Whether a second interrupt came, a second after the first or later: nothing is waited for any more."""
    return _State.again


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
        _State.last, _State.number = -float("inf"), None
        _State.asked = _State.again = False
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


def is_there(pid: int) -> bool:
    """Whether this machine has a process of that number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number of a process
        return True
    return True


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
