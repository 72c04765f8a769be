"""Programs whose endings the tests watch; light, because each starts an interpreter."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from thriftune.study.run import process


def waits(job: Any, sender: Any, variables: dict[str, str]) -> None:
    """A run that says where it runs, and then hangs: in native code as far as anyone can tell."""
    process.end_with_parent()
    (job.out / "half").touch()
    sender.send(f"{os.getpid()} {variables.get('GOMP_SPINCOUNT')}")
    time.sleep(300)


def main(folder: str, forked: bool) -> None:
    """Runs `waits` as a study runs a run, and tidies up slowly."""
    from thriftune.endings import deaf, exit_code, interruptible

    out = Path(folder) / "run"
    out.mkdir()
    job: Any = SimpleNamespace(out=out, planned=SimpleNamespace(method=SimpleNamespace(NEEDS_MODEL=forked)))
    process.PRELOADED = ["tests"]
    process._child = waits
    try:
        with interruptible():
            try:
                process.run_in_process(job, lambda message: print(message, flush=True))
            finally:
                time.sleep(0.3)
                (Path(folder) / "tidied").touch()
    except KeyboardInterrupt:
        deaf()
        sys.exit(exit_code())


if __name__ == "__main__":
    main(sys.argv[1], forked="forked" in sys.argv[2:])
