"""Folders elsewhere for commands that read: a copy of what they need, weights only of the model that is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thriftune.errors import InputError
from thriftune.remote.copy import holding, opened
from thriftune.remote.lock import RemoteLock
from thriftune.remote.manifest import is_weight
from thriftune.remote.objects import AT_FIRST, Objects
from thriftune.remote.pull import check_whole, look, pull
from thriftune.remote.url import last_file, place_of, url_of
from thriftune.results.files import write_text


def light(name: str, size: int) -> bool:
    """Whether a file is one that results are made of: everything but the weights of models."""
    return not is_weight(name, size)


def folder_here(place: Path | str) -> Path:
    """A results folder as a path here, without the weights of its models; paths stay as they are.

    Where a command on this machine is writing to the copy, it is taken as it is: it is newer than what lies there.
    Raises `InputError` where the folder cannot be read, or nothing is there.
    """
    url = place_of(place)
    return url if isinstance(url, Path) else _read(url, light)


def records_here(place: Path | str) -> Path:
    """The same with nothing but the study's and the runs' records."""
    url = place_of(place)
    if isinstance(url, Path):
        return url
    return _read(url, lambda name, size: name in ("study.yaml", "results.json") or name.endswith("/run.json"))


def writer_of(place: Path | str) -> str | None:
    """Who writes to a folder elsewhere, in a sentence; None for paths, and where nobody does."""
    url = place_of(place)
    if isinstance(url, Path) or (owner := RemoteLock(Objects(url, AT_FIRST)).owner()) is None:
        return None
    seen = max(0, round(time.time() - owner.seen))
    return f"Writing there: process {owner.process} on {owner.host}, last seen {seen} s ago. What it pushed is above."


def _read(url: str, wanted: Callable[[str, int], bool]) -> Path:
    objects, copy = Objects(url, AT_FIRST), opened(url)
    with copy.alone() as alone:
        if alone:
            there = look(objects)
            if not there.sizes and not any(copy.folder.iterdir()):
                raise InputError(f"{objects.name} is not there, or holds nothing. Give a folder that compare wrote.")
            check_whole(objects, pull(copy, objects, there, wanted))
    return copy.folder


def source_here(text: str | Path) -> str:
    """What a user names as a classifier, as a text about this machine; texts without a URL stay as they are.

    `URL`, `URL:RUN` and the URLs of what lies in a study's folder, or of a model's folder alone, can be named.
    """
    url = url_of(text)
    if url is None:
        return str(text)
    here = place_of(url)
    if isinstance(here, Path):
        return str(here)
    scheme, _, rest = url.partition("://")
    ends = [len(rest), *(i for i in range(len(rest) - 1, 0, -1) if rest[i] == ":" and "/" in rest[:i])]
    for end in ends:
        folder = f"{scheme}://{rest[:end].rstrip('/')}"
        if Objects(folder).exists("results.json"):
            return str(_read(folder, light)) + rest[end:]
    parts = rest.split("/")
    for count in range(len(parts) - 1, 1, -1):
        folder = f"{scheme}://{'/'.join(parts[:count])}"
        if Objects(folder).exists("results.json"):
            return str(_read(folder, light).joinpath(*parts[count:]))
    return str(_read(url, lambda name, size: True))


@dataclass(frozen=True)
class There:
    """What `compare` is given, as it is here."""

    here: Path
    """The study file's copy, or the path of a `file://` URL."""
    out: Path | None
    """The URL of a results folder, as an output folder is named."""


def study_there(text: str | Path) -> There | None:
    """The study file, or the results folder with its study, that a URL names; None for paths, and URLs of data."""
    url = url_of(text)
    if url is None:
        return None
    place = place_of(url)
    if isinstance(place, Path):
        return There(place, None)
    if place.endswith((".yaml", ".yml")):
        return There(data_here(place), None)
    folder = part_here(place, ("study.yaml",))
    return None if folder is None else There(folder / "study.yaml", Path(place))


def part_here(url: str, names: tuple[str, ...]) -> Path | None:
    """The copy of a folder with these of its files alone; None where one of them is not there."""
    if not all(Objects(url).exists(name) for name in names):
        return None
    return _read(url, lambda name, size: name in names)


def whole(folder: Path) -> None:
    """Fetches what a copy lacks of a folder, such as the weights of a model; nothing for other folders.

    Raises `InputError` where it cannot be fetched.
    """
    found = holding(folder)
    if found is None:
        return
    url, name = found
    objects, copy = Objects(url, AT_FIRST), opened(url)
    with copy.alone() as alone:
        if alone:
            inside = f"{name}/" if name else ""
            wanted = lambda each, size: light(each, size) or each.startswith(inside)  # noqa: E731
            check_whole(objects, pull(copy, objects, look(objects), wanted))


def data_here(url: str) -> Path:
    """A copy of the file or folder of data that a URL names, fetched where it is not the one that was fetched before.

    Raises `InputError` where it cannot be.
    """
    place = place_of(url)
    if isinstance(place, Path):
        return place
    objects = Objects(place)
    if not objects.exists():
        raise InputError(f"{objects.name} is not there. Look at its name.")
    if not objects.is_file():
        return _read(place, lambda name, size: True)
    copy = opened(place)
    path, mark = copy.folder / last_file(place), copy.base / "fetched.txt"
    now = objects.version()
    with copy.alone() as alone:
        if alone and not (path.exists() and mark.exists() and mark.read_text(encoding="utf-8") == now):
            mark.unlink(missing_ok=True)
            objects.get("", path)
            write_text(mark, now)
    return path
