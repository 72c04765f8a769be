"""Sources of installed packages: `SCHEME:REST` calls the entry point SCHEME of the group thriftune.sources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thriftune import plugins
from thriftune.data.settings import SPLITS
from thriftune.data.table import SourceTable, Wanted
from thriftune.errors import InputError
from thriftune.remote.url import url_of

GROUP = "thriftune.sources"
BUILT_IN = ("demo", "hub")


def plug_ins() -> tuple[str, ...]:
    """The schemes that installed packages add."""
    return tuple(plugins.entries(GROUP, BUILT_IN))


def scheme_of(source: str) -> str | None:
    """What stands before the colon, where it names a kind of source or is a URL's; None for paths."""
    scheme, colon, _ = source.partition(":")
    known = colon and scheme in (*BUILT_IN, *plug_ins())
    return scheme if known or url_of(source) is not None else None


def read_plug_in(source: str, base: Path | None, wanted: Wanted) -> tuple[dict[str, SourceTable], list[str]]:
    """The tables by split that `read(rest, folder)` of the plug-in returns: polars frames, or lists by column.

    Raises `InputError` where it cannot be imported, and where it returns something else.
    """
    scheme, _, rest = source.partition(":")
    read = plugins.load(GROUP, BUILT_IN, flaw).get(scheme)
    if read is None:
        raise InputError(f"{source} cannot be read: the plug-in {scheme} is broken, as the warning above says.")
    try:
        found = read(rest, base)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{source} cannot be read: the plug-in {scheme} failed ({plugins.said(error)}).") from error
    return {split: _table(data, f"{source} ({split})", wanted) for split, data in splits(found, source).items()}, []


def flaw(found: Any) -> str | None:
    """Why an object cannot read a source; None where it can."""
    return None if callable(found) else "is no function"


def splits(found: Any, source: str) -> Mapping[str, Any]:
    """What a source returned, if it is a mapping of splits; raises `InputError` where it is not."""
    if not isinstance(found, Mapping) or not found or set(found) - set(SPLITS):
        what = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise InputError(f"{source} gives {what or 'nothing'}; a source gives a mapping of {', '.join(SPLITS)}.")
    return found


def _table(data: Any, where: str, wanted: Wanted) -> SourceTable:
    import polars as pl

    try:
        frame = data if isinstance(data, pl.DataFrame) else pl.DataFrame(data, strict=False)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{where} is no table: {error}") from error
    names = tuple(frame.columns)
    return SourceTable(frame.select([n for n in names if wanted is None or n in wanted]), columns=names, where=where)
