"""Texts that belong together (one premise, one author): which they are, and how many groups the test texts make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from thriftune.data.rows import Names
from thriftune.errors import InputError
from thriftune.results.profile import Groups

if TYPE_CHECKING:
    import polars as pl


def group_ids(column: pl.Series) -> NDArray[np.int64]:
    """The group of each row, ids from 0 without gaps in order of appearance, shape (rows,).

    Equal values are one group, blanks around them left out; a row without a value, or with a blank one, is a group of
    its own.
    """
    values = _plain(column).to_list()
    numbers: dict[object, int] = {}
    keys = ((row, None) if value is None else value for row, value in enumerate(values))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def find_groups(column: str | None, names: Names, frames: dict[str, pl.DataFrame], notes: list[str]) -> Groups | None:
    """How the test texts are grouped by the user's column; None, with a note, where it groups nothing.

    Raises `InputError` where all test texts are one group: nothing could then be told of other groups.
    """
    if column is None:
        return None
    stored, test = names.out(column), frames["test"]
    if test[stored].null_count() == test.height:
        notes.append(f'The test texts have no value of "{column}": intervals count single texts.')
        return None
    groups = int(group_ids(test[stored]).max()) + 1
    if groups == 1:
        raise InputError(
            f'All {test.height:,} test texts have one value of "{column}" (data.group): nothing can be told of other '
            "groups. Group by a column with more values, or give a test split with more of them."
        )
    if groups == test.height:
        notes.append(f'No value of "{column}" repeats among the test texts: intervals count single texts.')
        return None
    train = _plain(frames["train"][stored]).drop_nulls()
    in_train = int(_plain(test[stored]).is_in(train.unique().to_list()).sum()) if len(train) else None
    return Groups(column=column, stored_as=stored, groups=groups, texts=test.height, in_train=in_train)


def _plain(column: pl.Series) -> pl.Series:
    """Values as text without blanks around them, null for none."""
    import polars as pl

    if column.dtype.is_float():
        column = column.fill_nan(None)
    return column.cast(pl.String).str.strip_chars().replace("", None)
