"""From a data file to the page in one command, and again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commands import run
from tests.cli.conftest import REVIEWS

from thriftune.cli.data_study import is_data, is_results
from thriftune.paths import source_name
from thriftune.study.file.config import load_study


@pytest.mark.parametrize("arguments", [("init", "reviews.csv", "--run"), ("compare", "reviews.csv")])
def test_a_file_goes_straight_to_the_page(here: Path, executed: Callable[[Any], None], arguments: Any) -> None:
    executed("done")
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    for said in ('"review" is the text', "- Time: about ", "Report: results-reviews/report.html"):
        assert said in first.stdout
    path = here / "reviews.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("seeds: [0]", "seeds: [3]"), encoding="utf-8")
    edited = path.read_bytes()
    again = run(*arguments)
    assert again.exit_code == 0, again.output
    assert "reviews.yaml is there already: going on with it as it is." in again.stdout
    assert path.read_bytes() == edited
    assert load_study(path).seeds == (3,)


def test_where_files_go(here: Path, executed: Callable[[Any], None]) -> None:
    executed("done")
    result = run("init", "reviews.csv", "--run", "--out", "a.yaml", "--results", "there")
    assert result.exit_code == 0, result.output
    assert "Report: there/report.html" in result.stdout
    assert load_study(here / "a.yaml").data.source == "reviews.csv"
    assert "Report: here/report.html" in run("compare", "reviews.csv", "--out", "here").stdout


def test_columns_of_a_file_that_compare_is_given(here: Path, executed: Callable[[Any], None]) -> None:
    executed("done")
    rows = "".join(f"title {i},body number {i},{i % 3},{i % 2}\n" for i in range(40))
    (here / "a.csv").write_text(f"title,body,label,lang\n{rows}", encoding="utf-8")
    assert run("compare", "a.csv", "--text", "title", "--label", "lang").exit_code == 0
    assert load_study(here / "a.yaml").data.text == ("title",)
    other = run("compare", "a.csv", "--text", "body")
    assert (other.exit_code, "has the text title" in other.stderr) == (2, True)
    study = run("compare", "a.yaml", "--text", "body")
    assert (study.exit_code, "--text and --label are for data files" in study.stderr) == (2, True)


def test_a_study_file_about_other_data_is_not_taken(here: Path, executed: Callable[[Any], None]) -> None:
    executed("done")
    (here / "b").mkdir()
    (here / "b" / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    assert run("compare", "reviews.csv").exit_code == 0
    before = (here / "reviews.yaml").read_bytes()
    result = run("compare", "b/reviews.csv")
    assert (result.exit_code, "is about other data (reviews.csv)" in result.stderr) == (2, True)
    assert (here / "reviews.yaml").read_bytes() == before
    assert run("init", "reviews.csv").exit_code == 2


def test_a_folder_and_one_of_its_splits_are_the_same_data(here: Path, executed: Callable[[Any], None]) -> None:
    executed("done")
    (here / "data").mkdir()
    for name in ("train", "test"):
        rows = "".join(f"{name} text {i},{'xy'[i % 2]}\n" for i in range(60))
        (here / "data" / f"{name}.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    assert run("compare", "data/train.csv").exit_code == 0
    assert run("compare", "data/train.csv").exit_code == 0
    assert run("compare", "data").exit_code == 0
    assert run("compare", "data").exit_code == 0


def test_an_interrupt_keeps_the_study_file(here: Path, executed: Callable[[Any], None]) -> None:
    executed(KeyboardInterrupt())
    result = run("compare", "reviews.csv")
    assert (result.exit_code, "the same command resumes" in result.stderr) == (130, True)
    load_study(here / "reviews.yaml")


def test_a_results_folder_goes_on_with_its_study(here: Path, executed: Callable[[Any], None]) -> None:
    executed("done")
    run("init", "reviews.csv")
    folder = here / "out"
    (folder / "runs").mkdir(parents=True)
    (folder / "study.yaml").write_bytes((here / "reviews.yaml").read_bytes().replace(b"reviews.csv", b"../reviews.csv"))
    result = run("compare", "out", "--set", "seeds=[1]")
    assert result.exit_code == 0, result.output
    assert "Report: out/report.html" in result.stdout
    assert run("compare", "out", "--set", "seedz=1").exit_code == 2


def test_what_is_data(here: Path) -> None:
    for name in ("a.csv", "a.XLSX", "a.jsonl.gz", "hub:owner/name", "demo:snli", "."):
        assert is_data(name), name
    for name in ("a.yaml", "a.yml", "study", "nothing.conf"):
        assert not is_data(name), name
    assert not is_results(here)
    assert [source_name(each) for each in ("x/a.csv.gz", "hub:owner/name", "demo:snli", ".")] == [
        *("a", "name", "demo-snli"),
        here.name,
    ]


def test_results_without_run_say_that_they_have_no_effect(here: Path) -> None:
    result = run("init", "reviews.csv", "--results", "x")
    assert (result.exit_code, "--results has no effect without --run" in result.stderr) == (2, True)
    assert not (here / "reviews.yaml").exists()
