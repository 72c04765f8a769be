"""`thriftune runs`, `promote` and `refit` on a folder."""

from __future__ import annotations

import json

from tests.cli.commands import run
from tests.use.copied import copied

from thriftune.use.models.best import Best


def test_runs_are_listed_chosen_and_trained_again() -> None:
    results = copied()
    out = str(results.store.path)
    listed = json.loads(run("runs", out, "--json").stdout)
    assert [each["name"] for each in listed["runs"]] == [each.name for each in results.runs]
    for each in listed["runs"]:
        assert (results.store.path / each["folder"] / "run.json").is_file()
    assert sum(each["recommended"] for each in listed["runs"]) == 1
    assert (listed["best"], listed["refits"]) == (None, [])

    chosen = run("promote", out, "BITFIT")
    assert chosen.exit_code == 0, chosen.output
    assert f"{out}/best holds bitfit" in chosen.stdout
    shown = run("runs", out)
    assert "done, promoted" in shown.stdout
    assert "bitfit is promoted" in shown.stdout
    assert "bitfit-seed0-" in shown.stdout

    again = run("refit", out, "tfidf")
    assert again.exit_code == 0, again.output
    assert "No test score belongs to this model. Expect what the study measured of tfidf: accuracy" in again.stdout
    card = (results.store.refit_path / "tfidf-seed0" / "model" / "README.md").read_text(encoding="utf-8")
    assert "No test score belongs to this model" in card
    assert "Refit of tfidf: refit/tfidf-seed0 (train, validation)" in run("runs", out).stdout
    (results.store.path.parent / "new.csv").write_text("premise,hypothesis\na,b\n", encoding="utf-8")
    new, labelled = (str(results.store.path.parent / name) for name in ("new.csv", "labelled.csv"))
    said = run("predict", f"{out}:refit", new, "--out", labelled)
    assert said.exit_code == 0, said.output
    assert "no test score belongs to it: calibration and what to expect are those of tfidf in the study" in said.stderr
    assert (
        "Predicting with bitfit. bitfit is the run that was promoted."
        in run("predict", out, new, "--out", labelled).stderr
    )

    assert run("promote", out, "--recommended").exit_code == 0
    best = Best.of(results.store)
    assert best is not None
    assert not best.promoted


def test_wrong_requests() -> None:
    results = copied()
    out = str(results.store.path)
    for arguments, said in (
        (("promote", out), "Give a run's name, or --recommended"),
        (("promote", out, "full", "--recommended"), "Give a run's name, or --recommended"),
        (("promote", out, "lora"), "Name one"),
        (("promote", out, "nothing"), "is not known"),
        (("refit", out, "lora"), "Name one"),
        (("runs", f"{out}/runs"), "no results.json"),
        (("runs", f"{out}/nothing"), "not there"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert said in result.stderr, arguments
    assert not results.store.best_path.exists()
