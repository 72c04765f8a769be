"""Leaves out texts that stand in a split twice, or in two splits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thriftune.data.columns import keyed
from thriftune.data.large.tables import filtered, taken
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def deduplicate(frames: dict[str, pl.DataFrame], columns: tuple[str, ...], notes: list[str]) -> dict[str, pl.DataFrame]:
    """The splits without repeated texts; what is left out is counted in a note.

    test keeps all its rows. validation loses the rows whose text (both texts of a pair) stands in test; train those
    whose text stands in test or validation, and of rows with the same text all but the first. Raises `InputError`
    where a split is left empty.
    """
    import polars as pl

    def without(frame: pl.DataFrame, *others: str) -> pl.DataFrame:
        for other in others:
            if other in frames:
                asked, known = keyed(frame, columns), keyed(frames[other], columns)
                kept = asked.with_row_index("row").join(known, on=known.columns, how="anti", maintain_order="left")
                frame = taken(frame, kept["row"].to_numpy())
        return frame

    apart = without(frames["train"], "test", "validation")
    single = filtered(apart, keyed(apart, columns).select(pl.struct(pl.all()).is_first_distinct()).to_series())
    made = frames | {"train": single}
    if "validation" in frames:
        made["validation"] = without(frames["validation"], "test")
    empty = [split for split, frame in made.items() if not frame.height]
    if empty:
        raise InputError(
            f"data.deduplicate leaves no row in {' and '.join(empty)}: every text stands in another split too. "
            "Give other rows, or remove data.deduplicate."
        )
    counts = {
        "train rows whose text stands in test or validation": frames["train"].height - apart.height,
        "train rows that repeat a text of train": apart.height - single.height,
    }
    if "validation" in frames:
        lost = frames["validation"].height - made["validation"].height
        counts["validation rows whose text stands in test"] = lost
    said = [f"{count:,} {what}" for what, count in counts.items() if count]
    notes.append(
        f"data.deduplicate left out {', '.join(said)}." if said else "data.deduplicate found no repeated text."
    )
    return made
