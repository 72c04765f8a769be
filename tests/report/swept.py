"""A synthetic study with what the others lack: depths, batch sizes, a search and crossovers."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

from tests.report.synthetic import Variant, write

from thriftune.results.prediction import AxisPoint
from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch, StudySearch, Trial
from thriftune.results.store import Store


def write_swept(out: Path) -> Store:
    """Two methods at two depths each, one of them with two batch sizes, both searched, costs that cross."""
    store = write(out, Variant(texts=300, troubled=False, baselines=False, columns=("text",)))
    study = store.load().study
    run = study.runs[0]
    grid = [_copied(store, run, name, layers, size) for name, layers, size in CELLS]
    store.write_results(replace(study, runs=grid, study={"name": "swept", "search": {"trials": 2}}))
    trials = [
        Trial(n, n, {"learning_rate": n / 1e3}, "complete", 0.7 + n / 10, None, 2.0, 10, 1.0, 2.0, 0.5) for n in (1, 2)
    ]
    space = {"learning_rate": [0.001, 0.01]}
    cells = [
        CellSearch(each.cell, each.model, each.method, "key", space, "accuracy", trials)  # type: ignore[arg-type]
        for each in grid[:2]
    ]
    store.write_search(StudySearch(2, None, "median", 0, cells))
    points = [
        AxisPoint("tokens", name, x, f"{x} tokens", round(fixed + slope * x), 1e9)
        for name, fixed, slope in (("lora", 15e6, 1e5), ("top_layers", 9e7, 5e4))
        for x in (64, 1024, 16384)
    ]
    crossovers = {"setting": "One model.", "axes": {"tokens": {"points": [asdict(point) for point in points]}}}
    store.crossovers_path.write_text(json.dumps(crossovers), encoding="utf-8")
    return store


CELLS = [("lora", 1, 8), ("lora", 1, 32), ("lora", 2, 32), ("top_layers", 1, 32), ("top_layers", 2, 32)]


def _copied(store: Store, run: RunRecord, name: str, layers: int, size: int) -> RunRecord:
    assert run.cost is not None
    cell = f"{name} {layers} batch {size}"
    made = replace(
        run,
        run_id=cell.replace(" ", "-"),
        name=cell,
        cell=cell,
        method={"name": name, "layers": layers},
        protocol=run.protocol | {"batch_size": size},
        cost=replace(run.cost, gradient_layers=layers, peak_memory_bytes=1000 * layers * size),
    )
    shutil.copytree(store.run(run.run_id).path, store.run(made.run_id).path)
    store.run(made.run_id).write_record(made)
    return made
