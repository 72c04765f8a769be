"""JSON on disk: what `json` reads back, with a list of numbers on one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from thriftune.results.json_text import json_text

VALUES: list[Any] = [
    {},
    [],
    None,
    1.5,
    'é\u2028"\\\n',
    {"a": [], "b": {}, "c": [[]], "d": [{}]},
    {"matrix": [[1, 2], [0, 3]], "mixed": [1, "a", None], "floats": [1e-30, 2.0, -0.5], "flags": [True, False]},
    [{"key": [{"inner": (1, 2)}]}, "text"],
    {True: "c", False: "d"},
    {1: "a", None: "b", 2.5: "d"},
]


@pytest.mark.parametrize("value", VALUES)
def test_it_reads_back_as_json_would(value: Any) -> None:
    assert json.loads(json_text(value)) == json.loads(json.dumps(value))


def test_a_matrix_takes_a_line_a_row_and_a_key_a_line() -> None:
    assert json_text({"a": [[1, 2], [0, 3]], "b": "c"}) == '{\n "a": [\n  [1,2],\n  [0,3]\n ],\n "b": "c"\n}'


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")], {"a": [[float("-inf")]]}])
def test_what_json_has_not(value: Any) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        json_text(value)


def test_what_is_no_json() -> None:
    with pytest.raises(TypeError):
        json_text({"a": object()})
