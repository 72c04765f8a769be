"""What it costs to keep a study of many runs together: results.json, leases and status, without any training.

    python benchmarks/coordination.py --runs 1000 --processes 4

Prints seconds: of all writes of results.json by a study of so many runs, as it is written after each of them; of taking
and finishing every run under leases from one folder, by so many processes at once; of one `thriftune status`. Runs are
made up, and take no time. `--folder` tries another file system.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.store import Store
from thriftune.study.board import Board
from thriftune.study.shared.lease import Leases
from thriftune.study.shared.presence import at_work_in
from thriftune.study.shared.standing import study_standing


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path, help="Results folder whose first finished run is taken for all.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="Where to try it; a temporary folder where none is given.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        out = Path(folder) / "out"
        out.mkdir()
        study = Store(args.results).load().study
        first = next(run for run in study.runs if run.status == "done")
        runs = [_named(first, number) for number in range(args.runs)]
        said: dict[str, Any] = {"runs": args.runs, "processes": args.processes}
        said |= results_file(out, study, runs) | leases(out, runs, args.processes) | status(out)
    print(json.dumps(said, indent=1))


def _named(run: RunRecord, number: int) -> RunRecord:
    return replace(run, run_id=f"{number:016x}", name=f"run {number}", cell=f"cell {number // 3}")


def results_file(out: Path, study: StudyResults, runs: list[RunRecord]) -> dict[str, Any]:
    """Puts every run in after the other, as fast as that goes: the worst case, runs without any length."""
    board = Board(Store(out), replace(study, runs=[], statistics={}), [run.name for run in runs])
    for run in runs:
        board.put(replace(run, status="interrupted", test=None, validation=None, cost=None))
    began = time.perf_counter()
    board.write()
    once, writes, always = time.perf_counter() - began, 0, 0.0
    for run in runs:
        board.put(run)
        if board.due:
            board.write()
            writes += 1
            always += board.took
    board.finish()
    return {
        "results_bytes": board.store.results_path.stat().st_size,
        "first_write_seconds": round(once, 4),
        "last_write_seconds": round(board.took, 4),
        "writes": writes,
        "all_seconds": round(time.perf_counter() - began, 2),
        "write_seconds_per_run": round(always / len(runs), 5),
    }


def leases(out: Path, runs: list[RunRecord], processes: int) -> dict[str, Any]:
    """Several processes take and finish all runs."""
    folder = out / ".work" / "shared" / "session"
    folder.mkdir(parents=True)
    keys = [run.run_id for run in runs]
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(processes + 1), context.Queue()
    workers = [context.Process(target=_take_all, args=(out, folder, keys, barrier, queue)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    counts = [queue.get() for _ in workers]
    took = time.perf_counter() - began
    for worker in workers:
        worker.join()
    assert sum(counts) == len(keys), counts
    return {"lease_seconds": round(took, 2), "lease_seconds_per_run": round(took / len(keys), 5), "taken": counts}


def _take_all(out: Path, folder: Path, keys: list[str], barrier: Any, queue: Any) -> None:
    with at_work_in(out, 60.0) as presence:
        own, count = Leases(folder, presence), 0
        barrier.wait()
        while True:
            found = own.standing()  # of each run anew, as where runs take minutes
            lease = next(
                (got for key in keys if key not in found.last and (got := own.take(key, found)) is not None), None
            )
            if lease is None:
                break
            lease.done()
            count += 1
        queue.put(count)
        time.sleep(0.2)


def status(out: Path) -> dict[str, Any]:
    began = time.perf_counter()
    study_standing(out)
    return {"status_seconds": round(time.perf_counter() - began, 3)}


if __name__ == "__main__":
    main()
