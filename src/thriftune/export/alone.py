"""Runs an exported model in a process without Thriftune: `python -P alone.py JOB.json`.

This file imports nothing of Thriftune. It executes the code of the card in the folder, calls the `probabilities` that
the code defines, times it, and writes what it found beside the job.
"""

import contextlib
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "peft", "sentence-transformers", "onnxruntime", "tokenizers")
WARM = 3
"""Calls before any is timed."""


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Probabilities of the job's texts, and the seconds of calls with one text and with a batch."""
    import numpy as np

    before = Path.cwd()
    os.chdir(job["folder"])
    try:
        names: dict[str, Any] = {}
        with contextlib.redirect_stdout(open(os.devnull, "w")):
            exec(compile(job["code"], "card", "exec"), names)  # noqa: S102 - what the card tells its readers to run
        texts, batch = job["texts"], job["batch"]
        count = len(texts[0])

        def call(rows: list[int]) -> Any:
            return np.asarray(names["probabilities"](*([column[row] for row in rows] for column in texts)))

        found = np.concatenate([call(list(range(at, min(at + batch, count)))) for at in range(0, count, batch)])
        one = _timed(lambda i: call([i % count]), job["rounds"], job["seconds"])
        many = _timed(lambda i: call([(i * batch + k) % count for k in range(batch)]), job["rounds"], job["seconds"])
    finally:
        os.chdir(before)
    return {
        "probabilities": found,
        "labels": list(names["labels"]),
        "one": one,
        "many": many,
        "machine": _machine(),
        "thriftune": any(name.split(".")[0] == "thriftune" for name in sys.modules),
    }


def _timed(call: Any, rounds: int, seconds: float) -> list[float]:
    """Seconds of each call: so many, fewer where they take longer than `seconds` together, never fewer than three."""
    for index in range(WARM):
        call(index)
    taken: list[float] = []
    while len(taken) < rounds and (len(taken) < 3 or sum(taken) < seconds):
        start = time.perf_counter()
        call(len(taken))
        taken.append(time.perf_counter() - start)
    return taken


def _machine() -> str:
    said = [_processor()]
    if "torch" in sys.modules:
        said.append(f"{sys.modules['torch'].get_num_threads()} threads of torch")
    for name in PACKAGES:
        if name.replace("-", "_") in sys.modules:
            with contextlib.suppress(PackageNotFoundError):
                said.append(f"{name} {version(name)}")
    return ", ".join(said)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} logical processors)" if names else platform.machine()


if __name__ == "__main__":
    import numpy as np

    place = Path(sys.argv[1])
    done = run(json.loads(place.read_text(encoding="utf-8")))
    np.save(place.with_suffix(".npy"), done.pop("probabilities"))
    place.with_suffix(".done").write_text(json.dumps(done), encoding="utf-8")
