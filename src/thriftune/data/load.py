"""From the `data:` part of a study file to a dataset in splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thriftune.data.columns import column_problems, name_problems, resolve, spellings, wanted_columns
from thriftune.data.dataset import Dataset
from thriftune.data.labels import canonical_names, order_labels
from thriftune.data.relabel import relabel
from thriftune.data.rows import GROUP, Names, Rows, usable_rows
from thriftune.data.settings import SPLITS, DataSettings, SplitSettings
from thriftune.data.sources import read_source, source_name
from thriftune.data.splits.by_column import split_by_column
from thriftune.data.splits.deduplicate import deduplicate
from thriftune.data.splits.made import draw, split_rows
from thriftune.data.table import Table
from thriftune.errors import InputError
from thriftune.results.profile import Dropped

if TYPE_CHECKING:
    import polars as pl

LIMIT_SEED = 42
SHOWN = 5
"""Of many labels so many are named."""


def load_dataset(settings: DataSettings, base: Path | None = None, needs_validation: bool = True) -> Dataset:
    """Reads a source and gives its labelled texts in train, validation and test; validation may be missing where
    it is not needed.

    Relative paths are looked up in `base` (the study file's folder), then in the working directory. Rows that
    cannot be used are dropped and counted; guesses are noted. Raises `InputError` for whatever keeps the data
    from being used: files, columns, labels or splits that are missing or do not fit.
    """
    _raise(name_problems(settings))
    wanted = spellings(wanted_columns(settings))
    tables, notes = read_source(settings.source, base, wanted, encoding=settings.encoding, header=settings.header)
    return from_tables(settings, tables, notes, needs_validation)


def from_tables(
    settings: DataSettings, tables: dict[str, Table], notes: list[str], needs_validation: bool = True
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
    frames = _make_splits(declared_frames, settings.split, labels, notes, needs_validation)
    _check_seen(frames, labels, "")
    if settings.deduplicate:
        frames = deduplicate(frames, names.text_out, notes)
        _check_seen(frames, labels, " after data.deduplicate")
    frames = _limit(frames, settings.limit, notes)
    _check_seen(frames, labels, " after data.limit; raise data.limit.train")
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
    )


def _raise(problems: list[str]) -> None:
    if problems:
        raise InputError("\n".join(problems))


def _usable(tables: dict[str, Table], settings: DataSettings, notes: list[str]) -> tuple[dict[str, Rows], Names]:
    """The usable rows by split, in the order train, validation, test."""
    group = settings.split.group_by if isinstance(settings.split, SplitSettings) else None
    names = Names(text=settings.text, label=settings.label, keep=settings.keep, group=group)
    carried = "test" if "test" in tables else "train"
    problems = []
    for split, table in tables.items():
        needed = [*settings.text, settings.label]
        needed += settings.keep if split == carried else ()
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
    _note_renamed(names, notes)
    return _without_empty(rows, notes), names


def _note_renamed(names: Names, notes: list[str]) -> None:
    for given, out in zip((*names.text, *names.keep), (*names.text_out, *names.keep_out), strict=True):
        if given != out:
            notes.append(f'The column "{given}" is called "{out}" in the results.')


def _without_empty(rows: dict[str, Rows], notes: list[str]) -> dict[str, Rows]:
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
    rows: dict[str, Rows], tables: dict[str, Table], names: Names, notes: list[str]
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
    return labels, {
        split: part.frame.with_columns(pl.col("label").replace_strict(ids, return_dtype=pl.Int32))
        for split, part in rows.items()
    }


def _make_splits(
    frames: dict[str, pl.DataFrame],
    split: SplitSettings | str,
    labels: tuple[str, ...],
    notes: list[str],
    needs_validation: bool,
) -> dict[str, pl.DataFrame]:
    """Checks that every split is there or asked for, and makes what is asked for."""
    asked = {"test": split.test, "validation": split.validation} if isinstance(split, SplitSettings) else {}
    shares = {name: share for name, share in asked.items() if share > 0}
    problems = [
        f"data.split.{name} asks for a {name} split, but the source has one ({frames[name].height:,} rows). "
        f"Remove data.split.{name}, or give a source without it."
        for name in shares
        if name in frames
    ]
    if isinstance(split, SplitSettings) and not shares and split.column is None:
        problems.append(
            "data.split makes nothing: set its test or validation share or its column, or say split: given."
        )
    missing = [name for name in SPLITS if name not in frames and name not in shares]
    problems += _missing_problems([name for name in missing if name != "validation" or needs_validation])
    _raise(problems)
    if isinstance(split, SplitSettings) and shares:
        frames = frames | _carve(frames["train"], split, shares, labels, notes)
    if "validation" not in frames:
        notes.append("The data has no validation split, and no run of the study needs one.")
    return {name: frames[name].drop(GROUP, strict=False) for name in SPLITS if name in frames}


def _missing_problems(missing: list[str]) -> list[str]:
    if not missing:
        return []
    shares = {"test": "test: 0.2", "validation": "validation: 0.1"}
    remedy = ", ".join(shares[name] for name in ("test", "validation") if name in missing)
    use = {"validation": "validation picks the best weights", "test": "test compares the methods"}
    return [
        f"The data has no {' and no '.join(missing)} split ({'; '.join(use[name] for name in missing)}). "
        f"Set data.split to {{{remedy}}} to make it from train, or give one file per split."
        + (" With protocol.keep: last no validation is needed." if missing == ["validation"] else "")
    ]


def _carve(
    train: pl.DataFrame,
    split: SplitSettings,
    shares: dict[str, float],
    labels: tuple[str, ...],
    notes: list[str],
) -> dict[str, pl.DataFrame]:
    groups = None
    if split.group_by is not None:
        # A row without a group is a group of its own.
        values = zip(train[GROUP].to_list(), train["example"].to_list(), strict=True)
        groups = [(value, example if value is None else None) for value, example in values]
    parts = split_rows(
        shares,
        train["label"].to_numpy(),
        stratify=split.stratify,
        groups=groups,
        seed=split.seed,
    )
    how = "stratified by label" if split.stratify else "at random"
    how = f'grouped by "{split.group_by}"' if split.group_by is not None else how
    made = " and ".join(f"{name} ({len(parts[name]):,} rows)" for name in shares)
    notes.append(f"Made from {train.height:,} train rows: {made}; {how}, seed {split.seed}.")
    if split.stratify and groups is None:
        notes += _too_few_to_share(train["label"].to_numpy(), labels, parts)
    return {name: train[indices] for name, indices in parts.items()}


def _too_few_to_share(
    ids: npt.NDArray[np.int32], labels: tuple[str, ...], parts: dict[str, npt.NDArray[np.int64]]
) -> Iterator[str]:
    """Which classes have no row in a split that was made, because they have so few."""
    sizes = np.bincount(ids, minlength=len(labels))
    for name, rows in parts.items():
        there = np.bincount(ids[rows], minlength=len(labels))
        missing = [labels[c] for c in np.flatnonzero((sizes > 0) & (there == 0))]
        if missing:
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            listed = ", ".join(f'"{label}"' for label in missing[:SHOWN])
            yield f"{name} has no row of {listed}{more}: too few to share out, so train has them."


def _limit(frames: dict[str, pl.DataFrame], limit: dict[str, int], notes: list[str]) -> dict[str, pl.DataFrame]:
    limited = dict(frames)
    idle = [split for split in limit if split not in frames]
    if idle:
        raise InputError(f"data.limit.{idle[0]} has no effect: the data has no {idle[0]} split. Remove it.")
    for split, count in limit.items():
        rows = frames[split].height
        if count < rows:
            limited[split] = frames[split][draw(rows, count, LIMIT_SEED)]
            notes.append(f"{split}: {count:,} of {rows:,} rows, drawn at random (seed {LIMIT_SEED}).")
    return limited


def _check_seen(frames: dict[str, pl.DataFrame], labels: tuple[str, ...], why: str) -> None:
    """Raises for classes that an evaluation split has and train lacks."""
    seen = set(frames["train"]["label"].unique().to_list())
    problems = []
    for split in [split for split in ("validation", "test") if split in frames]:
        unseen = sorted(set(frames[split]["label"].unique().to_list()) - seen)
        if unseen:
            shown = ", ".join(f'"{labels[i]}"' for i in unseen)
            known = ", ".join(f'"{labels[i]}"' for i in sorted(seen))
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
            digest.update(np.ascontiguousarray(frame[name].to_numpy(), dtype="<i8").tobytes())
        for name in text_columns:
            # The lengths keep "ab", "c" apart from "a", "bc".
            lengths = frame[name].str.len_bytes().to_numpy()
            digest.update(np.ascontiguousarray(lengths, dtype="<i8").tobytes())
            for text in frame[name]:
                digest.update(text.encode())
    return digest.hexdigest()
