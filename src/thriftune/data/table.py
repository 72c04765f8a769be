"""One split as its source holds it, before any row is judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

Wanted = Collection[str] | None
"""Columns to keep in memory; None keeps all."""


@dataclass(frozen=True)
class Reading:
    """How a file is read: what is wanted of it, and what its user says about it."""

    wanted: Wanted = None
    limit: int | None = None
    """At most so many rows."""
    encoding: str = "auto"
    """A codec's name; auto finds it from the bytes."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first row names the columns; auto looks at the rows below it."""


@dataclass(frozen=True)
class Table:
    """The wanted columns of one split, and what is known of the others."""

    frame: pl.DataFrame
    """Those of the wanted columns that exist; (rows, columns)."""
    columns: tuple[str, ...]
    """All columns of the source, in order; a name may stand there twice."""
    where: str
    """How messages name the source: a path or demo:/hub: name."""
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of integer labels, by column, where the source declares them (hub class labels)."""
    notes: tuple[str, ...] = ()
    """What was guessed in reading."""
