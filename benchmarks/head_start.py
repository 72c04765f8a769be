"""Random and solved heads: what a solved start gives each method, at a few and at many epochs.

    python benchmarks/head_start.py BANKING77                    # about an hour on two cores
    python benchmarks/head_start.py BANKING77 --test 100 --epochs 1 --methods head_only

BANKING77 is a folder with train.csv and test.csv (columns text and category). Mean head on demo:minilm, a tenth of the
training rows held out for validation, the same rows for every cell; every method at its default learning rate. Each
cell says accuracy on the test texts, the loss there, the training seconds (the solve included) and the accuracy on
validation after the first epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from compare import merge, table

from thriftune.errors import InputError
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.study.execute import compare
from thriftune.study.file.config import study_from_dict

METHODS: dict[str, dict[str, Any]] = {
    "head_only": {"head_only": {}},
    "top_layers 2": {"top_layers": {"layers": 2}},
    "lora": {"lora": {}},
    "full": {"full": {}},
}
STARTS = ("random", "solved")
COLUMNS = {"method": "", "epochs": "", "start": "", "accuracy": ".3f", "loss": ".3f", "seconds": ".1f", "first": ".3f"}


def main() -> None:
    """Runs a study for each number of epochs, prints a table and writes benchmarks/results/head_start.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=1000, help="training rows")
    parser.add_argument("--test", type=int, default=3080, help="test rows")
    parser.add_argument("--epochs", type=int, nargs="*", default=[5, 15])
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where the studies lie, so that what is done is not done again")
    args = parser.parse_args()
    out = args.out or Path(mkdtemp(prefix="head-start-"))
    rows: list[dict[str, Any]] = []
    for epochs in args.epochs:
        study = study_from_dict(_study(args, epochs), Path.cwd())
        try:
            results = compare(study, out / f"epochs-{epochs}")
        except InputError as error:  # too few rows hold not every intent
            raise SystemExit(str(error)) from error
        rows += [_row(results, run, epochs) for run in results.runs]
        print(table(rows, COLUMNS), flush=True)
    settings = {name: value for name, value in vars(args).items() if name not in ("data", "out")}
    print(merge("head_start", settings, rows, ("method", "epochs", "start")))


def _study(args: argparse.Namespace, epochs: int) -> dict[str, Any]:
    folder = args.data.resolve()
    methods = [
        {name: {**settings, "head_start": start}}
        for each in args.methods
        for name, settings in METHODS[each].items()
        for start in STARTS
    ]
    return {
        "name": "head-start",
        "data": {
            "source": {"train": str(folder / "train.csv"), "test": str(folder / "test.csv")},
            "text": "text",
            "label": "category",
            "split": {"validation": 0.1},
            "limit": {"train": args.rows, "test": args.test},
        },
        "head": {"type": "mean"},
        "protocol": {"epochs": epochs, "batch_size": args.batch, "max_tokens": 64, "device": "cpu"},
        "models": ["demo:minilm"],
        "methods": methods,
        "seeds": [args.seed],
    }


def _row(results: Results, run: RunRecord, epochs: int) -> dict[str, Any]:
    if run.test is None or run.cost is None:
        raise SystemExit(f"{run.name}: {run.status}, {run.message}")
    _, looks = results.history(run)
    layers = f" {run.method['layers']}" if run.method["name"] == "top_layers" else ""
    return {
        "method": run.method["name"] + layers,
        "epochs": epochs,
        "start": run.method["head_start"],
        "accuracy": run.test.accuracy,
        "loss": run.test.loss,
        "seconds": run.cost.train_seconds,
        "first": looks[0].validation_accuracy,
    }


if __name__ == "__main__":
    main()
