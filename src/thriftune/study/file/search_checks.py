"""What does not go together in a study's search: keys that nothing has, and values that a method does not take."""

from __future__ import annotations

from collections.abc import Iterator

from thriftune.methods import discover
from thriftune.methods.base import Method
from thriftune.settings import SettingsError
from thriftune.study.file.plan import PlannedRun, plan
from thriftune.study.file.reader import describe
from thriftune.study.file.search_settings import Dimension, Range
from thriftune.study.file.search_space import (
    hint_of,
    is_protocol_key,
    is_searched,
    members,
    of_one_method,
    searched_run,
    space_of,
    why_unknown,
)
from thriftune.study.file.settings import StudySettings

Problems = Iterator[tuple[str, str]]


def search_problems(study: StudySettings) -> Problems:
    """Everything that would make a trial impossible, or a key of `search` have no effect."""
    search = study.search
    if search is None:
        return
    methods = tuple(run.method for run in study.runs) or study.methods
    if methods and not any(map(is_searched, methods)):
        yield "search", "has no effect; no method of the study has settings to search"
        return
    unknown = False
    known = {**discover(), **{method.NAME: type(method) for method in methods}}
    for key in search.dimensions:
        if (why := why_unknown(key, methods, known)) is not None:
            unknown = True
            yield f"search.over.{key}", why
    if unknown:
        return
    if "batch_size" in search.dimensions and len(study.protocol.batch_sizes) > 1:
        yield "search.over.batch_size", "has no effect beside a list in protocol.batch_size; remove one of the two"
        return
    reported: set[tuple[str, str]] = set()
    cells = {run.cell: run for run in plan(study)}
    for run in cells.values():
        for problem in _values(run, space_of(run.method, search), search.dimensions):
            if problem not in reported:
                reported.add(problem)
                yield problem
    if not reported:
        yield from _twins(list(cells.values()), study)


def _values(run: PlannedRun, space: dict[str, Dimension], written: dict[str, Dimension]) -> Problems:
    """Ends and choices that the run's method or protocol does not take."""
    for key, dimension in space.items():
        at = f"search.over.{_as_written(key, run.method, written)}"
        whose = "protocol" if is_protocol_key(key) else run.method.NAME
        hint = hint_of(key, run.method)
        kinds = set(members(hint))
        if isinstance(dimension, Range) and not kinds & {int, float} and "Any" not in str(hint):
            yield at, f"is a range of numbers, but {key} of {whose} is {describe(hint)}: use {{choose: [...]}}"
            continue
        for value in dimension.ends:
            try:
                searched_run(run, {key: value})
            except SettingsError as error:
                for _, message in error.problems:
                    yield at, f"{message} ({key} of {whose})"


def _as_written(key: str, method: Method, written: dict[str, Dimension]) -> str:
    return next((each for each in written if of_one_method(each, method) == key), key)


def _twins(cells: list[PlannedRun], study: StudySettings) -> Problems:
    """Cells that differ in nothing but what is searched for both."""
    seen: dict[str, str] = {}
    for run in cells:
        space = space_of(run.method, study.search)
        if not space:
            continue
        alike = searched_run(run, {key: dimension.ends[0] for key, dimension in space.items()})
        parts = (run.model, alike.method, alike.protocol, run.head)
        first = seen.setdefault(repr(parts), run.cell)
        if first != run.cell:
            key = "runs" if study.runs else "methods"
            yield key, f'"{first}" and "{run.cell}" differ in nothing but what search varies; remove one of them'
