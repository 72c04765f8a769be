"""The commands of docs/tutorial.md work one after another, in a folder with its files."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines() if line.strip()
]
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SMALL = {
    "init": ["--no-probe"],
    "compare": [
        *("--set", "protocol.epochs=1", "--set", "data.limit.train=80"),
        *("--only", "tfidf", "--only", "head_only*", "--only", "top_layers*"),
    ],
}
"""What makes a command quick; all else is as the page has it."""


def test_the_page_has_commands_for_each_step() -> None:
    assert [shlex.split(line)[1] for line in COMMANDS] == [
        *("doctor", "init", "compare", "recommend", "recommend", "predict", "evaluate"),
    ]
    assert len(PYTHON) == 1


def test_the_files_are_what_the_page_says() -> None:
    with (DOCS / "tutorial" / "questions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert f"{len(rows)} questions" in PAGE
    assert len(Counter(row["category"] for row in rows)) == 8
    with (DOCS / "tutorial" / "new-questions.csv").open(encoding="utf-8") as file:
        new = list(csv.DictReader(file))
    assert set(new[0]) == {"ticket", "text"}
    with (DOCS / "tutorial" / "checked-questions.csv").open(encoding="utf-8") as file:
        checked = list(csv.DictReader(file))
    texts = [{row["text"] for row in each} for each in (rows, new, checked)]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert f"{len(checked)} further questions" in PAGE


@pytest.mark.slow
def test_the_commands_work(tmp_path: Path) -> None:
    for path in (DOCS / "tutorial").glob("*.csv"):
        shutil.copy(path, tmp_path)
    variables = os.environ | {"COLUMNS": "160"}
    said = {}
    for line in COMMANDS:
        _, name, *rest = shlex.split(line)
        if name == "compare":
            rest = rest[: rest.index("--without")]
        command = [sys.executable, "-m", "thriftune", name, *rest, *SMALL.get(name, [])]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        said[name] = done.stdout + done.stderr
    assert '"category" is the label' in said["init"]
    assert (tmp_path / "results" / "report.html").exists()
    with (tmp_path / "labelled.csv").open(encoding="utf-8") as file:
        labelled = list(csv.DictReader(file))
    assert [row["ticket"] for row in labelled] == [str(number) for number in range(1001, 1025)]
    assert all(row["predicted"] for row in labelled)
    assert "of 80 rows" in said["evaluate"]
    (tmp_path / "use.py").write_text(PYTHON[0], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "use.py"], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split(",")) == 2
