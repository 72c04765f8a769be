"""The usable rows of one split: texts and label names, with what was dropped counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thriftune.data.labels import label_names, padded_names, without_gold
from thriftune.data.large.tables import column_by_parts, filtered, numbered, slices
from thriftune.data.table import SourceTable
from thriftune.errors import InputError
from thriftune.results.profile import Dropped

if TYPE_CHECKING:
    import polars as pl

GROUP = "\x00group"
"""Carries the grouping column until the splits are made."""
ROW = "\x00row"
"""Carries each row's place in its file where a table is a part of one."""


@dataclass(frozen=True)
class Names:
    """Which columns a study uses: as the user calls them, and as the dataset calls them."""

    text: tuple[str, ...]
    label: str
    keep: tuple[str, ...]
    group: str | None

    @property
    def text_out(self) -> tuple[str, ...]:
        """The text columns of the dataset; `example` and `label` are taken."""
        return _clear(self.text, {"example", "label"}, "_text")

    @property
    def keep_out(self) -> tuple[str, ...]:
        """The kept columns of the dataset, clear of the others."""
        return _clear(self.keep, {"example", "label", GROUP, *self.text_out}, "_kept")

    def out(self, name: str) -> str:
        """What the dataset calls a text or kept column of the user's."""
        return dict(zip((*self.text, *self.keep), (*self.text_out, *self.keep_out), strict=True))[name]


def _clear(names: tuple[str, ...], taken: set[str], suffix: str) -> tuple[str, ...]:
    """The names, with the suffix (as often as it takes) on those that are taken."""
    out: list[str] = []
    for name in names:
        new = name
        while new in taken or new in out or (new != name and new in names):
            new += suffix
        out.append(new)
    return tuple(out)


@dataclass(frozen=True)
class UsableRows:
    """What is left of a table."""

    frame: pl.DataFrame
    """example, the text columns, label (a name), the kept columns and, where asked for, the group."""
    dropped: tuple[Dropped, ...]
    unlabelled: bool
    """Whether no row at all had a label."""
    where: str
    padded: tuple[str, ...] = ()
    """Labels as written with blanks around them."""


def usable_rows(table: SourceTable, split: str, names: Names, resolved: dict[str, str]) -> UsableRows:
    """Drops rows without a label or with a blank text, each counted once, by its first reason.

    `resolved` gives the table's column for each of the user's names. Raises `InputError` for nested values.
    """
    import polars as pl

    source = table.frame
    declared = table.label_names.get(resolved[names.label])
    labels = column_by_parts(source[resolved[names.label]], lambda part: label_names(part, declared))
    rows = source[ROW] if ROW in source.columns else numbered(source.height)
    columns = [rows.cast(pl.Int64).alias("example")]
    columns += [
        _text(source[resolved[name]], table.where).alias(out)
        for name, out in zip(names.text, names.text_out, strict=True)
    ]
    columns.append(labels.alias("label"))
    grouped = names.group is not None and names.group in resolved
    group = [_text(source[resolved[str(names.group)]], table.where, "grouping").alias(GROUP)] if grouped else []
    columns += [
        _kept(source, resolved.get(name), out, table.where)
        for name, out in zip(names.keep, names.keep_out, strict=True)
    ]
    frame = pl.DataFrame([*columns, *group])
    no_gold = without_gold(labels.drop_nulls().unique().to_list(), resolved[names.label], declared is not None)
    frame, dropped = _drop(frame, split, names.text_out, no_gold)
    unlabelled = not labels.is_in(sorted(no_gold)).not_().any()  # null where there is no label
    return UsableRows(
        frame=frame,
        dropped=dropped,
        unlabelled=unlabelled,
        where=table.where,
        padded=padded_names(source[resolved[names.label]]),
    )


def _text(column: pl.Series, where: str, role: str = "text") -> pl.Series:
    import polars as pl

    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise InputError(
            f'{where}: the {role} column "{column.name}" holds {column.dtype} values. Give a column of plain values.'
        )
    if column.dtype.is_float():
        column = column.fill_nan(None)  # pandas writes missing texts so
    if column.dtype == pl.String:
        return column
    try:
        return column_by_parts(column, lambda part: part.cast(pl.String))
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f'{where}: the {role} column "{column.name}" holds {column.dtype} values, which are not text. '
            "Save them as text, or give another column."
        ) from error


def _kept(source: pl.DataFrame, name: str | None, out: str, where: str) -> pl.Series:
    """A carried column; null in splits that lack it. Raises `InputError` for values that the report cannot show."""
    import polars as pl

    if name is None:
        return pl.Series(out, [None] * source.height, dtype=pl.String)
    if not source[name].dtype.is_nested() and source[name].dtype != pl.Binary:
        _text(source[name], where, "kept")
    return source[name].alias(out)


def _drop(
    frame: pl.DataFrame, split: str, texts: Sequence[str], no_gold: set[str]
) -> tuple[pl.DataFrame, tuple[Dropped, ...]]:
    import polars as pl

    shown = " or ".join(sorted(no_gold))
    reasons = ["no label", f"no gold label ({shown})", *(f'blank "{name}"' for name in texts)]
    counts, kept = [0] * len(reasons), []
    for rows in slices(frame.height):
        labels = frame["label"][rows]
        left = pl.repeat(True, len(labels), eager=True)
        tests = [labels.is_null(), labels.is_in(sorted(no_gold)).fill_null(False)]
        tests += [frame[name][rows].fill_null("").str.strip_chars() == "" for name in texts]
        for place, test in enumerate(tests):
            counts[place] += int((left & test).sum())
            left &= ~test
        kept.append(left)
    dropped = tuple(
        Dropped(split=split, reason=reason, count=count) for reason, count in zip(reasons, counts, strict=True) if count
    )
    return filtered(frame, pl.concat(kept)) if dropped else frame, dropped
