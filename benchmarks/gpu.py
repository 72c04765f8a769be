"""Training speed and memory on one GPU, against the published study: `benchmarks/gpu.sh`.

    benchmarks/gpu.sh                      # all rows, under 9 minutes; writes benchmarks/results/gpu.json
    benchmarks/gpu.sh --rows "BERT-base top 2"
    benchmarks/gpu.sh --smoke --out /tmp/gpu.json   # every line of it with tiny models, on a CPU

Needs torch, transformers, peft, safetensors and numpy, and no network. Every row runs in a process of its own. First
50 losses without dropout are compared with transformers' eager forward on padded batches; where they differ by more
than 1e-3 the row reports no speed. Rows that no time is left for are skipped and say so. Without a GPU the rows that
were never measured are written as "not measured"; figures that are there stay. The exit status is 0 in all these
cases, and 1 where a row failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from compare import RESULTS, machine, said_by, table
from gpu_rows import BY_NAME, EPOCHS, HEAD, LORA, Row

BUDGET_SECONDS = 510.0
UNKNOWN = {
    "samples_per_second": None,
    "peak_gb": None,
    "loss_difference": None,
    "prefix_seconds": None,
    "prefix_host_gb": None,
    "without_graphs_samples_per_second": None,
    "study_setting_samples_per_second": None,
    "study_setting_peak_gb": None,
    "reason": None,
}
COLUMNS = {
    "row": "",
    "samples_per_second": ",.0f",
    "samples_bar": ",.0f",
    "published_samples": ",.0f",
    "without_graphs_samples_per_second": ",.0f",
    "study_setting_samples_per_second": ",.0f",
    "peak_gb": ".3f",
    "gb_bar": ".2f",
    "published_gb": ".3f",
}


def main() -> int:
    """Measures row by row; the file is whole after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(BY_NAME), choices=list(BY_NAME), metavar="ROW")
    parser.add_argument("--seconds", type=float, default=BUDGET_SECONDS, help="time for everything (%(default)g)")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json")
    parser.add_argument("--smoke", action="store_true", help="tiny models on a CPU, to see that it runs")
    args = parser.parse_args()
    if args.smoke and args.out == RESULTS / "gpu.json":
        parser.error("--smoke measures nothing: give --out, so that the results file stays as it is")
    until = time.time() + args.seconds
    rows = {name: blank(BY_NAME[name], "not measured") for name in BY_NAME} | read(args.out)
    if not torch.cuda.is_available() and not args.smoke:
        reason = "not measured: torch sees no GPU here"
        rows |= {name: blank(BY_NAME[name], reason) for name in args.rows if not is_measured(rows[name])}
        write(args.out, list(rows.values()))
        print(f"{reason}. Rows without figures say so in {args.out}.")
        return 0
    failed = False
    with tempfile.TemporaryDirectory(prefix="thriftune-gpu-") as folder:
        for name in args.rows:
            rows[name] = measured(BY_NAME[name], folder, until, args.smoke)
            failed = failed or rows[name].pop("failed", False)
            write(args.out, list(rows.values()))
            print(f"{name}: {rows[name]['reason'] or 'measured'}", flush=True)
    print(table([rows[name] for name in args.rows], COLUMNS))
    print(args.out)
    return int(failed)


def blank(row: Row, reason: str) -> dict[str, Any]:
    """A row without figures."""
    return {
        "row": row.name,
        "batch_size": row.batch_size,
        "samples_bar": row.samples_bar,
        "gb_bar": row.gb_bar,
        "published_samples": row.published_samples,
        "published_gb": row.published_gb,
        **UNKNOWN,
        "reason": reason,
    }


def measured(row: Row, folder: str, until: float, smoke: bool) -> dict[str, Any]:
    """A row's figures from a process of its own, or why there are none."""
    left = until - time.time()
    if left < row.needs_seconds:
        return blank(row, f"not measured: {left:.0f} of {row.needs_seconds:.0f} seconds were left")
    request = {"row": row.name, "folder": folder, "until": until, "smoke": smoke}
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "gpu_row.py"), json.dumps(request)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=left + 10)
    except subprocess.TimeoutExpired:
        return blank(row, f"not measured: it was not done after {left:.0f} seconds")
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {**blank(row, f"not measured: it failed: {last}"), "failed": True}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**blank(row, ""), "reason": None, **found, "smoke": smoke, "machine": gpu_machine()}


def gpu_machine() -> dict[str, Any]:
    """Hardware, versions and commit."""
    here = machine() | {name: version(name) for name in ("safetensors", "numpy")}
    if not torch.cuda.is_available():
        return here
    properties = torch.cuda.get_device_properties(0)
    return here | {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "capability": f"{properties.major}.{properties.minor}",
        "driver": said_by("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def is_measured(row: dict[str, Any]) -> bool:
    """Whether a row has figures."""
    return row["samples_per_second"] is not None


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The rows that a file has, by name."""
    if not path.exists():
        return {}
    return {row["row"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"] if row["row"] in BY_NAME}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes all rows, whole or not at all; each measured one carries the machine that it was measured on."""
    settings = {
        "precision": "float32",
        "head": {"type": HEAD.type, "dropout": HEAD.dropout},
        "lora": LORA,
        "epochs": EPOCHS,
        "samples_per_second": "training steps, median of the epochs but the first; the prefix is computed before",
        "peak_gb": "torch.cuda.max_memory_allocated over all steps, 1 GB = 1e9 bytes; the prefix lies on the host",
        "weights_and_tokens": "random; lengths of SNLI's validation pairs",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
