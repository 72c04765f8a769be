"""Python, the packages that Thriftune needs, and its extras, against what is required and what is tested."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from thriftune.doctor.finding import Finding
from thriftune.wording import first_of, listing

NAMED = ("torch", "transformers", "peft")
"""Packages whose versions are always shown."""
USES = {
    "demo": "the demo's model without a download",
    "onnx": "thriftune export --format onnx",
    "sentence-transformers": "thriftune export --format sentence-transformers",
    "serve": "thriftune serve",
    "docs": "building the documentation",
    "dev": "the tests",
}


def python() -> Iterator[Finding]:
    """The interpreter against `requires-python`."""
    here = f"{platform.python_version()} in {sys.prefix}"
    try:
        wanted = metadata("thriftune")["Requires-Python"]
    except PackageNotFoundError:
        wanted = None
    if wanted and not SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        yield Finding("Python", here, "fails", f"Thriftune needs Python {wanted}: make an environment with one")
    else:
        yield Finding("Python", here)


def packages() -> Iterator[Finding]:
    """Thriftune's own version; what is missing, too old, or another version than the tested one."""
    try:
        lines = requires("thriftune") or []
    except PackageNotFoundError:
        remedy = (
            "install it, `pip install .` in its folder: without that records name no version, and nothing is known here"
        )
        yield Finding("Thriftune", "runs from its source, not installed", "fails", remedy)
        return
    yield Finding("Thriftune", version("thriftune"))
    needed = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate({"extra": ""})]
    bad = [problem for each in needed if (problem := _problem(each))]
    if bad:
        names = " ".join(f"'{each}'" for each in needed if _problem(each))
        yield Finding("Packages", "; ".join(bad), "fails", f"pip install {names}")
        return
    known = tested()
    other = [
        f"{each.name} {version(each.name)} (tested: {known[_normal(each.name)]})"
        for each in needed
        if known.get(_normal(each.name), _public(version(each.name))) != _public(version(each.name))
    ]
    shown = listing([f"{name} {version(name)}" for name in NAMED])
    if not known:
        yield Finding("Packages", f"{shown}; all {len(needed)} are there; which versions are tested is not known here")
    elif other:
        text = f"all {len(needed)} are there, in versions that were not tested together: {first_of(other)}"
        yield Finding(
            "Packages", text, "note", "if something fails: pip install -c constraints.txt with Thriftune's file"
        )
    else:
        yield Finding("Packages", f"{shown}; all {len(needed)} are there, as tested")


def extras() -> Iterator[Finding]:
    """Which extras are installed, and what each of the others would add."""
    try:
        names = metadata("thriftune").get_all("Provides-Extra") or []
        lines = [Requirement(each) for each in requires("thriftune") or []]
    except PackageNotFoundError:
        return
    there, missing = [], []
    for name in names:
        needs = [
            each
            for each in lines
            if each.marker and each.marker.evaluate({"extra": name}) and not each.marker.evaluate({"extra": ""})
        ]
        if all(_problem(each) is None for each in needs):
            there.append(name)
        else:
            missing.append(f"{name} ({USES[name]})" if name in USES else name)
    text = f"{listing(there, 20)} installed" if there else "none installed"
    yield Finding("Extras", f"{text}; not installed: {listing(missing, 20)}" if missing else text)


def tested() -> dict[str, str]:
    """The version of each package that is tested, by its normalised name; empty where the list did not come along."""
    for path in (Path(__file__).with_name("tested.txt"), Path(__file__).parents[3] / "constraints.txt"):
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
            return {_normal(name): number.strip() for name, number in pairs}
    return {}


def _problem(needed: Requirement) -> str | None:
    """Why a requirement is not met; None where it is."""
    try:
        there = version(needed.name)
    except PackageNotFoundError:
        return f"{needed.name} is missing"
    if needed.specifier.contains(there, prereleases=True):
        return None
    return f"{needed.name} is {there}, needed is {needed.specifier}"


def _public(number: str) -> str:
    """A version without what a build adds to it: "2.13.0+cpu" is 2.13.0."""
    return number.partition("+")[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
