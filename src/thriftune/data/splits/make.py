"""Makes the splits that a source lacks from its train rows: at random, by class, or by group."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thriftune.data.large.tables import taken
from thriftune.data.rows import GROUP
from thriftune.data.settings import SPLITS, SplitSettings
from thriftune.errors import InputError
from thriftune.wording import first_of

if TYPE_CHECKING:
    import polars as pl

SHOWN = 5
"""Of many labels so many are named."""
DRAWS = 30
"""Of groups, at most, for every split to have every class that it can have."""
Indices = npt.NDArray[np.int64]


def make_splits(
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
    if problems:
        raise InputError("\n".join(problems))
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
    train: pl.DataFrame, split: SplitSettings, shares: dict[str, float], labels: tuple[str, ...], notes: list[str]
) -> dict[str, pl.DataFrame]:
    groups = None
    if split.group_by is not None:
        groups = _group_numbers(train[GROUP])
    parts = split_rows(shares, train["label"].to_numpy(), stratify=split.stratify, groups=groups, seed=split.seed)
    how = "stratified by label" if split.stratify else "at random"
    how = f'grouped by "{split.group_by}"' if split.group_by is not None else how
    made = " and ".join(f"{name} ({len(parts[name]):,} rows)" for name in shares)
    notes.append(f"Made from {train.height:,} train rows: {made}; {how}, seed {split.seed}.")
    if split.stratify and groups is None:
        notes += _too_few_to_share(train["label"].to_numpy(), labels, parts)
    return {name: taken(train, rows) for name, rows in parts.items()}


def _group_numbers(column: pl.Series) -> Indices:
    """(rows,) the number of each row's group, in the order in which they come; a row without one is one of its own."""
    import polars as pl

    frame = pl.DataFrame({"value": column, "row": pl.int_range(len(column), eager=True)})
    first = frame.select(pl.when(pl.col("value").is_null()).then("row").otherwise(pl.col("row").min().over("value")))
    return np.unique(first.to_series().to_numpy(), return_inverse=True)[1].astype(np.int64)


def _too_few_to_share(
    ids: npt.NDArray[np.int32], labels: tuple[str, ...], parts: dict[str, npt.NDArray[np.int64]]
) -> Iterator[str]:
    """Which classes have no row in a split that was made, because they have so few."""
    sizes = np.bincount(ids, minlength=len(labels))
    for name, rows in parts.items():
        there = np.bincount(ids[rows], minlength=len(labels))
        missing = [labels[c] for c in np.flatnonzero((sizes > 0) & (there == 0))]
        if missing:
            listed = first_of([f'"{label}"' for label in missing], SHOWN)
            yield f"{name} has no row of {listed}: too few to share out, so train has them."


def split_rows(
    shares: dict[str, float],
    labels: npt.NDArray[np.int32],
    *,
    stratify: bool,
    groups: Sequence[Hashable] | Indices | None = None,
    seed: int,
) -> dict[str, Indices]:
    """Row numbers, ascending, of each named split and of "train", which gets the rest; every row once.

    `labels` is (rows,), class ids. Shares are of all rows. With `groups` (one value per row, or numbers from 0 in the
    order in which they come) equal values stay together and sizes are as near to the shares as whole groups allow,
    drawn again where a split lacks a class that it could have; else with `stratify` each class is shared out alike, a
    class with fewer rows than there are splits first to train, then in the order of `shares`.
    The draw depends on the seed alone, not on the platform. Raises `InputError` where the rows or the groups are too
    few to go round.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        return _by_group(shares, labels, groups, rng)
    targets = {name: max(1, round(share * len(labels))) for name, share in shares.items()}
    if sum(targets.values()) >= len(labels):
        raise InputError(f"{len(labels)} rows are too few to make {_listed(shares)} from. Give more data.")
    if stratify:
        return _by_class(shares, targets, labels, rng)
    owner = np.zeros(len(labels), dtype=np.int8)
    _hand_out(owner, rng.permutation(_numbers(len(labels))), targets)
    return _owned(owner, shares)


def draw(rows: int, count: int, seed: int) -> Indices:
    """`count` of the row numbers 0..rows-1 at random, ascending; all of them where there are no more."""
    if count >= rows:
        return np.arange(rows, dtype=np.int64)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def draw_every_class(labels: npt.NDArray[np.integer], count: int, seed: int) -> Indices:
    """`draw` of rows with these labels (rows,); of a class that it would miss, a row in place of a commoner one's.

    Without room for all classes, or where none is missed, it is `draw` itself.
    """
    drawn = draw(len(labels), count, seed)
    there = np.bincount(labels)
    left = np.bincount(labels[drawn], minlength=len(there))
    missed = np.flatnonzero((there > 0) & (left == 0))
    if not len(missed) or np.count_nonzero(there) > count:
        return drawn
    random = np.random.default_rng(seed)
    added = [random.choice(np.flatnonzero(labels == label)) for label in missed]
    spared: list[int] = []
    for place in random.permutation(count):
        if len(spared) == len(added):
            break
        if left[labels[drawn[place]]] > 1:
            left[labels[drawn[place]]] -= 1
            spared.append(place)
    return np.sort(np.concatenate([np.delete(drawn, spared), np.array(added, dtype=np.int64)]))


def _numbers(rows: int) -> npt.NDArray[np.integer]:
    """Row numbers from 0, in half the memory where they are not too many for it."""
    return np.arange(rows, dtype=np.int32 if rows < 2**31 else np.int64)


def _hand_out(owner: npt.NDArray[np.int8], order: npt.NDArray[np.integer], sizes: dict[str, int]) -> None:
    """Gives the first rows of an order to each split in turn; what is left stays with train, which is 0."""
    start = 0
    for number, size in enumerate(sizes.values(), start=1):
        owner[order[start : start + size]] = number
        start += size


def _owned(owner: npt.NDArray[np.int8], shares: dict[str, float]) -> dict[str, Indices]:
    return {name: np.flatnonzero(owner == number) for number, name in enumerate(("train", *shares))}


def _by_class(
    shares: dict[str, float], targets: dict[str, int], labels: npt.NDArray[np.int32], rng: np.random.Generator
) -> dict[str, Indices]:
    classes, sizes = np.unique(labels, return_counts=True)
    left = sizes.astype(np.int64) - 1  # every class keeps a row for train
    counts: dict[str, Indices] = {}
    for done, name in enumerate(shares, start=1):
        # and, as far as it has as many, one for each split
        least = np.minimum(left, 1)
        most = np.maximum(least, left - (len(shares) - done))
        counts[name] = _allocate(targets[name], np.asarray(shares[name] * sizes, dtype=np.float64), least, most)
        left = left - counts[name]
    if any(2 * counts[name].sum() < targets[name] for name in shares):
        parts = len(shares) + 1
        raise InputError(
            f"A stratified split into {parts} parts needs {parts} rows of each class, or of most: "
            f"{(sizes < parts).sum():,} of {len(sizes):,} classes have fewer. Give another label column, or more rows "
            "of these classes, or set data.split.stratify to false."
        )
    owner, numbers = np.zeros(len(labels), dtype=np.int8), _numbers(len(labels))
    for i, c in enumerate(classes):
        _hand_out(owner, rng.permutation(numbers[labels == c]), {name: int(counts[name][i]) for name in shares})
    return _owned(owner, shares)


def _allocate(total: int, quotas: npt.NDArray[np.float64], least: Indices, most: Indices) -> Indices:
    """Whole numbers near the quotas that add up to `total`, each from `least` to `most` (largest remainders first)."""
    total = min(max(total, int(least.sum())), int(most.sum()))
    counts = np.clip(np.floor(quotas).astype(np.int64), least, most)
    while counts.sum() != total:
        gap = quotas - counts
        if counts.sum() < total:
            counts[np.argmax(np.where(counts < most, gap, -np.inf))] += 1
        else:
            counts[np.argmin(np.where(counts > least, gap, np.inf))] -= 1
    return counts


def _by_group(
    shares: dict[str, float],
    labels: npt.NDArray[np.int32],
    groups: Sequence[Hashable] | Indices,
    rng: np.random.Generator,
) -> dict[str, Indices]:
    """The first of `DRAWS` draws in which every split has all classes, or the one in which fewest are missing."""
    if isinstance(groups, np.ndarray):
        codes, count = groups, int(groups.max()) + 1
    else:
        numbers: dict[Hashable, int] = {}
        codes = np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)
        count = len(numbers)
    if count <= len(shares):
        raise InputError(
            f"The grouping column has {count} different values: too few to make {_listed(shares)} and "
            "train. Group by a column with more values."
        )
    names = ["train", *shares]
    held = np.unique(np.stack([labels, codes]), axis=1)  # each class once for each group that has it
    _, counts = np.unique(held[0], return_counts=True)
    wanted = int(np.minimum(counts, len(names)).sum())
    best, most = np.zeros(0, dtype=np.int64), -1
    for _ in range(DRAWS):
        try:
            owner = _owners(shares, np.bincount(codes), rng)
        except InputError:
            if most < 0:
                raise
            continue  # that order of the groups fills no split; one before did
        there = len(np.unique(np.stack([held[0], owner[held[1]]]), axis=1)[0])
        if there > most:
            best, most = owner, there
        if most >= wanted:
            break
    return {name: np.flatnonzero(best[codes] == number) for number, name in enumerate(names)}


def _owners(shares: dict[str, float], sizes: Indices, rng: np.random.Generator) -> Indices:
    """The split of each group, 0 being train: each is filled with groups in random order, leaving out those that would
    overshoot its share by more than they fill."""
    owner, rows = np.zeros(len(sizes), dtype=np.int64), int(sizes.sum())
    order = rng.permutation(len(sizes))
    for number, (name, share) in enumerate(shares.items(), start=1):
        target, size = share * rows, 0
        for group in order:
            if owner[group] == 0 and sizes[group] <= 2 * (target - size):
                owner[group] = number
                size += int(sizes[group])
        if size == 0:
            raise InputError(
                f"No group is small enough for the {name} split: {share:.0%} of {rows} rows. "
                "Raise its share, or group by a column with more values."
            )
    if not np.any(owner == 0):
        raise InputError(
            f"The groups are too large: {_listed(shares)} leave none to train on. Lower the shares, or group by "
            "a column with more values."
        )
    return owner


def _listed(names: dict[str, float]) -> str:
    return " and ".join(names)
