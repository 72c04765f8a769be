"""Installs the built wheel as a stranger would, and runs it: the demo in a small form, a prediction, doctor.

python tools/check_package.py dist/thriftune-*.whl    into an empty environment, outside of the repository
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
SMALL = (
    "protocol.epochs=1",
    "data.limit={train: 96, validation: 64, test: 64}",
    "robustness={}",
)
RUNS = ("majority", "tfidf", "head_only*", "lora r8 top 2")


def main(arguments: list[str]) -> int:
    """Raises CalledProcessError where a step fails."""
    wheel = Path(arguments[0]).resolve()
    with tempfile.TemporaryDirectory(prefix="thriftune-package-") as name:
        folder = Path(name)
        began = time.monotonic()
        python = install(wheel, folder / "environment")
        say("installed", began)
        began = time.monotonic()
        use(python, folder)
        say("demo, prediction and doctor", began)
    return 0


def install(wheel: Path, folder: Path) -> Path:
    """An environment of nothing but the wheel, its demo and what they need; returns its Python."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(CONSTRAINTS), f"{wheel}[demo]"], check=True, cwd=folder)
    return python


def use(python: Path, folder: Path) -> None:
    """What a stranger tries first, in a folder of their own; each result is looked at."""
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "THRIFTUNE_KERNELS")}
    variables |= {"THRIFTUNE_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    there = folder / "work"
    there.mkdir()

    def thriftune(*words: str) -> str:
        command = [str(python.with_name("thriftune")), *words]
        done = subprocess.run(command, cwd=there, env=variables, check=False, text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    where = "import thriftune; print(thriftune.__version__, thriftune.__file__)"
    version, path = subprocess.check_output([str(python), "-c", where], cwd=there, env=variables, text=True).split()
    expect(Path(path).is_relative_to(folder), f"thriftune is imported from {path}")
    expect(thriftune("--version").split() == ["thriftune", version], "--version is another than __version__")
    findings = json.loads(thriftune("doctor", "--json"))["findings"]
    expect(all(each["state"] != "fails" for each in findings), str(findings))
    small = [word for setting in SMALL for word in ("--set", setting)]
    thriftune("compare", "--out", "demo", *small, *(word for run in RUNS for word in ("--only", run)))
    results = json.loads((there / "demo" / "results.json").read_text(encoding="utf-8"))
    states = {run["name"]: run["status"] for run in results["runs"]}
    expect(len(states) >= len(RUNS) and set(states.values()) == {"done"}, str(states))
    expect("<html" in (there / "demo" / "report.html").read_text(encoding="utf-8"), "the report is no page")
    (there / "pairs.csv").write_text("premise,hypothesis\nA man sleeps.,A person rests.\n", encoding="utf-8")
    thriftune("predict", "demo:lora r8 top 2", "pairs.csv", "--out", "labelled.csv")
    with (there / "labelled.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    expect(row["predicted"] in ("entailment", "neutral", "contradiction"), str(row))


def expect(truth: bool, otherwise: str) -> None:
    """Ends the program with a message unless something holds."""
    if not truth:
        raise SystemExit(otherwise)


def say(what: str, began: float) -> None:
    """What was done, and how long it took."""
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
