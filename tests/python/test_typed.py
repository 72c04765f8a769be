"""A user's script that `mypy --strict` has nothing to say about."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
from pathlib import Path

import numpy as np
import polars as pl

import thriftune
from thriftune import Advice, Classifier, Estimates, InputError, Proposed, Question, Results, Study
from thriftune.sklearn import ThriftuneClassifier


def compared(frame: pl.DataFrame) -> Results:
    proposed: Proposed = thriftune.propose(frame, "out", text="text", label="label")
    study: Study = proposed.study
    estimates: Estimates = thriftune.estimate(study, Question(probe=False))
    print([each.predicted.peak_memory_bytes for each in estimates])
    return thriftune.compare(frame, Path("out"), text=["text"], methods=["lora", {"full": {}}], seeds=[0, 1])


def used(results: Results) -> list[str]:
    advice: Advice = thriftune.recommend(results, memory="8GB", time="10min")
    table: pl.DataFrame = results.table()
    print(advice.method, table.height, results.chart("cost").svg)
    if results.recommended is not None:
        print(results.recommended.name)
    best: Classifier = results.best()
    probabilities: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = best.predict_proba(["a text"])
    print(probabilities.shape, thriftune.load_results("out").report())
    return best.predict(table["method"])


def fitted(texts: list[str], labels: list[int]) -> float:
    made = ThriftuneClassifier("lora", rank=4, epochs=2).fit(texts, labels)
    try:
        return float(made.predict_proba(texts).max())
    except InputError:
        return 0.0
"""
WRONG = "import thriftune\nthriftune.compare('a.csv', colour='red')\nthriftune.load_results('out').tables()\n"


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text, encoding="utf-8")
    options = ["--strict", "--follow-imports=silent", f"--cache-dir={ROOT / '.mypy_cache' / 'scripts'}"]
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, "script.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "src" / "thriftune" / "py.typed").is_file()


@pytest.mark.slow
def test_a_strict_script(tmp_path: Path) -> None:
    done = checked(tmp_path, SCRIPT)
    assert done.returncode == 0, done.stdout
    wrong = checked(tmp_path, WRONG).stdout
    assert 'Unexpected keyword argument "colour"' in wrong
    assert 'has no attribute "tables"' in wrong
