"""`thriftune runs`: what a study's folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from thriftune.cli.options import AsJson, ResultsFolder
from thriftune.cli.output import print_json
from thriftune.errors import printable

if TYPE_CHECKING:
    from thriftune.results.store import Results

EXAMPLES = ["thriftune runs results", "thriftune runs results --json"]


def runs(folder: ResultsFolder, as_json: AsJson = False) -> None:
    """List a study's runs: name, status, score, time, size and folder; which one is recommended or promoted."""
    from thriftune.paths import check_folder
    from thriftune.remote.reading import folder_here
    from thriftune.results.store import Store

    folder = folder_here(folder)
    check_folder(folder, "the folder that `thriftune compare --out` wrote")
    results = Store(folder).load()
    document = _document(results)
    if as_json:
        print_json(document)
        return
    from thriftune.terminal import print_table, print_text

    print_table([_row(each, document["metric"]) for each in document["runs"]])
    for each in document["runs"]:
        if each["promoted"]:
            print_text(f"{each['name']} is promoted: predict takes it, and the next comparison keeps it.")
    for refit in document["refits"]:
        typer.echo(printable(f"Refit of {refit['name']}: {refit['folder']} ({', '.join(refit['trained_on'])})"))


def _document(results: Results) -> dict[str, Any]:
    """What --json prints."""
    from thriftune.analysis.findings.deciding import scored, usable, without_use
    from thriftune.analysis.findings.decision import decide
    from thriftune.analysis.findings.runs import training_seconds
    from thriftune.results.models.refitted import Refitted, refits
    from thriftune.use.choose import best_seed
    from thriftune.use.models.best import Best

    store, decision = results.store, decide(results)
    scores = {
        run.run_id: float(score)
        for cell in (*usable(results), *without_use(results))
        for run, score in zip(cell.runs, scored(results)[cell.name].scores, strict=True)
    }
    taken = None if decision.taken is None else best_seed(results, decision.taken.cell.runs).run_id
    best = Best.of(store)

    def entry(run: Any) -> dict[str, Any]:
        own = store.run(run.run_id)
        return {
            "name": run.name,
            "folder": own.path.relative_to(store.path).as_posix() if own.path.exists() else None,
            "status": run.status,
            "message": run.message,
            "score": scores.get(run.run_id, getattr(run.test, decision.metric, None)),
            "seconds": training_seconds(run),
            "stored_bytes": None if run.cost is None else run.cost.stored_bytes,
            "model": own.model_path.is_dir(),
            "recommended": run.run_id == taken,
            "promoted": best is not None and best.promoted and best.run_id == run.run_id,
            "run_id": run.run_id,
        }

    found = [(path, about) for path in refits(store) if (about := Refitted.read(path)) is not None]
    return {
        "study": results.study.name,
        "metric": decision.metric,
        "runs": [entry(run) for run in results.runs],
        "refits": [
            {
                "name": about.name,
                "run_id": about.run_id,
                "folder": path.relative_to(store.path).as_posix(),
                "trained_on": about.trained_on,
                "rows": about.rows,
            }
            for path, about in found
        ],
        "best": None if best is None else {"folder": "best", "name": best.name, "run_id": best.run_id},
    }


def _row(entry: dict[str, Any], metric: str) -> dict[str, str]:
    from thriftune import wording as f
    from thriftune.metrics import METRICS

    about = METRICS[metric]
    score, seconds, stored = entry["score"], entry["seconds"], entry["stored_bytes"]
    marks = [mark for mark in ("promoted", "recommended") if entry[mark]]
    written = f.bare_percent if about.kind == "percent" else f.number
    return {
        "Run": entry["name"],
        "Status": ", ".join([entry["status"].replace("_", " "), *marks]),
        about.short: "–" if score is None else written(score),
        "Time": "–" if seconds is None else f.short_seconds(seconds),
        "Stored": "–" if stored is None else f.short_size(stored),
        "Folder": entry["folder"] or "–",
    }
