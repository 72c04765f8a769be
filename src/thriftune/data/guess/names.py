"""Names of labels that are numbers, where another column of the file has them."""

from __future__ import annotations

import re
from collections.abc import Collection

from thriftune.data.guess.candidates import LABEL_WORDS, LabelColumn, name_words
from thriftune.data.labels import label_names
from thriftune.data.table import SourceTable
from thriftune.errors import InputError

_LONGEST = 60
_NAMING = {"name", "names", "text", "str", "string", "desc", "description", "title", "verbose"}


def numbered(labels: Collection[str]) -> bool:
    """Whether all labels are whole numbers."""
    return all(re.fullmatch(r"[+-]?\d+", label) for label in labels)


def guess_names(table: SourceTable, label: LabelColumn, text: Collection[str]) -> tuple[str, dict[str, str]] | None:
    """The column that names each number of the label, and the names; None where the labels are no numbers or none does.

    A number has one name and a name one number, and the column's name speaks of labels or names.
    """
    if not numbered(label.counts) or label.name not in table.frame.columns:
        return None
    own = set(name_words(label.name))
    for name in table.frame.columns:
        words = set(name_words(name))
        if name == label.name or name in text or not words & (_NAMING | own | set(LABEL_WORDS)):
            continue
        try:
            numbers = label_names(table.frame[label.name], None).to_list()
            names = label_names(table.frame[name], table.label_names.get(name)).to_list()
        except InputError:
            continue  # it holds no names
        pairs = {(a, b) for a, b in zip(numbers, names, strict=True) if a is not None}
        found = {_number(a): b for a, b in pairs if b is not None}
        if (
            len(pairs) != len(label.counts)
            or found.keys() != label.counts.keys()
            or len(set(found.values())) < len(found)
        ):
            continue
        if not numbered(found.values()) and all(len(each) <= _LONGEST for each in found.values()):
            return name, {key: found[key] for key in label.counts}
    return None


def _number(written: str) -> str:
    """1.0 as 1."""
    return re.sub(r"\.0+$", "", written)
