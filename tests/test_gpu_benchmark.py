"""benchmarks/gpu.sh: every line of it on a CPU, and with little installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "gpu.json"
sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu  # noqa: E402
import gpu_model  # noqa: E402
import gpu_row  # noqa: E402

ABSENT = (
    "altair cleanlab datasets jinja2 pandas platformdirs polars pyarrow pydantic pynvml rich scipy"
    " sentencepiece sklearn typer vl_convert"
)
"""This package's libraries that none of torch, transformers, peft and safetensors brings along."""


def test_it_needs_no_further_library(tmp_path: Path) -> None:
    """A row of it, with the graphs' stand-in, in a process that finds none of the others."""
    request = {"row": "DistilBERT top 1", "folder": str(tmp_path), "until": time() + 120, "smoke": True}
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT.split()!r}))\n"
        f"import gpu, gpu_row; sys.argv[1:] = [{json.dumps(request)!r}]; gpu_row.main()"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'benchmarks'}"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["loss_difference"] < 1e-5
    assert found["samples_per_second"] > 0
    assert found["without_graphs_samples_per_second"] > 0
    assert found["notes"] == []


def job(tmp_path: Path, name: str, seconds: float = 60) -> Any:
    return gpu_row.Job(gpu_row.BY_NAME[name], tmp_path, time() + seconds, smoke=True)


def test_a_row_whose_losses_disagree_has_no_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = gpu_row.checked_losses
    compared = []

    def off(job: Any, protocol: Any, choose: Any) -> Any:
        losses = honest(job, protocol, choose)
        compared.append(losses)
        return losses * (1.002 if protocol.padding == "none" else 1.0)

    monkeypatch.setattr(gpu_row, "checked_losses", off)
    found = gpu_row.measured(job(tmp_path, "BERT-base LoRA"))
    assert "samples_per_second" not in found
    assert "differ from the eager reference" in found["reason"]
    assert [len(losses) for losses in compared] == [50, 50]
    assert all(losses.min() > 0.3 and np.ptp(losses) > 0.01 for losses in compared), "losses that say something"


def test_a_row_that_runs_out_of_time_says_so(tmp_path: Path) -> None:
    with gpu_row.surroundings(True):
        found = gpu_row.speed(job(tmp_path, "BERT-base top 2", seconds=-1))
    assert found["reason"].startswith("not measured: the time was up")
    assert "samples_per_second" not in found


def test_the_checked_steps_see_the_same_texts(tmp_path: Path) -> None:
    examples = gpu_model.texts_of(job(tmp_path, "BERT-base top 2"), 200)
    batches = [np.array([7, 3]), np.array([11])]
    chosen, renumbered = gpu_model.first_texts(examples, batches)
    for old, new in zip([7, 3, 11], np.concatenate(renumbered), strict=True):
        theirs = slice(*examples.tokens.offsets[[old, old + 1]])
        mine = slice(*chosen.tokens.offsets[[new, new + 1]])
        assert (chosen.tokens.ids[mine] == examples.tokens.ids[theirs]).all()
        assert chosen.labels[new] == examples.labels[old]
    assert [len(batch) for batch in renumbered] == [2, 1]


def test_shapes_are_the_published_ones() -> None:
    parameters = {}
    for name in ("bert", "distilbert", "deberta"):
        with torch.device("meta"):
            network = gpu_model.AutoModel.from_config(gpu_model.config_of(name, smoke=False))
        parameters[name] = sum(p.numel() for p in network.parameters()) / 1e6
    assert parameters["bert"] == pytest.approx(109.5, abs=0.1)
    assert parameters["distilbert"] == pytest.approx(66.4, abs=0.1)
    assert parameters["deberta"] == pytest.approx(1565, abs=5)


def test_without_a_gpu_rows_say_that_they_were_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "gpu.json")])
    assert gpu.main() == 0
    rows = gpu.read(tmp_path / "gpu.json")
    assert len(rows) == 6
    assert all(row["reason"] == "not measured: torch sees no GPU here" for row in rows.values())
    known = {**rows["BERT-base LoRA"], "samples_per_second": 3000.0, "reason": None}
    gpu.write(tmp_path / "gpu.json", [known])
    assert gpu.main() == 0
    assert gpu.read(tmp_path / "gpu.json")["BERT-base LoRA"] == known, "figures that are there stay"
    assert len(gpu.read(tmp_path / "gpu.json")) == 6


def test_rows_without_time_are_skipped_with_a_reason(tmp_path: Path) -> None:
    row = gpu.measured(replace(gpu.BY_NAME["BERT-base LoRA"]), str(tmp_path), time() + 5, smoke=True)
    assert row["samples_per_second"] is None
    assert row["reason"].startswith("not measured: ")
    assert "of 50 seconds were left" in row["reason"]


def test_the_committed_results_are_measured_or_say_why_not() -> None:
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    assert [row["row"] for row in rows] == list(gpu.BY_NAME)
    for row in rows:
        assert (row["samples_per_second"] is None) == bool(row["reason"])
        assert not row.get("smoke")
        assert row["samples_per_second"] is None or "gpu" in row["machine"]


@pytest.mark.slow
def test_the_script_runs_every_row(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    environment = {**os.environ, "PYTHON": sys.executable}
    command = [str(ROOT / "benchmarks" / "gpu.sh"), "--smoke", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert all(row["reason"] is None and row["samples_per_second"] > 0 and row["smoke"] for row in rows)
    assert all((row["study_setting_samples_per_second"] is None) == ("BERT-base" not in row["row"]) for row in rows)
