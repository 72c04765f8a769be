"""Robustness sets: test sets beyond the data's own, with its columns and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.data.columns import column_problems, resolve, spellings
from thriftune.data.dataset import Dataset, RobustnessSet
from thriftune.data.labels import canonical_names
from thriftune.data.load import fingerprint, load_dataset
from thriftune.data.relabel import applied, new_names, written
from thriftune.data.rows import Names, UsableRows, usable_rows
from thriftune.data.settings import DataSettings
from thriftune.data.sources import pick_split, read_source
from thriftune.errors import InputError
from thriftune.wording import first_of

if TYPE_CHECKING:
    import polars as pl


def load_with_robustness(
    settings: DataSettings, sources: dict[str, str], base: Path | None = None, needs_validation: bool = True
) -> Dataset:
    """The data of a study with its robustness sets, by name.

    Raises `InputError` with the problems of the data and of every set together.
    """
    problems = []
    dataset: Dataset | None = None
    try:
        dataset = load_dataset(settings, base, needs_validation)
    except InputError as error:
        problems.append(str(error))
    sets = {}
    for name, source in sources.items():
        try:
            sets[name] = load_set(name, source, settings, dataset.labels if dataset else None, base)
        except InputError as error:
            problems.append(f"robustness.{name}: {error}")
    if dataset is None or problems:
        raise InputError("\n".join(problems))
    return replace(dataset, robustness=sets)


def load_set(
    name: str, source: str, settings: DataSettings, labels: tuple[str, ...] | None, base: Path | None = None
) -> RobustnessSet:
    """One robustness set: the test split of its source, or its only one, under the study's columns.

    Labels are matched by name with the study's `labels`; None leaves them unchecked. Raises `InputError` for a
    source that is not there, columns that it lacks, and labels that the study does not have.
    """
    columns = (*settings.text, settings.label)
    tables, notes = read_source(source, base, spellings([*columns, *settings.carried]))
    table = pick_split(tables, "test", source)
    if problems := column_problems(table, columns):
        raise InputError(" ".join(problems))
    names = Names(text=settings.text, label=settings.label, keep=settings.carried, group=None)
    rows = usable_rows(table, name, names, resolve(table, [*columns, *settings.carried]))
    if settings.labels:
        new = new_names(rows.frame["label"].unique().to_list(), written(settings.labels))
        rows = applied(rows, name, new)
    if not rows.frame.height:
        raise InputError(f"{table.where} has no row with a label and a text.")
    frame = rows.frame if labels is None else _with_label_ids(rows, labels)
    return RobustnessSet(
        source=source,
        frame=frame,
        dropped=rows.dropped,
        notes=(*notes, *table.notes),
        fingerprint=fingerprint({name: frame}, labels, names.text_out) if labels is not None else "",
    )


def _with_label_ids(rows: UsableRows, labels: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    found = rows.frame["label"].unique().sort().to_list()
    renamed = canonical_names(found)
    known = {name: name if name in labels else renamed.get(name, name) for name in found}
    unknown = [name for name in found if known[name] not in labels]
    if unknown:
        shown = first_of([f'"{name}"' for name in unknown], 8)
        raise InputError(
            f"{rows.where} has the label {shown}, which the study's data lacks (it has {', '.join(labels)}). "
            "A robustness set needs the same labels under the same names."
        )
    ids = {name: labels.index(known[name]) for name in found}
    return rows.frame.with_columns(pl.col("label").replace_strict(ids, return_dtype=pl.Int32))
