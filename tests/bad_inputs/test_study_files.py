"""Study files that are no study: other files, odd YAML, and YAML that stands for more than fits into memory."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bad_inputs.refusal import refused, study

START = json.dumps(study())[:-1]
"""A sound study to which a key can be added, as YAML on one line."""
LISTS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
MAPPINGS = "k0: &k0 {a: 1}\n" + "".join(
    f"k{i}: &k{i} {{{', '.join(f'x{j}: *k{i - 1}' for j in range(9))}}}\n" for i in range(1, 10)
)

TEXTS: dict[str, tuple[str, str]] = {
    "a billion laughs in lists": (LISTS, "more than 20,000 values, aliases written out"),
    "a billion laughs in mappings": (MAPPINGS, "more than 20,000 values, aliases written out"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(21_000)), "more than 20,000 values"),
    "a long list": (f'{START}, "seeds": {list(range(21_000))}}}', "more than 20,000 values"),
    "many runs": (f'{START}, "seeds": {list(range(15_000))}}}', "15,000 runs are asked for; at most 10,000"),
    "deep lists": (f"name: {'[' * 500}{']' * 500}", "nested more than 40 levels deep"),
    "deeper lists": (f"name: {'[' * 50_000}", "nested more than 40 levels deep"),
    "deep mappings": (f"{'{a: ' * 3_000}1{'}' * 3_000}", "nested more than 40 levels deep"),
    "deep blocks": ("".join(f"{' ' * i}a:\n" for i in range(500)), "nested more than 40 levels deep"),
    "deep through aliases": (
        "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60)),
        "nested more than 40 levels deep",
    ),
    "a list in itself": ("a: &x [*x]\n", "this value contains itself"),
    "too many characters": ("#" * (2**20 + 1), "1,048,577 characters; at most 1,048,576"),
    "too many bytes": ("#" * (2**22 + 1), "4,194,305 bytes"),
    "1e999": (f'{START}, "margin": 1e999}}', "1e999 is larger than any number"),
    "a number of 10,000 digits": (f'{START}, "seeds": [{"1" * 10_000}]}}', "a number of 10,000 digits"),
    "a fraction of 10,000 digits": (f'{START}, "margin": 0.{"1" * 10_000}}}', "a number of 10,002 digits"),
    "nan": (f'{START}, "margin": .nan}}', "margin: nan is given, it must be a finite number"),
    "infinity": (f'{START}, "margin": -.inf}}', "margin: -inf is given"),
    "NaN is text": (f'{START}, "margin": NaN}}', 'margin: "NaN" is given; allowed: a number'),
    "a date is text": (f'{START}, "margin": 2020-01-01}}', 'margin: "2020-01-01" is given'),
    "sexagesimal is text": (f'{START}, "margin": 1:30}}', 'margin: "1:30" is given'),
    "hexadecimal is text": (f'{START}, "seeds": [0x10]}}', 'seeds: ["0x10"] is given'),
    "octal is text": (f'{START}, "seeds": [0o10]}}', 'seeds: ["0o10"] is given'),
    "underscores are text": (f'{START}, "seeds": [1_000]}}', 'seeds: ["1_000"] is given'),
    "yes is text": (f"{START.replace('0.2', '0.2, stratify: yes', 1)}}}", 'stratify: "yes" is given'),
    "true is no name": ("name: true\n", "name: true is given; allowed: text"),
    "a number is no name": ("name: 12\n", "name: 12 is given; allowed: text"),
    "null is no name": ("name:\n", "name: null is given; allowed: text"),
    "two documents": ("name: a\n---\nname: b\n", "line 2: a second document starts here"),
    "a tag for code": ("name: !!python/object/apply:os.system ['x']\n", 'the tag "!!python/object/apply:os.system"'),
    "a tag for bytes": ("name: !!binary aGVsbG8=\n", 'the tag "!!binary" is not taken'),
    "an own tag": ("name: !mine x\n", 'the tag "!mine" is not taken'),
    "a merge key": ("x: &x {epochs: 1}\nprotocol: {<<: *x}\n", "line 2: merge keys (<<) are not taken"),
    "a tab": ("name: a\n\tdata: 1\n", "line 2: indent with spaces"),
    "a number as key": (f'{START}, "3": 4}}', "3: unknown key"),
    "null as key": (f"{START}, ~: 4}}", "~: unknown key"),
    "a list as key": ("? [a]\n: 1\n", "line 1: a key must be text"),
    "a key twice": ("name: a\nname: b\n", 'line 2: the key "name" stands in line 1 already'),
    "a long key twice": (f"{'k' * 900}: a\n{'k' * 900}: b\n", "stands in line 1 already"),
    "an escape in a key": ('"\\e[31mx": a\n"\\e[31mx": b\n', 'the key "\\x1b[31mx" stands'),
    "many unknown keys": (f"{START}, {', '.join(f'k{i}: 1' for i in range(900))}}}", "... and 870 more"),
    "NUL": ("name: a\0b\n", "line 1: the character U+0000 is not taken in YAML"),
    "a control character": ("name: a\nx: \x9b\n", "line 2: the character U+009B"),
    "an escape beyond Unicode": ('name: "\\U7fffffff"\n', "an escape names no character"),
    "an escape far beyond": ('name: "\\Uffffffff"\n', "an escape names no character"),
    "half a character": ('{"name": "\\ud83d"}', 'name: "\\ud83d" is given'),
    "an unknown alias": ("a: *b\n", "line 1: found undefined alias"),
    "an open quote": ("name: 'x\n", "found unexpected end of stream"),
    "an open list": ("name: [x\n", "line 2: expected"),
    "a reserved sign": ("name: @x\n", "line 1: found character '@'"),
    "YAML 3": ("%YAML 3.0\n---\nname: s\n", "found incompatible YAML document"),
    "nothing": ("", "is empty; a study file is a mapping"),
    "a comment": ("# nothing\n", "is empty"),
    "a list": ("- a\n- b\n", 'holds ["a", "b"]'),
    "a long word": ("x" * 100_000, "a study file is a mapping"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str) -> None:
    text, fragment = TEXTS[name]
    Path("study.yaml").write_text(text, encoding="utf-8")
    refused(["compare", "study.yaml", "--out", "out"], fragment)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (START.encode("utf-16"), "is not UTF-8 text (byte 0)"),
        (START.encode("utf-16-le"), "the character U+0000"),
        (START.encode("utf-32"), "is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not UTF-8 text (byte 0)"),
        (bytes(range(256)), "is not UTF-8 text (byte 128)"),
        (b"name: \xe9\n", "is not UTF-8 text (byte 6)"),
    ],
)
def test_bytes(content: bytes, fragment: str) -> None:
    Path("study.yaml").write_bytes(content)
    refused(["compare", "study.yaml", "--out", "out"], fragment)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    Path("study.yaml").write_text(f'\ufeff{START}, "margin": 200}}', encoding="utf-8")
    refused(["compare", "study.yaml"], "margin: 200.0 is given, it must be at most 100")


def _socket() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("study.yaml")


PLACES: dict[str, tuple[Callable[[], object], str]] = {
    "a pipe": (lambda: os.mkfifo("study.yaml"), "is a pipe (FIFO), not a file"),
    "a socket": (_socket, "is a socket, not a file"),
    "a folder": (lambda: Path("study.yaml").mkdir(), "is a folder"),
    "a link to itself": (lambda: Path("study.yaml").symlink_to("study.yaml"), "Too many levels of symbolic links"),
    "a link to nothing": (lambda: Path("study.yaml").symlink_to("gone"), "a link to gone, which is not there"),
    "a link to a device": (lambda: Path("study.yaml").symlink_to("/dev/zero"), "is a device, not a file"),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file(name: str) -> None:
    make, fragment = PLACES[name]
    make()
    refused(["compare", "study.yaml", "--out", "out"], fragment)
    refused(["estimate", "study.yaml"], fragment)


@pytest.mark.parametrize(
    ("path", "fragment"),
    [
        ("nothing.yaml", "There is no study file nothing.yaml"),
        ("/dev/zero", "is a device, not a file"),
        ("reviews.csv/study.yaml", "There is no study file"),
        (f"{'x' * 300}.yaml", "it has a name of 305 bytes"),
        ("x/" * 2_500, "it has 4,999 bytes"),
        ("~nosuchuser/study.yaml", 'there is no user "nosuchuser" here'),
        ("\x1b[31mred.yaml", "no study file \\x1b[31mred.yaml"),
        ("\udcff.yaml", "no study file \\udcff.yaml"),
    ],
)
def test_paths(path: str, fragment: str) -> None:
    refused(["compare", path, "--out", "out"], fragment)
    refused(["estimate", path], fragment)


def test_data_and_blank_paths() -> None:
    refused(["compare", ""], "The path is blank")
    refused(["estimate", ""], "is a folder")
    refused(["estimate", "reviews.csv"], "a study file is a mapping")  # compare takes data
