"""Planted label errors: how many of them the report's panel finds, and how much of its list they are.

    python benchmarks/label_errors.py OUT

OUT is a finished study on demo:snli with fine-tuned runs, for example of
    thriftune compare studies/demo.yaml --out OUT --set 'data.limit={}' \\
        --set 'methods=[{top_layers: {layers: 2}}, lora, full]'
5% of its test labels are changed at random, 20 times over; the models never saw them. Real label errors of SNLI count
against the precision.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from compare import save, table

from thriftune.analysis.findings import predictions
from thriftune.analysis.panels.data.label_errors import find, good_runs
from thriftune.results.store import Store

SHARE = 0.05
REPEATS = 20
BARS = {"recall": 0.6, "precision": 0.3}


def main() -> None:
    """Measures every group of runs, prints a table and writes benchmarks/results/label_errors.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    results = Store(args.out).load()
    runs = good_runs(results)
    groups = [runs] if len(runs) == 1 else [runs, *([run] for run in runs)]
    rows = []
    for group in groups:
        read = [predictions.read(results, run) for run in group]
        label = read[0].label
        probabilities = [each.probabilities for each in read if each.probabilities is not None]
        trials = [trial(label, probabilities, len(results.labels), seed) for seed in range(REPEATS)]
        rows.append(
            {
                "runs": " + ".join(run.name for run in group),
                "texts": len(label),
                "accuracy": float(np.mean([run.test.accuracy for run in group if run.test])),
                **{f"{key}_{name}": float(at(values)) for key, values in columns(trials).items() for name, at in SPANS},
            }
        )
    shown = {"runs": "", "texts": ",", "accuracy": ".3f", "flagged_mean": ".0f"}
    shown |= {f"{key}_{name}": ".3f" for key in ("recall", "precision", "head_precision") for name in ("mean", "low")}
    print(table(rows, shown))
    print(f"Bars, all runs together: {BARS}; head: precision of the list's head that holds 60% of the changed labels.")
    print(save("label_errors", {"share": SHARE, "repeats": REPEATS, "bars": BARS}, rows))


SPANS = (("mean", np.mean), ("low", np.min), ("high", np.max))


def trial(label: np.ndarray, probabilities: list[np.ndarray], classes: int, seed: int) -> dict[str, float]:
    """Changes a share of the labels and looks for them."""
    rng = np.random.default_rng(seed)
    changed = np.zeros(len(label), dtype=bool)
    changed[rng.choice(len(label), round(SHARE * len(label)), replace=False)] = True
    given = np.where(changed, (label + rng.integers(1, classes, len(label))) % classes, label)
    found = find(given, probabilities)
    listed = found.flagged
    order = np.argsort(found.quality)
    head = np.searchsorted(np.cumsum(changed[order]), BARS["recall"] * changed.sum()) + 1
    return {
        "flagged": float(listed.sum()),
        "recall": float(listed[changed].mean()),
        "precision": float(changed[listed].mean()),
        "head_precision": float(changed[order[:head]].mean()),
    }


def columns(trials: list[dict[str, float]]) -> dict[str, Any]:
    """The trials' figures by name."""
    return {key: [each[key] for each in trials] for key in trials[0]}


if __name__ == "__main__":
    main()
