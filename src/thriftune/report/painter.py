"""Draws charts in a process of its own, whose death costs a chart and not the report.

The process reads lines of JSON and answers each with a line of JSON; it is no child of multiprocessing, which would run
the main module of the program that asks for a report a second time.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

SECONDS = 60.0
"""That one chart may take; a large one takes about one."""
FIRST_SECONDS = 120.0
"""That a process's first chart may take, which starts the process too."""
OWN = "from thriftune.report.painter import serve; serve()"


class NotDrawnError(Exception):
    """A chart that the library could not draw, or whose drawing took its process down; the message says why."""


class Painter:
    """A process that draws; it starts at once, and again after it has died."""

    def __init__(self, seconds: float = SECONDS, first_seconds: float = FIRST_SECONDS, program: str = OWN) -> None:
        self._seconds = seconds
        self._first_seconds = first_seconds
        self._program = program
        self._started = False
        self._process = self._start()

    def __enter__(self) -> Painter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def svg(self, spec: dict[str, Any]) -> str:
        """A Vega-Lite specification as SVG; raises `NotDrawnError`."""
        if self._process.poll() is not None:
            self._process = self._start()
        process, seconds = self._process, self._seconds if self._started else self._first_seconds
        answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_ask, args=(process, spec, answers), daemon=True).start()
        try:
            line = answers.get(timeout=seconds)
        except queue.Empty:
            self._end()
            raise NotDrawnError(f"drawing took longer than {seconds:.0f} seconds") from None
        if not line.endswith(b"\n"):
            process.wait()
            self._end()
            raise NotDrawnError(f"the process that draws broke off (exit code {process.returncode})")
        self._started = True
        answer = json.loads(line)
        if "svg" not in answer:
            raise NotDrawnError(answer["error"])
        return str(answer["svg"])

    def _start(self) -> subprocess.Popen[bytes]:
        self._started = False
        code = f"import sys; sys.path[:] = {sys.path!r}; {self._program}"
        return subprocess.Popen(  # noqa: S603 - this interpreter and our own code
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.close()


def _ask(process: subprocess.Popen[bytes], spec: dict[str, Any], answers: queue.SimpleQueue[bytes]) -> None:
    """Puts the answer's line, or what there is of it where the process ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        process.stdin.flush()
        answers.put(process.stdout.readline())
    except (OSError, ValueError):
        answers.put(b"")


def serve() -> None:
    """Answers until its input ends. The first to go where memory runs out; Ctrl-C is for the process that asks."""
    from thriftune.endings import killed_with_parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    killed_with_parent()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the library prints is no answer
    import vl_convert

    for line in sys.stdin.buffer:
        try:
            answer = {"svg": vl_convert.vegalite_to_svg(json.loads(line))}
        except Exception as error:  # noqa: BLE001 - the library's failure is this chart's alone
            answer = {"error": " ".join(str(error).split())[:300] or type(error).__name__}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
