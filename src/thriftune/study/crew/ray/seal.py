"""Whether a node sees the study's folder and has the study's version of Thriftune."""

from __future__ import annotations

import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thriftune.engine import ENGINE_VERSION
from thriftune.errors import InputError, first_line
from thriftune.study.crew.ray.needs import Node
from thriftune.study.crew.ray.parcel import Seal

WORD = "seal"
ANSWER_SECONDS = 120.0
"""In which a node must answer, the start of its first worker included."""
SAME_NUMBERS = ("torch", "numpy", "transformers")
"""Packages whose version the last bits of a run's numbers depend on."""


def sealed(folder: Path) -> Seal:
    """Writes the file by which nodes know the study's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    word = uuid.uuid4().hex
    (folder / WORD).write_text(word, encoding="utf-8")
    versions = {"thriftune": version("thriftune"), "engine": ENGINE_VERSION}
    return Seal(str((folder / WORD).resolve()), word, versions)


def flaw(seal: Seal) -> str | None:
    """Why this node cannot make the study's runs; None where it can."""
    own = {"thriftune": version("thriftune"), "engine": ENGINE_VERSION}
    return mismatch(own, seal.versions) or _unseen(seal)


def mismatch(own: dict[str, str], asked: dict[str, str]) -> str | None:
    """What of a node's versions is another than the study's, in words."""
    for name, what in (("thriftune", "Thriftune"), ("engine", "the engine of Thriftune")):
        if own.get(name) != asked[name]:
            return (
                f"it has version {own.get(name)} of {what}, the study {asked[name]}. Install the same one on all nodes"
            )
    return None


def _unseen(seal: Seal) -> str | None:
    try:
        found = Path(seal.path).read_text(encoding="utf-8")
    except OSError as error:
        return f"it does not see the study's folder ({seal.path}: {error.strerror})"
    return None if found == seal.word else f"it sees another folder at {Path(seal.path).parent}"


def check_nodes(nodes: list[Node], seal: Seal, out: Path) -> list[str]:
    """Asks every node; raises `InputError` that names those that cannot make runs. Returns what is to be said.

    Nothing of Thriftune need be there to answer, so that its absence is an answer too.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = {}
    look = ray.remote(num_cpus=0, max_retries=0)(_look())
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        asked[node.host, node.id] = look.options(scheduling_strategy=there).remote(seal.path, SAME_NUMBERS)
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_SECONDS)
    problems, remarks = [], []
    own = {name: version(name) for name in SAME_NUMBERS}
    for (host, _), reference in asked.items():
        try:
            found = ray.get(reference, timeout=0)
        except ray.exceptions.RayError as error:
            ray.cancel(reference, force=True)
            problems.append(f"{host}: it does not answer ({first_line(error)})")
            continue
        if why := _verdict(found, seal):
            problems.append(f"{host}: {why}")
        others = [f"{name} {found[name]} for {own[name]}" for name in SAME_NUMBERS if found.get(name) != own[name]]
        if others:
            remarks.append(
                f"{host} has {', '.join(others)}: what it computes may differ in the last digits from the others'."
            )
    if problems:
        raise InputError(_problems(problems, out))
    return remarks


def _verdict(found: dict[str, Any], seal: Seal) -> str | None:
    if found["failed"]:
        return f"Thriftune cannot be imported there ({found['failed']}). Install it on all nodes"
    if why := mismatch(found, seal.versions):
        return why
    if found["unread"]:
        return f"it does not see {out_of(seal)} ({found['unread']})"
    return None if found["word"] == seal.word else f"it sees another folder at {out_of(seal)}"


def out_of(seal: Seal) -> str:
    """The study's folder that a seal lies in."""
    return str(Path(seal.path).parents[2])


def _problems(problems: list[str], out: Path) -> str:
    shown = sorted(set(problems))
    remedy = f"All nodes must see the study's folder ({out.resolve()}) at the same path, and have the same Thriftune."
    return "\n  ".join([f"Not every node of the Ray cluster can make this study's runs. {remedy}", *shown])


def _look() -> Any:
    """The function that a node answers with: one inside another is sent whole, and imported from nowhere."""

    def look(path: str, packages: tuple[str, ...]) -> dict[str, Any]:
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, Any] = {"failed": None, "unread": None, "word": None}
        for name in packages:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "none"
        try:
            from thriftune.engine import ENGINE_VERSION

            found |= {"thriftune": version("thriftune"), "engine": ENGINE_VERSION}
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the answer
            found["failed"] = f"{type(error).__name__}: {error}"
        try:
            with open(path, encoding="utf-8") as file:
                found["word"] = file.read()
        except OSError as error:
            found["unread"] = error.strerror
        return found

    return look
