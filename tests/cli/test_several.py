"""`thriftune compare` of several studies, and its options for a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commands import run

from thriftune.cli import several

STUDY = "name: {}\ndata: {{source: reviews.csv, text: review, label: mood}}\nmodels: [m]\nmethods: [lora]\n"


class Process:
    """A study's process that prints what it was called with, and ends with a code of its own."""

    started: list[list[str]]
    codes: dict[str, int]

    def __init__(self, arguments: list[str], **options: Any) -> None:
        import io

        self.started.append(arguments)
        self.code = self.codes.get(arguments[4], 0)
        self.stdout, self.stderr = io.StringIO(f"Take {arguments[4]}\n"), io.StringIO("1 run\n\n")

    def wait(self) -> int:
        return self.code


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(STUDY.format(f"Study {name}"), encoding="utf-8")
    (tmp_path / "reviews.csv").write_text("review,mood\ngood,yes\nbad,no\n")
    found: list[list[str]] = []
    made = type("Made", (Process,), {"started": found, "codes": {"b.yaml": 1}})
    monkeypatch.setattr(several.subprocess, "Popen", made)
    return found


def test_each_has_a_process(started: list[list[str]]) -> None:
    options = ["--ray", "auto", "--ray-retries", "5", "--set", "seeds=[0,1]", "--only", "lora"]
    result = run("compare", "a.yaml", "b.yaml", "--out", "all", *options)
    assert result.exit_code == 1, result.output
    assert [words[3:5] for words in started] == [["compare", "a.yaml"], ["compare", "b.yaml"]]
    given = started[1][5:]
    assert given[-4:] == ["--ray", "auto", "--out", "all/Study-b"]
    for pair in (["--ray-retries", "5"], ["--set", "seeds=[0,1]"], ["--only", "lora"]):
        assert given[given.index(pair[0]) : given.index(pair[0]) + 2] == pair
    assert given.count("--ray") == 1
    assert "Study-a: 1 run" in result.output
    assert result.stdout.index("Take a.yaml") < result.stdout.index("Take b.yaml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.yaml", "b.yaml"], "give --ray as well"),
        (["a.yaml", "a.yaml", "--ray", "auto"], "both called"),
        (["a.yaml", "reviews.csv", "--ray", "auto"], "is data"),
        (["a.yaml", "c.yaml", "--ray", "auto"], "c.yaml"),
        (["a.yaml", "b.yaml", "--ray", "auto", "--workers", "2"], "give one of them"),
        (["a.yaml", "--ray-threads", "2"], "give --ray as well"),
        (["a.yaml", "--ray", " "], "names no cluster"),
        (["a.yaml", "--ray", "auto", "--ray-threads", "0"], "1 or more"),
        (["a.yaml", "--ray", "auto", "--ray-wait", "soon"], "no amount of time"),
    ],
)
def test_what_cannot_be(started: list[list[str]], words: list[str], said: str) -> None:
    result = run("compare", *words)
    assert result.exit_code == 2
    assert said in result.output.replace("\n", " ")
    assert not started
    assert not [path for path in Path().iterdir() if path.is_dir()]


def test_the_cluster_reaches_the_study(
    started: list[list[str]], executed: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from thriftune import comparison

    executed("done")
    seen: list[Any] = []
    stand_in = comparison.compare_and_analyse

    def noted(*given: Any, ray: Any = None, **options: Any) -> Any:
        seen.append(ray)
        return stand_in(*given, **options)

    monkeypatch.setattr(comparison, "compare_and_analyse", noted)
    assert run("compare", "a.yaml", "--ray", "local", "--ray-wait", "2min").exit_code == 0
    assert (seen[0].address, seen[0].threads, seen[0].retries, seen[0].wait_seconds) == ("local", None, 3, 120.0)
    assert not started
