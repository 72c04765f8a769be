"""What in a dataset makes scores say less than they seem to, each with its remedy."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from thriftune.data.columns import keyed, repeated_rows, rows_in_both
from thriftune.data.dataset import Dataset, label_counts
from thriftune.data.labels import MISSING
from thriftune.results.profile import DataWarning

if TYPE_CHECKING:
    pass

FEWEST_ROWS = 10
"""A class with fewer training rows is said to have few."""
DOMINANT = 0.8
"""Share of train from which one class is said to dominate."""
REPEATED = 0.01
"""Share of train from which repeated texts are said; fewer cannot move a score by a point."""
GROUPED = 1.25
"""Test rows to a different text from which it is said that they belong together."""
NUMERIC_CLASSES = 20
"""More classes than these, all whole numbers with gaps, may be numbers to predict."""
_SHOWN = 5
_PLAIN = re.compile(r"[^\W\d][\w-]*")
_YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def find_warnings(dataset: Dataset) -> list[DataWarning]:
    """All that is to be said, in the order of what to settle first; the same data gives the same warnings."""
    return [
        warning
        for find in (
            *(_variants, _missing, _numeric, _shared, _conflicting, _repeated, _grouped, _few_rows, _absent),
            _dominant,
        )
        for warning in find(dataset)
    ]


def _variants(dataset: Dataset) -> Iterator[DataWarning]:
    """Labels that differ in capitals, blanks or invisible characters alone."""
    groups: dict[str, list[str]] = {}
    for label in dataset.labels:
        groups.setdefault(_folded(label), []).append(label)
    counts = label_counts(dataset.splits["train"], dataset.labels)
    padded: dict[str, list[str]] = {}
    for written in dataset.padded_labels:
        padded.setdefault(_folded(written), []).append(written)
    merged: dict[str, str] = {}
    said = []
    for key, labels in groups.items():
        if len(labels) < 2:
            continue
        kept = max(labels, key=lambda label: (counts[label], label))
        merged |= {label: kept for label in labels if label != kept}
        said.append(" and ".join(map(quoted, [*labels, *padded.get(key, [])])))
    if not merged:
        return
    more = f" (and {len(said) - _SHOWN} more such groups)" if len(said) > _SHOWN else ""
    yield DataWarning(
        "label_variants",
        f"Labels that differ in capitals or blanks alone are classes of their own among the {len(dataset.labels)}: "
        f"{'; '.join(said[:_SHOWN])}{more}.",
        f"Where they mean the same, data.labels: {flow(merged)} merges them.",
    )


def _folded(label: str) -> str:
    """A label without what hands vary: capitals, blanks, hyphens, invisible characters."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", label) if unicodedata.category(c) != "Cf")
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", visible.strip().casefold())


def _missing(dataset: Dataset) -> Iterator[DataWarning]:
    found = [label for label in dataset.labels if label.casefold() in MISSING]
    if found:
        rows = sum(label_counts(frame, dataset.labels)[label] for frame in dataset.splits.values() for label in found)
        what = "is a class" if len(found) == 1 else "are classes"
        yield DataWarning(
            "missing_label",
            f"{_listed(found)} {what} here ({rows:,} row{'s' * (rows != 1)}), but such words often mean that a label "
            "is missing.",
            f"If so, data.labels: {flow(dict.fromkeys(found))} leaves these rows out.",
            rows / sum(frame.height for frame in dataset.splits.values()),
        )


def _numeric(dataset: Dataset) -> Iterator[DataWarning]:
    labels = [label for label in dataset.labels if re.fullmatch(r"[+-]?\d+", label)]
    if len(labels) != len(dataset.labels) or len(labels) <= NUMERIC_CLASSES:
        return
    values = sorted(map(int, labels))
    if values[-1] - values[0] + 1 > len(values):
        yield DataWarning(
            "numeric_labels",
            f"The {len(labels)} classes are all whole numbers with gaps, from {values[0]} to {values[-1]}: if they "
            "measure something, this is regression, and no number is nearer to the truth than another here.",
            "Turn the numbers into a few classes, or name another label column.",
        )


def _shared(dataset: Dataset) -> Iterator[DataWarning]:
    for first, second in (("train", "test"), ("validation", "test"), ("train", "validation")):
        known, rows = dataset.splits.get(first), dataset.splits.get(second)
        if known is None or rows is None:
            continue
        count = rows_in_both(rows, known, dataset.text_columns)
        if count:
            what, them = ("texts stands", "it") if count == 1 else ("texts stand", "them")
            flatter = f": scores on {second} may flatter every method" if count >= REPEATED * rows.height else ""
            yield DataWarning(
                "shared_texts",
                f"{count:,} of {rows.height:,} {second} {what} in {first} too, word for word{flatter}.",
                f"data.deduplicate: true leaves {them} out of {first if second == 'test' else 'train'}.",
                count / rows.height,
            )


def _conflicting(dataset: Dataset) -> Iterator[DataWarning]:
    import polars as pl

    names = dataset.text_columns
    splits = dataset.splits.values()
    rows = pl.concat([keyed(frame, names).with_columns(frame["label"].alias("\x00")) for frame in splits])
    ambiguous = (
        repeated_rows(rows, rows.columns[:-1])
        .group_by(rows.columns[:-1], maintain_order=True)
        .agg(pl.len().alias("\x00rows"), pl.col("\x00").unique(maintain_order=True).alias("\x00labels"))
        .filter(pl.col("\x00labels").list.len() > 1)
    )
    if not ambiguous.height:
        return
    first = ambiguous.row(0, named=True)
    labels = [dataset.labels[label] for label in first["\x00labels"]]
    count = int(ambiguous["\x00rows"].sum())
    texts = "one text" if ambiguous.height == 1 else f"{ambiguous.height:,} texts"
    yield DataWarning(
        "conflicting_labels",
        f"{count:,} rows hold {texts} under different labels, for example {quoted(first['0'])} as "
        f"{_listed(labels)}: no method can get all of them right.",
        "Correct their labels; data.deduplicate: true keeps the first of such rows in train.",
        count / rows.height,
    )


def _repeated(dataset: Dataset) -> Iterator[DataWarning]:
    train = dataset.splits["train"]
    keys = keyed(train, dataset.text_columns)
    again = repeated_rows(keys, keys.columns)
    count = again.height - again.n_unique()
    if count >= REPEATED * train.height:
        yield DataWarning(
            "repeated_texts",
            f"{count:,} of {train.height:,} training rows repeat the text of another: they weigh more than others.",
            "data.deduplicate: true keeps the first of each.",
            count / train.height,
        )


def _grouped(dataset: Dataset) -> Iterator[DataWarning]:
    """Test texts that repeat, or share one text of a pair, where the study does not say that they belong together."""
    test = dataset.splits["test"]
    different = {name: test[name].n_unique() for name in dataset.text_columns}
    name = min(different, key=lambda each: different[each])
    if dataset.group is None and test.height >= GROUPED * different[name]:
        pair = len(dataset.text_columns) > 1
        yield DataWarning(
            "grouped_texts",
            f"The {test.height:,} test {'pairs' if pair else 'rows'} have {different[name]:,} different values of "
            f"{quoted(name)}: those that share one tend to be right or wrong together, so that intervals which count "
            "each are too narrow.",
            f"data.group: {_word(name)} counts the values instead.",
            1 - different[name] / test.height,
        )


def _few_rows(dataset: Dataset) -> Iterator[DataWarning]:
    counts = label_counts(dataset.splits["train"], dataset.labels)
    few = {label: count for label, count in counts.items() if 0 < count < FEWEST_ROWS}
    if few:
        shown = _listed([f"{quoted(label)} ({count})" for label, count in few.items()], quote=False)
        which = "class has" if len(few) == 1 else "classes have"
        yield DataWarning(
            "few_rows",
            f"{len(few)} {which} fewer than {FEWEST_ROWS} training rows: {shown}. They are hardly learned, and count "
            "in macro F1 as much as any other.",
            "Add rows, merge classes (data.labels: {RARE: OTHER}), or leave theirs out (data.labels: {RARE: null}).",
            sum(few.values()) / dataset.splits["train"].height,
        )


def _absent(dataset: Dataset) -> Iterator[DataWarning]:
    for split in ("test", "validation"):
        if split not in dataset.splits:
            continue
        absent = [label for label, count in label_counts(dataset.splits[split], dataset.labels).items() if not count]
        if absent:
            have = "label has" if len(absent) == 1 else "labels have"
            yield DataWarning(
                "absent_label",
                f"{len(absent)} {have} no row in {split}: {_listed(absent)}. Nothing is measured on them there, and "
                "macro F1 counts them only where they are predicted.",
                f"Give {split} rows of every label, or make it from train (data.split: {{{split}: 0.2}}).",
            )


def _dominant(dataset: Dataset) -> Iterator[DataWarning]:
    counts = label_counts(dataset.splits["train"], dataset.labels)
    label = max(counts, key=lambda name: counts[name])
    share = counts[label] / dataset.splits["train"].height
    if share >= DOMINANT:
        yield DataWarning(
            "dominant_label",
            f"{share:.0%} of the training rows are {quoted(label)}: always answering it is about as accurate.",
            "decide_by: macro_f1 weighs every class alike, in the verdicts and in the choice of weights.",
            share,
        )


def _listed(names: list[str], quote: bool = True) -> str:
    shown = [quoted(name) if quote else name for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        return f"{', '.join(shown)} and {len(names) - _SHOWN} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def quoted(text: str) -> str:
    """A label or text in quotes on one line, what cannot be seen written as an escape, long ones cut."""
    seen = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:60])
    return f'"{seen}{"..." if len(text) > 60 else ""}"'


def flow(mapping: dict[str, str] | dict[str, None]) -> str:
    """A mapping of labels as it would stand in a study file, at most 12 entries of it."""
    entries = [f"{_word(key)}: {'null' if value is None else _word(value)}" for key, value in mapping.items()]
    more = ", ..." if len(entries) > 12 else ""
    return f"{{{', '.join(entries[:12])}{more}}}"


def _word(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.casefold() not in _YAML_WORDS and text.isascii():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
