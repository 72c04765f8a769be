"""How many groups the test texts of a dataset make (`data.group`), or why they make none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thriftune.data.rows import Names
from thriftune.errors import InputError
from thriftune.results.profile import Groups, group_ids, group_values

if TYPE_CHECKING:
    import polars as pl


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
    train = group_values(frames["train"][stored]).drop_nulls()
    in_train = int(group_values(test[stored]).is_in(train.unique().to_list()).sum()) if len(train) else None
    return Groups(column=column, stored_as=stored, groups=groups, texts=test.height, in_train=in_train)
