"""One split as its source holds it, before any row is judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

Wanted = Collection[str] | None
"""Columns to keep in memory; None keeps all."""


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read: what is wanted of it, and what its user says about it."""

    wanted: Wanted = None
    encoding: str = "auto"
    """A codec's name; auto finds it from the bytes."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first row names the columns; auto looks at the rows below it."""

    def wants(self, name: str) -> bool:
        """Whether a column is to be kept."""
        return self.wanted is None or name in self.wanted


@dataclass(frozen=True)
class SourceTable:
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


def text_table(
    columns: Mapping[str, Sequence[str | None]], reading: ReadOptions, where: str, notes: tuple[str, ...] = ()
) -> SourceTable:
    """The table of columns of text, of which the wanted ones are kept."""
    import polars as pl

    kept = {name: values for name, values in columns.items() if reading.wants(name)}
    frame: pl.DataFrame = pl.DataFrame(kept, schema=dict.fromkeys(kept, pl.String))
    return SourceTable(frame=frame, columns=tuple(columns), where=where, notes=notes)
