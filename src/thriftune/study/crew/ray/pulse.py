"""Tells the study how a task stands, once a second, and ends the task when the study has ended."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from thriftune.study.crew.ray.mailbox import Message, Told, Unsent

SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""A mailbox that has not answered for so long is gone, and with it the study."""
END = getattr(signal, "SIGUSR2", signal.SIGTERM)
"""What interrupts the task's main thread; Ray has no use for it."""


class Pulse:
    """The thread that does it; the task's work goes on in the main one."""

    def __init__(self, mailbox: Any, task: int, attempt: int) -> None:
        self._mailbox, self._task, self._attempt = mailbox, task, attempt
        self._unsent = Unsent()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._main = threading.main_thread().ident
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def tell(self, told: Told) -> None:
        """Leaves something for the next beat."""
        with self._lock:
            self._unsent.add(told)

    def start(self, first: Told) -> None:
        """Tells the first thing, and begins once it is told; raises `KeyboardInterrupt` where the study has ended."""
        self.tell(first)
        if self._ended():
            raise KeyboardInterrupt
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; what is not told yet nobody needs any more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(SECONDS):
            if self._ended() and not self._over.is_set():
                assert self._main is not None
                signal.pthread_kill(self._main, END)
                return

    def _ended(self) -> bool:
        """Whether the study has: it says so, or is not there any more."""
        import ray

        with self._lock:
            messages = [Message(self._task, self._attempt, told) for told in self._unsent.taken()]
        try:
            ended = bool(ray.get(self._mailbox.put.remote(messages), timeout=PATIENCE_SECONDS))
        except ray.exceptions.RayError:  # its node is slow, or gone; a time-out is one too
            return time.monotonic() - self._heard > PATIENCE_SECONDS
        self._heard = time.monotonic()
        return ended


@contextmanager
def pulse(mailbox: Any, task: int, attempt: int, first: Told) -> Iterator[Pulse]:
    """Inside, the study hears of the task, `first` before all else.

    Raises `KeyboardInterrupt` inside when the study has ended.
    """
    before = signal.signal(END, _interrupt)
    beating = Pulse(mailbox, task, attempt)
    try:
        beating.start(first)
        yield beating
    finally:
        signal.signal(END, signal.SIG_IGN)  # too late for an interrupt
        beating.stop()
        signal.signal(END, before)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
