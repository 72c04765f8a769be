"""What every bad input must meet: exit code 2, one readable message that says why, and nothing written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from thriftune import cli
from thriftune.study.file.yaml_text import dump_yaml

ROWS = "id,text,label,extra\n" + "".join(
    f"{i},text {i} is {mood},{mood},x{i % 3}\n" for i in range(30) for mood in ("good", "bad")
)
LONGEST_MESSAGE = 5_000


def study(**changes: Any) -> dict[str, Any]:
    """A sound study of `tfidf` on reviews.csv, with top-level keys changed; None takes a key out."""
    data = {
        "name": "small",
        "data": {"source": "reviews.csv", "text": ["text"], "split": {"test": 0.2, "validation": 0.2}},
        "methods": ["tfidf"],
    }
    return {key: value for key, value in (data | changes).items() if value is not None}


def transformer_study(model: str = "demo:minilm", **changes: Any) -> dict[str, Any]:
    """The same with `full`."""
    protocol = {"max_tokens": 32, "device": "cpu"}
    return study(models=[model], methods=["full"], protocol=protocol) | changes


def changed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The study with the value at a key path."""
    *above, last = path.split(".")
    place: Any = data
    for key in above:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[int(last) if isinstance(place, list) else last] = value
    return data


def write_study(data: dict[str, Any]) -> None:
    """Writes study.yaml into the working directory."""
    Path("study.yaml").write_text(dump_yaml(data), encoding="utf-8")


def refused(arguments: Sequence[str], fragment: str) -> None:
    """Runs the command in this process and checks how it ends; `fragment` stands in its message."""
    before = _listing()
    result = CliRunner().invoke(cli.app, list(arguments))
    said = result.stderr
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, said
    assert fragment in said, said
    assert "Traceback" not in result.output
    assert all(character.isprintable() or character == "\n" for character in said), repr(said)
    assert len(said) < LONGEST_MESSAGE
    assert _listing() == before


def _listing() -> list[tuple[str, int, int]]:
    found = []
    for folder, folders, files in os.walk("."):
        for name in (*folders, *files):
            status = (Path(folder) / name).lstat()
            found.append((f"{folder}/{name}", status.st_mode, status.st_size))
    return sorted(found)
