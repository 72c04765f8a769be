"""How far results differ where the output of frozen layers is kept as bf16 instead of float32.

    python benchmarks/rounded.py

Runs of each method on the bundled pairs, the same but for `protocol.prefix`: test accuracy, answers that differ, and
the largest and mean distance between probabilities; seeds apart, for what a difference is to be held against.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from compare import save

from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.study.execute import compare
from thriftune.study.file.config import study_from_dict

METHODS = {"top_layers": {"layers": 2}, "lora": {"layers": "top 2"}, "head_only": {}}


def main() -> None:
    """Measures, prints and writes benchmarks/results/rounded.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=3000, help="to train on")
    parser.add_argument("--test", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    runs = [
        {
            "name": f"{name} {kind} {seed}",
            "model": "demo:minilm",
            "method": {name: settings},
            "seed": seed,
            "protocol": {"prefix": kind},
        }
        for name, settings in METHODS.items()
        for seed in range(args.seeds)
        for kind in ("fp32", "bf16")
    ]
    data = {"source": "demo:snli", "text": ["premise", "hypothesis"], "limit": {"train": args.texts, "test": args.test}}
    with tempfile.TemporaryDirectory(prefix="rounded-") as folder:
        study = study_from_dict(
            {"name": "rounded", "data": data, "protocol": {"epochs": 2}, "runs": runs}, Path(folder)
        )
        results = compare(study, Path(folder) / "out")
        rows = []
        for name in METHODS:
            for seed in range(args.seeds):
                whole, rounded = (_run(results, f"{name} {kind} {seed}") for kind in ("fp32", "bf16"))
                rows.append({"method": name, "seed": seed, **_differ(results, whole, rounded)})
            if args.seeds > 1:
                first, second = (_run(results, f"{name} fp32 {seed}") for seed in (0, 1))
                rows.append({"method": name, "seed": "0 against 1, fp32", **_differ(results, first, second)})
    for row in rows:
        print(row)
    print(save("rounded", vars(args), rows))


def _run(results: Results, name: str) -> RunRecord:
    run = next(run for run in results.runs if run.name == name)
    assert run.status == "done", run.message
    return run


def _differ(results: Results, one: RunRecord, other: RunRecord) -> dict[str, float]:
    frames = [results.predictions(run) for run in (one, other)]
    columns = [name for name in frames[0].columns if name.startswith("p_")]
    first, second = (frame[columns].to_numpy() for frame in frames)
    assert one.test is not None
    assert other.test is not None
    return {
        "accuracy": one.test.accuracy,
        "other_accuracy": other.test.accuracy,
        "answers_that_differ": float((frames[0]["predicted"] != frames[1]["predicted"]).mean()),
        "largest_distance": float(np.abs(first - second).max()),
        "mean_distance": float(np.abs(first - second).mean()),
    }


if __name__ == "__main__":
    main()
