"""The library that draws a page's charts, as one script: to put it together takes a second, so it is kept."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import vl_convert

from thriftune.folders import cache_folder, is_private
from thriftune.results.files import write_text


def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed of the installed vl-convert, from the cache folder where they are there.

    A script goes into pages, so only what is this user's own, writable by nobody else and whole is taken from there.
    """
    path = cache_folder() / "scripts" / f"vega-{version('vl-convert-python')}.js"
    kept = _kept(path)
    if kept is not None:
        return kept
    made = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]
    with suppress(OSError):  # a cache that cannot be written to: it is made anew next time
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(path, made, durable=False)
        write_text(_note(path), _checksum(made), durable=False)
    return made


def _kept(path: Path) -> str | None:
    if not all(is_private(part) for part in (path.parent, path, _note(path))):
        return None
    try:
        text, known = path.read_bytes().decode(), _note(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return text if known == _checksum(text) else None


def _note(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
