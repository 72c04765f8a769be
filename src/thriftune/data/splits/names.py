"""Which split a file's, column's or key's name stands for."""

from __future__ import annotations

import re

_SPELLINGS = {"train": "train", "training": "train", "validation": "validation", "valid": "validation"}
_SPELLINGS |= {"val": "validation", "dev": "validation", "test": "test", "testing": "test"}


def split_of(name: str) -> str | None:
    """The split that a file's or hub split's name stands for, or None: the last part of the name that says so.

    snli_1.0_dev is validation, train-00000-of-00002 is train; mismatched sets of MultiNLI are no split.
    """
    parts = re.split(r"[^a-z]+", name.lower())
    if "mismatched" in parts:
        return None
    found = [_SPELLINGS[part] for part in parts if part in _SPELLINGS]
    return found[-1] if found else None
