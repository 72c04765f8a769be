"""Arguments of every command, and the places where they write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bad_inputs.refusal import refused, study, transformer_study, write_study
from tests.tiny_models import model_folder

LONG = "x" * 300


@pytest.mark.parametrize("command", [["estimate"], ["recommend", "study.yaml"]], ids=str)
@pytest.mark.parametrize(
    "amount",
    ["8XB", "-1GB", "1e999GB", "nan", "inf", "", "0GB", "8", "GB", "1_0GB", "８GB", "8GB\x1b[31m", "9" * 400 + "GB"],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_memory(command: list[str], amount: str) -> None:
    refused([*command, "--memory", amount], "amount of memory")


@pytest.mark.parametrize("amount", ["soon", "-5min", "0s", "nan", "1e9s", "", "5", "1h30m", "9" * 400 + "d"])
def test_time(amount: str) -> None:
    refused(["recommend", "study.yaml", "--time", amount], "amount of time")


@pytest.mark.parametrize("amount", ["0.0000001MB", "99999999999TB"])
def test_amounts_beyond_sense(amount: str) -> None:
    refused(["estimate", "--memory", amount], "is no sensible amount of memory")


ARGUMENTS: list[tuple[list[str], str]] = [
    (["recommend", "study.yaml", "--tasks", "0"], "at least one task"),
    (["recommend", "study.yaml", "--tasks", "9" * 20], "at most 1,000,000,000"),
    (["recommend", "study.yaml", "--tasks", "many"], "--tasks"),
    (["recommend", "nothing"], "There is no nothing"),
    (["recommend", "reviews.csv"], "a study file is a mapping"),
    (["recommend", "/dev/zero"], "/dev/zero is a device"),
    (["recommend", LONG], "it has a name of 300 bytes"),
    (["recommend", "."], "holds no results.json"),
    (["report", "nothing"], "nothing is not there"),
    (["report", "reviews.csv"], "reviews.csv is a file, not a folder"),
    (["report", "pipe"], "pipe is a pipe (FIFO), not a folder"),
    (["report", "/dev/null"], "/dev/null is a device, not a folder"),
    (["report", LONG], "it has a name of 300 bytes"),
    (["report", "."], "holds no results.json"),
    (["report"], "Missing argument"),
    (["methods", "nothing"], 'method "nothing" is not known'),
    (["methods", "nothing.here:Method"], "there is no module nothing"),
    (["methods", "json:dumps"], "is no class that derives from"),
    (["methods", "../full:Full"], "names no code; write package.module:Name"),
    (["methods", "Lora"], 'did you mean "lora"?'),
    (["methods", "base"], 'method "base" is not known'),
    (["methods", "../full"], 'method "../full" is not known'),
    (["methods", "lora\x1b"], 'method "lora\\x1b" is not known'),
    (["methods", "x" * 3_000], "is not known"),
    (["init", "nothing.csv"], "nothing.csv is not found"),
    (["init", ""], "The path is blank"),
    (["init", "pipe"], "pipe is a pipe (FIFO), not a file"),
    (["init", "/dev/zero"], "/dev/zero is a device"),
    (["init", "~nosuchuser/a.csv"], 'there is no user "nosuchuser" here'),
    (["init", f"{LONG}.csv"], "it has a name of 304 bytes"),
    (["init", "a\0.csv"], "it holds a NUL"),
    (["init", "loop.csv"], "Too many levels of symbolic links"),
    (["init", "demo:nothing"], 'The demo dataset "nothing" is not known'),
    (["init", "reviews.csv", "--out", "reviews.csv"], "reviews.csv exists already"),
    (["init", "reviews.csv", "--out", "reviews.csv/study.yaml"], "reviews.csv is a file"),
    (["init", "reviews.csv", "--out", LONG], "it has a name of 300 bytes"),
    (["init", "reviews.csv", "--out", "/dev/null"], "/dev/null exists already"),
    (["init", "reviews.csv", "--out", "/proc/study.yaml", "--no-probe"], "/proc/study.yaml cannot be written"),
    (["init", "reviews.csv", "--out", "dangling"], "dangling exists already"),
    (["crossovers", "--axis", "nothing"], 'axis "nothing" is not known'),
    (["crossovers", "--axis", "tokens", "--batch-size", "0"], "A batch has at least one text"),
    (["crossovers", "--axis", "tokens", "--batch-size", "10000000000"], "A batch has at most 1,000,000 texts"),
    (["crossovers", "--axis", "tokens", "--tokens", "3"], "at least 4 tokens"),
    (["crossovers", "--axis", "tokens", "--tokens", "100000"], "positions for 512"),
    (["crossovers", "--axis", "tokens", "--device", "nothing"], 'Device "nothing" is not known'),
    (["crossovers", "--axis", "tokens", "--model", "nothing"], 'Model "nothing" is not there'),
    (["crossovers", "--axis", "tokens", "--model", ""], "The path is blank"),
    (["crossovers", "--axis", "tokens", "--out", "reviews.csv"], "reviews.csv is a file; --out needs a folder"),
    (["crossovers", "--axis", "tokens", "--out", LONG], "it has a name of 300 bytes"),
    (["nothing"], "No such command"),
    (["compare", "--nothing"], "No such option"),
]


@pytest.mark.parametrize(("arguments", "fragment"), ARGUMENTS, ids=lambda value: str(value)[:60])
def test_arguments(pipe: Path, arguments: list[str], fragment: str) -> None:
    Path("loop.csv").symlink_to("loop.csv")
    Path("dangling").symlink_to("gone")
    refused(arguments, fragment)


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (["--batch-size", "0"], "A batch has at least one text"),
        (["--batch-size", "1000000000000"], "it must be at most 1000000"),
        (["--batch-size", "9" * 5_000], "--batch-size"),
        (["--batch-size", "61"], "A batch of 61 texts is impossible"),
        (["--tokens", "3"], "at least 4 tokens"),
        (["--tokens", "1000000000000"], "it must be at most 1000000"),
        (["--device", "nothing"], 'Device "nothing" is not known'),
        (["--device", "h100\x1b[31m"], 'Device "h100\\x1b[31m" is not known'),
        (["--model", ""], 'models.0: "" is given'),
        (["--model", LONG], "it has a name of 300 bytes"),
        (["--model", "~nosuchuser"], 'there is no user "nosuchuser" here'),
        (["--only", "nothing"], '--only "nothing" matches no run'),
        (["--only", "["], '--only "[" matches no run'),
        (["--without", "*"], "leave no run"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_estimate(options: list[str], fragment: str) -> None:
    write_study(transformer_study(str(model_folder("bert"))))
    refused(["estimate", "study.yaml", "--no-probe", *options], fragment)


def _study_folder() -> None:
    _write("sub/test.parquet")
    Path("sub/study.yaml").mkdir()


OUTPUTS: dict[str, tuple[str, Callable[[], object], str]] = {
    "a file": ("out", lambda: Path("out").touch(), "out is a file; --out needs a folder"),
    "below a file": ("reviews.csv/out", lambda: None, "reviews.csv is a file; --out needs a folder"),
    "a pipe": ("out", lambda: os.mkfifo("out"), "out is a pipe (FIFO); --out needs a folder"),
    "a device": ("/dev/null", lambda: None, "/dev/null is a device; --out needs a folder"),
    "below a device": ("/dev/null/out", lambda: None, "/dev/null is a device; --out needs a folder"),
    "a link to itself": ("out", lambda: Path("out").symlink_to("out"), "Too many levels of symbolic links"),
    "a link to nothing": ("out", lambda: Path("out").symlink_to("gone"), "out is a link to gone, which is not there"),
    "a long name": (LONG, lambda: None, "it has a name of 300 bytes"),
    "a long path": ("x/" * 2_500 + "out", lambda: None, "bytes; a name has at most 255"),
    "NUL": ("a\0b", lambda: None, "null byte"),
    "no text": ("a\udcffb", lambda: None, "a\\udcffb is not UTF-8"),
    "an unknown user": ("~nosuchuser/out", lambda: None, 'there is no user "nosuchuser" here'),
    "where nobody writes": ("/proc/out", lambda: None, "The folder /proc/out cannot be written to"),
    "something else": ("sub", lambda: _write("sub/cat.jpg"), "sub is not empty and holds no study"),
    "a file in place of the work": ("sub", lambda: _write("sub/.work"), "sub/.work is a file, where compare needs"),
    "a file in place of the runs": ("sub", lambda: _write("sub/test.parquet", "sub/runs"), "sub/runs is a file, where"),
    "a folder in place of the study": ("sub", _study_folder, "is a folder, where"),
    "a folder in place of the lock": ("sub", lambda: Path("sub/.lock").mkdir(parents=True), "cannot be written to"),
    "the working directory": ("", lambda: None, ". is not empty and holds no study"),
}


def _write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(name: str) -> None:
    out, make, fragment = OUTPUTS[name]
    make()
    write_study(study())
    refused(["compare", "study.yaml", "--out", out], fragment)
