"""Whatever a study file holds, it is a study or it is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bad_inputs.refusal import study, transformer_study

from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError, readable
from thriftune.methods import discover
from thriftune.study.file.config import load_study, study_from_dict
from thriftune.study.file.reader import public_fields
from thriftune.study.file.settings import RunSettings, StudySettings
from thriftune.study.file.yaml_text import dump_yaml, parse_yaml

NAMES = sorted(
    {key for cls in (StudySettings, RunSettings, Protocol, *discover().values()) for key in public_fields(cls)}
    | {*discover(), "source", "text", "label", "keep", "split", "limit", "test", "validation", "group_by", "<<", "0"}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, 2**64, 10**30, 10**299])
    | st.floats()
    | st.sampled_from(NAMES)
    | st.text(max_size=8)
)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner),
    max_leaves=12,
)
PYTHON = st.recursive(
    SCALARS
    | st.binary(max_size=3)
    | st.dates()
    | st.builds(lambda: 10**5_000)
    | st.just({1, 2})
    | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from(NAMES) | st.integers() | st.none() | st.booleans(), inner, max_size=4)
    ),
    max_leaves=12,
)
"""What only a Python program can give."""


def _keys(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Sound studies, and empty ones, with some keys replaced."""
    changes = st.dictionaries(st.sampled_from([*public_fields(StudySettings)]), values, max_size=4)
    inner = st.tuples(
        st.sampled_from(["data", "protocol"]), st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
    )
    base = st.sampled_from([{}, study(), transformer_study()])

    def laid_over(base: dict[str, Any], changes: dict[str, Any], inner: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        key, extra = inner
        found = {**base, **changes}
        return found | {key: {**found.get(key, {}), **extra}} if isinstance(found.get(key, {}), dict) else found

    return st.builds(laid_over, base, changes, inner)


def _refusal(read: Callable[[], Any]) -> str | None:
    """The message with which something is refused; None where it is taken."""
    try:
        read()
    except InputError as error:
        return str(error)
    return None


def _judged(data: Any) -> None:
    said = _refusal(lambda: study_from_dict(data, Path()))
    assert said != ""
    assert all(c.isprintable() or c == "\n" for c in readable(said or ""))


@settings(max_examples=120, deadline=None)
@given(data=_keys(PLAIN) | PLAIN)
def test_values_of_a_file(data: Any) -> None:
    _judged(data)


@settings(max_examples=60, deadline=None)
@given(data=_keys(PYTHON))
def test_values_of_a_program(data: Any) -> None:
    _judged(data)


@settings(max_examples=60, deadline=None)
@given(data=_keys(PLAIN))
def test_what_is_written_is_read_as_the_same(data: Any) -> None:
    text = dump_yaml(data)
    said = _refusal(lambda: parse_yaml(text, "study"))
    if said is not None:
        assert "merge keys" in said
        return
    read = parse_yaml(text, "study")
    assert json.dumps(read, sort_keys=True) == json.dumps(data, sort_keys=True)


@settings(max_examples=120, deadline=None)
@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@`#,?~<= \n\t\\0123456789.eE_\ud800\x00\u2028"), max_size=40))
def test_any_text(text: str) -> None:
    said = _refusal(lambda: parse_yaml(text, "study.yaml"))
    assert said is None or said.startswith("study.yaml")


def test_deep_python_values() -> None:
    deep: Any = {}
    for _ in range(5_000):
        deep = {"protocol": deep}
    _judged(deep)
    endless: dict[str, Any] = {}
    endless["protocol"] = endless
    _judged(endless)


def test_a_run_laid_over_a_deep_protocol(tmp_path: Path) -> None:
    inner = "{optimizer: " * 30 + "1" + "}" * 30
    path = tmp_path / "study.yaml"
    path.write_text(f"name: a\nprotocol: {inner}\nruns: [{{name: b, method: full, protocol: {inner}}}]\n")
    with pytest.raises(InputError, match=r"protocol\.optimizer\.optimizer: unknown key"):
        load_study(path)
