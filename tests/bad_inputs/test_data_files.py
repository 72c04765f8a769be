"""Data that cannot be read, or has nothing to learn from: found before a model is looked at."""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.bad_inputs.refusal import ROWS, changed, refused, study, write_study

TEXTS = [f"text {i}" for i in range(60)]
LABELS = ["good" if i % 2 else "bad" for i in range(60)]
DURATIONS = [datetime.timedelta(seconds=i % 4) for i in range(60)]
BYTES = [b"a%d" % (i % 3) for i in range(60)]
LISTS = [["a", str(i % 3)] for i in range(60)]
STRUCTS = [{"a": i % 3} for i in range(60)]


def parquet(**columns: Any) -> Callable[[], None]:
    """Writes data.parquet."""
    return lambda: pl.DataFrame(columns).write_parquet("data.parquet")


def text(content: str | bytes) -> Callable[[], object]:
    """Writes data.csv."""
    return lambda: Path("data.csv").write_bytes(content if isinstance(content, bytes) else content.encode())


def numbered(label: Callable[[int], object], rows: int = 50) -> Callable[[], object]:
    """Writes data.csv with a label for each row."""
    return text("text,label\n" + "".join(f"t{i},{label(i)}\n" for i in range(rows)))


def _socket() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("data.csv")


def _folder_with_pipe() -> None:
    Path("data.csv").mkdir()
    os.mkfifo("data.csv/train.csv")


FILES: dict[str, tuple[Callable[[], object], dict[str, Any], str]] = {
    "a pipe": (lambda: os.mkfifo("data.csv"), {}, "data.csv is a pipe (FIFO), not a file"),
    "a parquet pipe": (lambda: os.mkfifo("data.parquet"), {}, "data.parquet is a pipe (FIFO), not a file"),
    "a socket": (_socket, {}, "data.csv is a socket, not a file"),
    "a device": (lambda: Path("data.csv").symlink_to("/dev/zero"), {}, "data.csv is a device, not a file"),
    "an empty folder": (lambda: Path("data.csv").mkdir(), {}, "data.csv"),
    "a folder with a pipe": (_folder_with_pipe, {}, "data.csv"),
    "a link to itself": (lambda: Path("data.csv").symlink_to("data.csv"), {}, "Too many levels of symbolic links"),
    "a link to nothing": (lambda: Path("data.csv").symlink_to("gone"), {}, "is a link to gone, which is not there"),
    "durations as text": (parquet(text=DURATIONS, label=LABELS), {}, 'column "text" holds Duration'),
    "durations as label": (parquet(text=TEXTS, label=DURATIONS), {}, 'label column "label" holds Duration'),
    "durations as group": (
        parquet(text=TEXTS, label=LABELS, g=DURATIONS),
        {"data.split.group_by": "g"},
        'grouping column "g" holds Duration',
    ),
    "durations to keep": (
        parquet(text=TEXTS, label=LABELS, g=DURATIONS),
        {"data.keep": ["g"]},
        'the kept column "g" holds Duration',
    ),
    "bytes as text": (parquet(text=BYTES, label=LABELS), {}, 'column "text" holds Binary'),
    "bytes as label": (parquet(text=TEXTS, label=BYTES), {}, 'label column "label" holds Binary'),
    "lists as text": (parquet(text=LISTS, label=LABELS), {}, 'column "text" holds List'),
    "structs as text": (parquet(text=STRUCTS, label=LABELS), {}, 'column "text" holds Struct'),
    "structs as label": (parquet(text=TEXTS, label=STRUCTS), {}, 'label column "label" holds Struct'),
    "fractions as label": (parquet(text=TEXTS, label=[Decimal(i) / 7 for i in range(60)]), {}, "fractions such as"),
    "nulls as text": (parquet(text=[None] * 60, label=LABELS), {}, "No usable row is left"),
    "nulls as label": (parquet(text=TEXTS, label=[None] * 60), {}, "No usable row is left"),
    "no rows": (parquet(text=[], label=[]), {}, "has no data rows"),
    "not parquet": (lambda: Path("data.parquet").write_bytes(b"PAR1" + bytes(99)), {}, "not a readable parquet file"),
    "an empty file": (text(""), {}, "is empty"),
    "one class": (numbered(lambda i: "good"), {}, 'There is one label only, "good"'),
    "a class for each row": (numbered(lambda i: f"l{i}"), {}, "needs 3 rows of each class"),
    "thousands of classes": (numbered(lambda i: f"l{i}", 1_500), {}, "at most 1,000 classes"),
    "numbers of 5,000 digits as label": (numbered(lambda i: "9" * 5_000 + str(i)), {}, "needs 3 rows of each class"),
    "two rows": (numbered(lambda i: f"l{i}", 2), {}, "too few"),
    "blank texts": (text("text,label\n" + " ,good\n ,bad\n" * 20), {}, "No usable row is left"),
    "no such text": (text(ROWS), {"data.text": ["nothing"]}, 'no column "nothing"'),
    "no such text, steering the terminal": (text(ROWS), {"data.text": ["\x1b[31m"]}, 'no column "\\x1b[31m"'),
    "no such text, endless": (text(ROWS), {"data.text": ["x" * 5_000]}, "no column"),
    "no such label": (text(ROWS), {"data.label": "nothing"}, 'no column "nothing"'),
    "no such kept column": (text(ROWS), {"data.keep": ["nothing"]}, 'no column "nothing"'),
    "no such group": (text(ROWS), {"data.split.group_by": "nothing"}, 'no column "nothing"'),
    "two groups": (text(ROWS), {"data.split.group_by": "label"}, "too few to make test and validation"),
    "a limit of one row": (text(ROWS), {"data.limit": {"train": 1}}, "raise data.limit.train"),
    "no test": (text(ROWS), {"data.split": {"validation": 0.2}}, "no test split"),
    "shares that leave nothing": (text(ROWS), {"data.split": {"test": 0.999, "validation": 1e-4}}, "too few to make"),
    "thousands of columns": (text(",".join(f"c{i}" for i in range(5_000)) + "\n" + "x," * 4_999 + "x\n"), {}, "has no"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name: str) -> None:
    make, changes, fragment = FILES[name]
    make()
    source = "data.parquet" if os.path.lexists("data.parquet") else "data.csv"
    data = changed(study(), "data.source", source)
    for path, value in changes.items():
        changed(data, path, value)
    write_study(data)
    refused(["compare", "study.yaml", "--out", "out"], fragment)


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        ("nothing.csv", "nothing.csv is not found"),
        ("", "The path is blank"),
        ("a\0.csv", "a\\x00.csv is no path: it holds a NUL"),
        (f"{'x' * 300}.csv", "it has a name of 304 bytes"),
        ("é" * 200, "it has a name of 400 bytes"),
        ("x/" * 2_500, "it has 5,000 bytes"),
        ("~nosuchuser/a.csv", 'there is no user "nosuchuser" here'),
        ("/dev/zero", "/dev/zero is a device"),
        ("/dev/null", "/dev/null is a device"),
        ("reviews.csv/a.csv", "is not found"),
        ("nothing\x1b[31m.csv", "nothing\\x1b[31m.csv is not found"),
        ("study.yaml", 'ends in ".yaml"'),
        ("demo:", 'The demo dataset "" is not known'),
        ("demo:nothing", 'The demo dataset "nothing" is not known'),
        ("hub:", "hub: names no dataset"),
    ],
    ids=lambda text: text[:40].encode("unicode_escape").decode(),
)
def test_sources(source: str, fragment: str) -> None:
    write_study(changed(study(), "data.source", source))
    refused(["compare", "study.yaml", "--out", "out"], fragment)
    write_study(study(robustness={"further": source}))
    refused(["compare", "study.yaml", "--out", "out"], f"robustness.further: {'' if source else 'The path'}")


def test_columns_renamed_for_the_results_stay_apart() -> None:
    """Two names that would both become label_text, and two that would become example_kept."""
    from thriftune.data.load import load_dataset
    from thriftune.study.file.config import study_from_dict

    rows = "".join(f"t{i},u{i},{'ab'[i % 2]},1,2\n" for i in range(40))
    Path("data.csv").write_text(f"label,label_text,gold,example,example_kept\n{rows}", encoding="utf-8")
    columns = {"text": ["label", "label_text"], "label": "gold", "keep": ["example", "example_kept"]}
    split = {"test": 0.2, "validation": 0.2}
    data = study_from_dict(study(data={"source": "data.csv", "split": split, **columns}), Path()).data
    frame = load_dataset(data, Path()).splits["test"]
    assert frame.columns == ["example", "label_text_text", "label_text", "label", "example_kept_kept", "example_kept"]
    assert frame["label_text"][0].startswith("u")
