"""From the `data:` part of a study file to a dataset in splits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thriftune.data.columns import column_problems, resolve, spellings, wanted_columns
from thriftune.data.dataset import Dataset
from thriftune.data.labels import canonical_names, order_labels
from thriftune.data.large.tables import column_by_parts, on_disk, slices, taken
from thriftune.data.relabel import relabel
from thriftune.data.rows import Names, UsableRows, usable_rows
from thriftune.data.settings import SPLITS, DataSettings, SplitSettings
from thriftune.data.sources import read_source, source_name
from thriftune.data.splits.by_column import split_by_column
from thriftune.data.splits.deduplicate import deduplicate
from thriftune.data.splits.groups import find_groups
from thriftune.data.splits.make import draw, draw_every_class, make_splits
from thriftune.data.table import SourceTable
from thriftune.errors import InputError
from thriftune.results.profile import Dropped
from thriftune.wording import first_of

if TYPE_CHECKING:
    import polars as pl

LIMIT_SEED = 42


def load_dataset(settings: DataSettings, base: Path | None = None, needs_validation: bool = True) -> Dataset:
    """Reads a source and gives its labelled texts in train, validation and test; validation may be missing where
    it is not needed.

    Relative paths are looked up in `base` (the study file's folder), then in the working directory. Rows that
    cannot be used are dropped and counted; guesses are noted. Raises `InputError` for whatever keeps the data
    from being used: files, columns, labels or splits that are missing or do not fit.
    """
    wanted = spellings(wanted_columns(settings))
    tables, notes = read_source(settings.source, base, wanted, encoding=settings.encoding, header=settings.header)
    return from_tables(settings, tables, notes, needs_validation)


def from_tables(
    settings: DataSettings, tables: dict[str, SourceTable], notes: list[str], needs_validation: bool = True
) -> Dataset:
    """The dataset from what `read_source` gave for the settings' source; raises `InputError` as `load_dataset`."""
    notes = list(notes)
    by_column: tuple[Dropped, ...] = ()
    if isinstance(settings.split, SplitSettings) and settings.split.column is not None:
        tables, by_column = split_by_column(tables, settings.split.column, notes)
    notes += [note for table in tables.values() for note in table.notes]
    if "train" not in tables:
        raise InputError(
            f"The data has no train split (it has {', '.join(tables)}). Give one per split: "
            "{train: a.csv, validation: b.csv, test: c.csv}."
        )
    rows, names = _usable(tables, settings, notes)
    rows = relabel(rows, settings.labels)
    labels, declared_frames = _with_label_ids(rows, tables, names, notes)
    padded = tuple(dict.fromkeys(name for part in rows.values() for name in part.padded))
    if padded:
        shown = ", ".join(f'"{name}"' for name in padded[:5]) + (" and others" if len(padded) > 5 else "")
        notes.append(f"Labels are written with blanks around them ({shown}); the blanks are removed.")
    frames = make_splits(declared_frames, settings.split, labels, notes, needs_validation)
    _check_seen(frames, labels, "")
    if settings.deduplicate:
        frames = deduplicate(frames, names.text_out, notes)
        _check_seen(frames, labels, " after data.deduplicate")
    frames = _limit(frames, settings.limit, notes)
    _check_seen(frames, labels, f" after data.limit; raise data.limit.train, at least to {len(labels)}")
    group = find_groups(settings.grouping, names, frames, notes)
    frames = {split: on_disk(frame) for split, frame in frames.items()}
    return Dataset(
        name=source_name(settings.source),
        labels=labels,
        text_columns=names.text_out,
        label_column=settings.label,
        splits=frames,
        dropped=(*by_column, *(dropped for part in rows.values() for dropped in part.dropped)),
        notes=tuple(notes),
        fingerprint=fingerprint(frames, labels, names.text_out),
        padded_labels=padded,
        group=group,
    )


def _raise(problems: list[str]) -> None:
    if problems:
        raise InputError("\n".join(problems))


def _usable(
    tables: dict[str, SourceTable], settings: DataSettings, notes: list[str]
) -> tuple[dict[str, UsableRows], Names]:
    """The usable rows by split, in the order train, validation, test."""
    group = settings.split.group_by if isinstance(settings.split, SplitSettings) else None
    names = Names(text=settings.text, label=settings.label, keep=settings.carried, group=group)
    carried = "test" if "test" in tables else "train"
    problems = []
    for split, table in tables.items():
        needed = [*settings.text, settings.label]
        needed += settings.keep if split == carried else ()
        needed += [settings.group] if settings.group is not None and split == carried else []
        needed += [group] if group is not None and split == "train" else []
        problems += column_problems(table, dict.fromkeys(needed))
    _raise(problems)
    rows = {}
    for split in [split for split in SPLITS if split in tables]:
        found = resolve(tables[split], wanted_columns(settings))
        rows[split] = usable_rows(tables[split], split, names, found)
        for name, column in found.items():
            note = f'"{name}" is read from the column "{column}".'
            if name != column and note not in notes:
                notes.append(note)
    renamed = zip((*names.text, *names.keep), (*names.text_out, *names.keep_out), strict=True)
    notes += [f'The column "{given}" is called "{out}" in the results.' for given, out in renamed if given != out]
    return _without_empty(rows, notes), names


def _without_empty(rows: dict[str, UsableRows], notes: list[str]) -> dict[str, UsableRows]:
    """Leaves out evaluation splits without labels (competition test sets); any other empty split is an error."""
    left, problems = {}, []
    for split, part in rows.items():
        if part.frame.height:
            left[split] = part
        elif part.unlabelled and split != "train":
            notes.append(f"The {split} split of the source has no labels and is not used.")
        else:
            reasons = ", ".join(f"{d.reason}: {d.count:,}" for d in part.dropped)
            problems.append(f"No usable row is left in {split} ({part.where}). Dropped: {reasons}.")
    _raise(problems)
    return left


def _with_label_ids(
    rows: dict[str, UsableRows], tables: dict[str, SourceTable], names: Names, notes: list[str]
) -> tuple[tuple[str, ...], dict[str, pl.DataFrame]]:
    import polars as pl

    found = {name for part in rows.values() for name in part.frame["label"].unique().to_list()}
    renamed = canonical_names(found)
    column = resolve(tables["train"], [names.label])[names.label]
    declared = tables["train"].label_names.get(column)
    labels = order_labels({renamed.get(name, name) for name in found}, declared)
    if "-1" in labels:
        notes.append('The label "-1" is kept as a class. If it marks missing labels, remove these rows.')
    ids = {name: labels.index(renamed.get(name, name)) for name in found}

    def numbered(names: pl.Series) -> pl.Series:
        return names.replace_strict(ids, return_dtype=pl.Int32)

    return labels, {
        split: part.frame.with_columns(column_by_parts(part.frame["label"], numbered)) for split, part in rows.items()
    }


def _limit(frames: dict[str, pl.DataFrame], limit: dict[str, int], notes: list[str]) -> dict[str, pl.DataFrame]:
    limited = dict(frames)
    idle = [split for split in limit if split not in frames]
    if idle:
        raise InputError(f"data.limit.{idle[0]} has no effect: the data has no {idle[0]} split. Remove it.")
    for split, count in limit.items():
        rows = frames[split].height
        if count < rows:
            if split == "train":
                chosen = draw_every_class(frames[split]["label"].to_numpy(), count, LIMIT_SEED)
            else:
                chosen = draw(rows, count, LIMIT_SEED)
            limited[split] = taken(frames[split], chosen)
            notes.append(f"{split}: {count:,} of {rows:,} rows, drawn at random (seed {LIMIT_SEED}).")
    return limited


def _check_seen(frames: dict[str, pl.DataFrame], labels: tuple[str, ...], why: str) -> None:
    """Raises for classes that an evaluation split has and train lacks."""
    seen = set(frames["train"]["label"].unique().to_list())
    problems = []
    for split in [split for split in ("validation", "test") if split in frames]:
        unseen = sorted(set(frames[split]["label"].unique().to_list()) - seen)
        if unseen:
            shown, known = (first_of([f'"{labels[i]}"' for i in found]) for found in (unseen, sorted(seen)))
            problems.append(f"{split} has the label {shown}, which train lacks{why} (train has {known}).")
    _raise(problems)
    if len(seen) < 2:
        raise InputError(f'train has one label only, "{labels[min(seen)]}"{why}. It needs at least two.')


def fingerprint(frames: dict[str, pl.DataFrame], labels: tuple[str, ...], text_columns: tuple[str, ...]) -> str:
    """SHA-256 over label names and, in the order of the frames, their names, row numbers, labels and texts."""
    digest = hashlib.sha256(repr(labels).encode())
    for split, frame in frames.items():
        digest.update(f"{split} {frame.height}".encode())
        for name in ("example", "label"):
            for rows in slices(frame.height):
                digest.update(np.ascontiguousarray(frame[name][rows].to_numpy(), dtype="<i8").tobytes())
        for name in text_columns:
            # The lengths keep "ab", "c" apart from "a", "bc".
            for rows in slices(frame.height):
                lengths = frame[name][rows].str.len_bytes().to_numpy()
                digest.update(np.ascontiguousarray(lengths, dtype="<i8").tobytes())
            for text in frame[name]:
                digest.update(text.encode())
    return digest.hexdigest()
