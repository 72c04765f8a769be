"""Gives labels the names that the study file asks for, and leaves out the rows of those that it maps to null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from thriftune.data.labels import canonical_names
from thriftune.data.large.tables import column_by_parts, filtered
from thriftune.data.rows import UsableRows
from thriftune.errors import InputError, did_you_mean
from thriftune.results.profile import Dropped
from thriftune.wording import first_of

Mapped = Mapping[str, str | int | None]
_SHOWN = 12


def relabel(rows: dict[str, UsableRows], mapping: Mapped) -> dict[str, UsableRows]:
    """The rows with their new labels, all names at once: {a: b, b: a} swaps two.

    Names are as written (without blanks around) or as the results call them. Raises `InputError` for a label that
    no row has, and where a split is left without rows.
    """
    if not mapping:
        return rows
    found = {name for part in rows.values() for name in part.frame["label"].unique().to_list()}
    stripped = written(mapping)
    _check_known(stripped, found)
    new = new_names(found, stripped)
    made = {split: applied(part, split, new) for split, part in rows.items()}
    empty = [split for split, part in made.items() if not part.frame.height]
    if empty:
        raise InputError(f"data.labels leaves no row in {' and '.join(empty)}. Map fewer labels to null.")
    return made


def written(mapping: Mapped) -> dict[str, str | int | None]:
    """The mapping with its labels as rows have them: without blanks around."""
    return {str(key).strip(): value for key, value in mapping.items()}


def new_names(found: Iterable[str], mapping: Mapped) -> dict[str, str | None]:
    """The new name of each label; None where its rows are to be left out."""
    known = set(found)
    canonical = canonical_names(known)
    new: dict[str, str | None] = {}
    for name in known:
        key = name if name in mapping else canonical.get(name, name)
        value = mapping.get(key, name)
        new[name] = None if value is None else str(value).strip()
    return new


def _check_known(mapping: Mapped, found: set[str]) -> None:
    known = found | set(canonical_names(found).values())
    unknown = [key for key in mapping if key not in known]
    if unknown:
        listed = sorted(found)
        shown = first_of([f'"{name}"' for name in listed], _SHOWN)
        raise InputError(
            "\n".join(
                f'data.labels: no row has the label "{key}"{did_you_mean(key, listed) or "."} The labels are {shown}.'
                for key in unknown
            )
        )


def applied(part: UsableRows, split: str, new: Mapping[str, str | None]) -> UsableRows:
    """The rows with the new names that `new_names` gave, without those of labels that are left out."""
    import polars as pl

    before = part.frame["label"]
    after = column_by_parts(before, lambda some: some.replace_strict(dict(new), return_dtype=pl.String))
    frame, gone = part.frame.with_columns(after), before.filter(after.is_null())
    if not len(gone):
        return replace(part, frame=frame)
    names = ", ".join(f'"{name}"' for name in gone.unique().sort().to_list())
    dropped = Dropped(split, f"label {names} (data.labels)", len(gone))
    return replace(part, frame=filtered(frame, after.is_not_null()), dropped=(*part.dropped, dropped))
