"""From what `data.source` says to one table per split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal

from thriftune.data.readers.folder_per_class import class_folders, read_class_folders
from thriftune.data.readers.formats import data_ending, data_stem, is_data_file, read_file
from thriftune.data.readers.hub import read_hub
from thriftune.data.readers.plug_ins import plug_ins, read_plug_in, scheme_of
from thriftune.data.settings import SPLITS
from thriftune.data.splits.names import split_of
from thriftune.data.table import ReadOptions, SourceTable, Wanted
from thriftune.errors import InputError, did_you_mean, unknown_name
from thriftune.paths import check_readable, is_ordinary, kind, missing, names_in, status, user_path
from thriftune.remote.reading import data_here
from thriftune.remote.url import url_of

DEMOS: dict[str, tuple[str, ...]] = {
    "snli": ("train", "validation", "test"),
    "cad-original": ("test",),
    "cad-revised": ("test",),
}
"""The bundled datasets and their splits (`demo/NAME/SPLIT.parquet`; origin and licence: demo/README.md)."""

_DEMO_NOTES = {
    "snli": "demo:snli is a small SNLI: train and validation are its 9,842 development pairs, parted so that no "
    "premise is in both (nine tenths and one tenth); test is its official test set."
}
OTHERS = ("demo:NAME", "hub:OWNER/NAME", "s3://BUCKET/FILE")
_SHARD = re.compile(r"-\d{3,}-of-\d{3,}$")
_PREFERRED = (".parquet", ".jsonl", ".ndjson", ".json", ".tsv", ".csv", ".xlsx", ".xlsm", ".txt", ".label")
_FEWEST_CLASSES = 2
_NOT_TEXT = (".parquet", ".xlsx", ".xlsm")
_WITH_NAMES = (".parquet", ".jsonl", ".ndjson", ".json")


def read_source(
    source: str | Mapping[str, str],
    base: Path | None = None,
    wanted: Wanted = None,
    *,
    encoding: str = "auto",
    header: Literal["auto", "yes", "no"] = "auto",
) -> tuple[dict[str, SourceTable], list[str]]:
    """The tables by split (train, validation, test), and notes on what was guessed or ignored.

    A single file is train. Relative paths are looked up in `base`, then in the working directory; `encoding` and
    `header` say what the files do not. Raises `InputError` for what does not exist or cannot be read.
    """
    reading = ReadOptions(wanted=wanted, encoding=encoding, header=header)
    _check_effect([source] if isinstance(source, str) else list(source.values()), reading)
    if isinstance(source, str):
        return _read_one(source, base, reading)
    unknown = [key for key in source if key not in SPLITS]
    if unknown:
        raise unknown_name("The split in data.source", unknown[0], SPLITS)
    if not source:
        raise InputError("data.source is empty. Give a file, or one per split: {train: a.csv, test: b.csv}.")
    tables: dict[str, SourceTable] = {}
    notes: list[str] = []
    for split, one in source.items():
        found, said = _read_one(one, base, reading)
        tables[split] = pick_split(found, split, one, f"data.source.{split}: ")
        notes += said
    return tables, notes


def source_name(source: str | Mapping[str, str]) -> str:
    """A short name for the data: the file's or folder's stem, or the demo or hub name."""
    if not isinstance(source, str):
        return source_name(source.get("train") or next(iter(source.values()), "data"))
    if scheme_of(source) and url_of(source) is None:
        return source.split(":", 1)[1]
    return data_stem(Path(source)) or "data"


def pick_split(found: dict[str, SourceTable], split: str, source: str, at: str = "") -> SourceTable:
    """A source's table of one split, or its only one; raises `InputError`, which begins with `at`, for others."""
    if split in found:
        return found[split]
    if len(found) == 1:
        return next(iter(found.values()))
    raise InputError(f"{at}{source} holds the splits {', '.join(found)}, none of them {split}. Give a single file.")


def _check_effect(sources: list[str], reading: ReadOptions) -> None:
    """Raises where what is said of the files is read by none of them."""
    files = [source for source in sources if not scheme_of(source) or url_of(source)]
    endings = [data_ending(Path(source)) for source in files]
    said = {
        "encoding": reading.encoding != "auto" and all(ending in _NOT_TEXT for ending in endings),
        "header": reading.header != "auto" and all(ending in _WITH_NAMES for ending in endings),
    }
    for key, idle in said.items():
        if idle:
            raise InputError(f"data.{key} has no effect on {', '.join(sources)}: it is for text files. Remove it.")


def _read_one(source: str, base: Path | None, reading: ReadOptions) -> tuple[dict[str, SourceTable], list[str]]:
    kind, _, name = source.partition(":")
    if kind == "demo":
        return _read_demo(name, reading.wanted)
    if kind == "hub":
        return _read_hub(name, reading.wanted)
    if url_of(source) is not None:
        return _read_path(data_here(source), reading)
    if scheme_of(source):
        return read_plug_in(source, base, reading.wanted)
    return _read_path(find_path(source, base), reading)


def _read_path(path: Path, reading: ReadOptions) -> tuple[dict[str, SourceTable], list[str]]:
    if path.is_dir():
        return _read_folder(path, reading)
    return {"train": read_file(path, reading=reading)}, []


def find_path(source: str, base: Path | None) -> Path:
    """The existing file or folder that a source names; raises `InputError` saying where it was looked for."""
    given = user_path(source)
    folders = [] if given.is_absolute() else [base or Path.cwd(), Path.cwd()]
    candidates = list(dict.fromkeys(folder / given for folder in folders)) or [given]
    for candidate in candidates:
        if (found := status(candidate)) is not None:
            if not is_ordinary(found):
                raise InputError(f"{source} is {kind(found)}, not a file. Save the data in a file, and give that.")
            check_readable(candidate)
            return candidate
    dangling = [f" ({c.absolute()} is {missing(c)})" for c in candidates if c.is_symlink()]
    tried = " nor ".join(str(candidate.absolute()) for candidate in candidates) + "".join(dangling)
    nearby = [name for c in candidates for name in names_in(c.parent)]
    raise InputError(
        f"{source} is not found: there is no {tried}{did_you_mean(given.name, nearby) or '.'} "
        "Relative paths start at the study file's folder, then at the working directory. "
        f"Other sources: {', '.join([*OTHERS, *(f'{name}:...' for name in plug_ins())])}."
    )


def _read_demo(name: str, wanted: Wanted) -> tuple[dict[str, SourceTable], list[str]]:
    if name not in DEMOS:
        raise unknown_name("The demo dataset", name, DEMOS)
    folder = Path(str(files("thriftune.data"))) / "demo" / name
    tables = {}
    for split in DEMOS[name]:
        table = read_file(folder / f"{split}.parquet", wanted)
        tables[split] = SourceTable(frame=table.frame, columns=table.columns, where=f"demo:{name}")
    return tables, [_DEMO_NOTES[name]] if name in _DEMO_NOTES else []


def _read_hub(name: str, wanted: Wanted) -> tuple[dict[str, SourceTable], list[str]]:
    repository, _, config = name.partition("#")
    if not repository:
        raise InputError("hub: names no dataset. Write hub:OWNER/NAME or hub:OWNER/NAME#CONFIG.")
    found = read_hub(repository, config or None, wanted)
    tables: dict[str, SourceTable] = {}
    notes = []
    for split, table in found.items():
        role = split_of(split)
        if role is None or role in tables:
            notes.append(f"The split {split} of hub:{name} is not used.")
        else:
            tables[role] = table
    return tables, notes


def _read_folder(folder: Path, reading: ReadOptions) -> tuple[dict[str, SourceTable], list[str]]:
    entries = sorted(entry for entry in folder.iterdir() if entry.is_file() and is_data_file(entry))
    chosen: dict[str, list[Path]] = {}
    unused = []
    for entry in entries:
        split = split_of(data_stem(entry))
        if split is None:
            unused.append(entry.name)
        else:
            chosen.setdefault(split, []).append(entry)
    if not chosen and (texts := _read_texts(folder, reading)) is not None:
        return texts
    if not chosen:
        raise InputError(
            f"{folder} holds no file named after a split (train, dev or validation, test); "
            f"data files there: {', '.join(unused) or 'none'}, and no folder of .txt files per class. "
            "Name one per split: {{train: a.csv, test: b.csv}}."
        )
    notes = [f"Not used in {folder.name}: {', '.join(unused)}."] if unused else []
    tables = {}
    for split in [split for split in SPLITS if split in chosen]:
        paths, said = _one_format(chosen[split], split, folder)
        tables[split] = _concatenate([read_file(path, reading=reading) for path in paths])
        notes += said
    return tables, notes


def _read_texts(folder: Path, reading: ReadOptions) -> tuple[dict[str, SourceTable], list[str]] | None:
    """The splits of a folder with a subfolder per class, or with such a folder for each split; None where it has
    neither. A folder without splits is train."""
    parts: dict[str, Path] = {}
    for entry in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        split = split_of(entry.name)
        if split is not None and len(class_folders(entry)) >= _FEWEST_CLASSES:
            if split in parts:
                raise InputError(
                    f"{folder} holds several folders for {split}: {parts[split].name}, {entry.name}. Name one per "
                    "split: {train: a, test: b}."
                )
            parts[split] = entry
    if parts:
        return {split: read_class_folders(parts[split], reading) for split in SPLITS if split in parts}, []
    if len(class_folders(folder)) >= _FEWEST_CLASSES:
        return {"train": read_class_folders(folder, reading)}, []
    return None


def _one_format(paths: list[Path], split: str, folder: Path) -> tuple[list[Path], list[str]]:
    """The shards of one file; where the same file is there in several formats, the best of them."""
    stems = {_SHARD.sub("", data_stem(path)) for path in paths}
    if len(stems) > 1:
        raise InputError(
            f"{folder} holds several files for {split}: {', '.join(path.name for path in paths)}. "
            "Name one per split: {train: a.csv, test: b.csv}."
        )
    ending = min((data_ending(path) for path in paths), key=_PREFERRED.index)
    best = [path for path in paths if data_ending(path) == ending]
    rest = [path.name for path in paths if path not in best]
    note = f"{', '.join(path.name for path in best)} is read; the same in another format: {', '.join(rest)}."
    return best, [note] if rest else []


def _concatenate(tables: list[SourceTable]) -> SourceTable:
    import polars as pl

    first = tables[0]
    if len(tables) == 1:
        return first
    for table in tables[1:]:
        if table.columns != first.columns:
            raise InputError(
                f"{first.where} and {table.where} are parts of one split and have different columns: "
                f"{', '.join(first.columns)}; {', '.join(table.columns)}."
            )
    frame = pl.concat([table.frame for table in tables], how="vertical_relaxed")
    return SourceTable(
        frame=frame, columns=first.columns, where=f"{first.where} (and parts)", label_names=first.label_names
    )
