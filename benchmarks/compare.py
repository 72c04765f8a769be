"""Runs both arms in alternating fresh processes and gathers medians, ratios and the machine they ran on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NOT_RESULTS = ":(exclude,top)benchmarks/results"


def run(request: dict[str, Any], variables: Mapping[str, str] | None = None) -> dict[str, float]:
    """One job in a fresh process, with further environment variables; raises `CalledProcessError` where it fails."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "arms.py"), json.dumps(request)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(variables or {})},
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    out: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return out


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def machine() -> dict[str, Any]:
    """Hardware, versions, commit and date that a result belongs to."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": processor or platform.processor(),
        "processors": os.cpu_count(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "peft")},
        "commit": said_by("git", "rev-parse", "HEAD"),
        "uncommitted_changes": bool(said_by("git", "status", "--porcelain", "--", ":/", NOT_RESULTS)),
    }


def said_by(*command: str) -> str:
    """What a program prints; nothing where it fails or is not there."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE).stdout.strip()


def save(name: str, settings: dict[str, Any], rows: list[dict[str, Any]]) -> Path:
    """Writes benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "settings": settings, "rows": rows}, indent=1) + "\n")
    return path


def merge(name: str, settings: dict[str, Any], rows: list[dict[str, Any]], keys: tuple[str, ...]) -> Path:
    """Writes rows into benchmarks/results/NAME.json in place of this processor's with the same keys; the others stay.

    Each row carries the machine and the settings that it was measured with.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    here = machine()
    new = [{**row, "settings": settings, "machine": here} for row in rows]
    kept = {(row["machine"]["processor"], *(row.get(key) for key in keys)): row for row in (*old, *new)}
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps({"rows": list(kept.values())}, indent=1) + "\n")
    partial.replace(path)
    return path


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Rows as aligned text; `columns` gives each key's format."""
    lines = [[key.replace("_", " ") for key in columns]]
    lines += [
        [format(row[key], spec) if row[key] is not None else "-" for key, spec in columns.items()] for row in rows
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
