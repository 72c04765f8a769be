"""`thriftune compare` with what takes its time left out: a program to be killed (`benchmarks/study_kills.py`)."""

from __future__ import annotations

import sys

PRELOADED = "tests.study.killed"


def quick() -> None:
    """Neither how long a step's parts take is measured, nor what a stored model costs in use."""
    from thriftune.cost.measured import phases, predicting

    phases.ENOUGH_SECONDS, predicting.SECONDS = 0, 0


if __name__ == "__main__":
    from pathlib import Path

    from thriftune.errors import InputError
    from thriftune.study.execute import compare
    from thriftune.study.file.config import load_study
    from thriftune.study.run import process

    process.PRELOADED = [*process.PRELOADED, PRELOADED]
    study, _, out = sys.argv[1:]
    try:
        done = compare(load_study(Path(study)), Path(out))
    except InputError as error:
        sys.exit(str(error))
    sys.exit(any(run.status != "done" for run in done.runs))
elif __name__ == PRELOADED:
    quick()
