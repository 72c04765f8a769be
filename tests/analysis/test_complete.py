"""results.json has every documented key whatever happened to the runs, and none that is not documented."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.report.swept import write_swept
from tests.report.synthetic import VARIANTS, Variant, write

from thriftune.analysis.analyse import analysed
from thriftune.analysis.findings.runs import is_baseline
from thriftune.analysis.panels import built_in
from thriftune.results.record import StudyResults
from thriftune.results.store import Store

PAGE = (Path(__file__).parents[2] / "docs" / "results-format.md").read_text(encoding="utf-8")
BY_NAME = {("words", "errors"), ("annotators", "by_run"), ("hypotheses", "hypotheses")}
"""Whose keys are the study's own names; of a hypothesis also its figures, each hypothesis' own."""
LISTS = {"found", "by_property", "regions", "words", "words_by_true_label", "words_by_confusion", "unsupported"}
"""Lists that may be empty in every study here: what stands in them is not looked for."""
SMALL = Variant(texts=200)
KEPT: dict[str, Any] = {
    "one run": lambda run: run.run_id == "full-1-0",
    "baselines only": is_baseline,
    "nothing learned": lambda run: run.run_id == "lost",
    "all failed": lambda run: run.run_id == "failed",
    "no runs": lambda run: False,
}
WHOLE = {
    "plain": replace(VARIANTS["plain"], annotators=True, texts=300),
    "two labels": replace(VARIANTS["two-labels"], texts=200),
    "seeds": replace(VARIANTS["seeds"], texts=200),
    "77 labels": Variant(labels=tuple(f"intent {k}" for k in range(77)), texts=800, columns=("text",)),
}


def study(name: str, out: Path) -> Store:
    """A synthetic study, or what is left of one."""
    if name == "swept":
        return write_swept(out)
    if name in WHOLE:
        return write(out, WHOLE[name])
    store = write(out, SMALL)
    found = store.load().study
    store.write_results(replace(found, runs=[run for run in found.runs if KEPT[name](run)]))
    return store


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every study's results.json as it is on disk after an analysis."""
    out = {}
    for name in (*WHOLE, "swept", *KEPT):
        store = study(name, tmp_path_factory.mktemp(name.replace(" ", "-")))
        analysed(store.load())
        out[name] = json.loads(store.results_path.read_text(encoding="utf-8"))
    return out


@cache
def documented() -> dict[str, tuple[set[str], set[str]]]:
    """By panel the keys that its statistics always have, and all names in its rows of the table."""
    (table,) = re.findall(r"^### Statistics\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    out: dict[str, tuple[set[str], set[str]]] = {}
    for first, rest in re.findall(r"^\| (`[^|]*) \| (.*) \|$", table, flags=re.MULTILINE):
        for key in re.findall(r"`([^`]+)`", first):
            panel, name = key.split(".", 1)
            always, every = out.setdefault(panel, (set(), set()))
            always.add(name)
            every |= {name, *re.findall(r"`([^`]+)`", rest)}
    return out


def plain(value: dict[str, Any]) -> set[str]:
    """The keys but for the reasons, each of which has to stand beside a null."""
    return {key for key in value if not (key.endswith("_reason") and value.get(key.removesuffix("_reason"), 0) is None)}


def nested(panel: str, value: Any, within: str = "") -> Iterator[str]:
    """All keys below a panel's, of any depth."""
    if isinstance(value, list):
        for each in value:
            yield from nested(panel, each, within)
    elif isinstance(value, dict):
        if (panel, within) in BY_NAME:
            return
        for key in plain(value):
            yield key
            yield from nested(panel, value[key], key)


def unexplained(value: Any, path: str) -> Iterator[str]:
    """Where a null has no reason."""
    if isinstance(value, list):
        for each in value:
            yield from unexplained(each, path)
    elif isinstance(value, dict):
        for key, each in value.items():
            if each is None and not value.get(f"{key}_reason"):
                yield f"{path}.{key}"
            yield from unexplained(each, f"{path}.{key}")


def panels(data: dict[str, Any]) -> dict[str, Any]:
    own = {field.name for field in fields(StudyResults)}
    return {name: data[name] for name in [place.name for place in built_in()] + ["training"] if name not in own}


def test_every_panel_has_its_key_or_says_why_not(written: dict[str, dict[str, Any]]) -> None:
    own = {field.name for field in fields(StudyResults)} - {"statistics"}
    names = {place.name for place in built_in()} | {"training"}
    for study_name, data in written.items():
        assert plain(data) == own | names, study_name
        for panel, value in panels(data).items():
            assert (value is None) == bool(data.get(f"{panel}_reason")), (study_name, panel)
            assert value is None or isinstance(value, dict)


def test_statistics_have_just_the_documented_keys(written: dict[str, dict[str, Any]]) -> None:
    for study_name, data in written.items():
        for panel, value in panels(data).items():
            if value is not None:
                assert plain(value) == documented().get(panel, (set(), set()))[0], (study_name, panel)


def test_what_stands_in_them_is_documented_and_what_is_documented_stands_in_them(
    written: dict[str, dict[str, Any]],
) -> None:
    for panel, (always, every) in documented().items():
        values = [panels(data)[panel] for data in written.values() if panels(data)[panel] is not None]
        assert values, f"no study has {panel}"
        found = {key for value in values for key in nested(panel, value)}
        assert found - every == set(), f"{panel}: not documented"
        if not always & LISTS and (panel, panel) not in BY_NAME:
            assert every - found - {"decide_by"} == set(), f"{panel}: not there"


def test_nothing_is_null_without_a_reason(written: dict[str, dict[str, Any]]) -> None:
    for study_name, data in written.items():
        for panel, value in panels(data).items():
            assert list(unexplained(value, panel)) == [], study_name
