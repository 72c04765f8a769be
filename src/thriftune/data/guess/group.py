"""Guesses the column whose equal values belong together: a text that repeats, or what says who wrote the texts."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from thriftune.data.guess.candidates import is_id, name_words
from thriftune.data.table import SourceTable

if TYPE_CHECKING:
    import polars as pl

ROWS = 2.0
"""A value of the column stands in so many rows at least, on average."""
FEWEST_GROUPS = 10
"""Fewer different values tell nothing of others."""
GROUP_WORDS = {
    *("group", "premise", "context", "prompt", "passage", "paragraph", "doc", "document", "article", "page", "paper"),
    *("author", "user", "username", "writer", "speaker", "customer", "client", "account", "patient", "person"),
    *("thread", "conversation", "dialog", "dialogue", "session", "ticket", "post", "video", "movie", "film", "book"),
    *("product", "item", "story", "image", "caption", "question", "query", "cluster", "family"),
    # German, French, Spanish, Italian, Portuguese
    *("gruppe", "nutzer", "autor", "kunde", "dokument", "groupe", "auteur", "utilisateur", "client", "grupo"),
    *("usuario", "cliente", "gruppo", "autore", "utente", "documento", "usuário"),
}
"""Words of columns that say what a text belongs to."""
_NO_GROUP = {
    *("label", "class", "category", "intent", "annotator", "annotators", "worker", "rater", "coder", "split", "fold"),
    *("lang", "language", "locale", "country", "region", "year", "month", "day", "date", "time", "version", "topic"),
    *("count", "number", "score", "length", "type", "kind", "rating", "age", "gender"),
}


def guess_group(
    tables: dict[str, SourceTable], text: tuple[str, ...], label: str, without: Collection[str]
) -> tuple[str, str] | None:
    """The grouping column, and why in a sentence; None where no column groups the texts.

    Counted where the test texts come from. A text column that repeats comes first (the premise of pairs), then columns
    whose name says what a text belongs to or that identify something, that with the fewest values first.
    """
    table = tables.get("test") or tables["train"]
    for name in text:
        if name in table.frame.columns and _repeats(table.frame[name]):
            return name, _reason(table.frame[name], text, [])
    found: dict[str, int] = {}
    for name in table.frame.columns:
        words = set(name_words(name))
        telling = bool(words & GROUP_WORDS) or is_id(name)
        if name in (*text, label, *without) or not telling or words & _NO_GROUP:
            continue
        column = table.frame[name]
        if _repeats(column) and not _follows(table.frame, label, name):
            found[name] = column.n_unique()
    ranked = sorted(found, key=lambda name: (not set(name_words(name)) & GROUP_WORDS, found[name]))
    return (ranked[0], _reason(table.frame[ranked[0]], text, ranked[1:])) if ranked else None


def _repeats(column: pl.Series) -> bool:
    """Whether a plain column has enough values, each in enough rows."""
    if column.dtype.is_nested():
        return False
    known = column.drop_nulls()
    different = known.n_unique()
    return different >= FEWEST_GROUPS and ROWS * different <= len(known) and 2 * len(known) > len(column)


def _follows(frame: pl.DataFrame, label: str, name: str) -> bool:
    """Whether a column says no more than the label: each label has one value of it."""
    import polars as pl

    if label not in frame.columns or frame[label].dtype.is_nested():
        return False
    both = pl.DataFrame([frame[label].alias("label"), frame[name].alias("group")])
    return bool(both.n_unique() == both["label"].n_unique())


def _reason(column: pl.Series, text: tuple[str, ...], others: list[str]) -> str:
    name, known = column.name, column.drop_nulls()
    what = "the text" if (name,) == text else "one of the texts" if name in text else "what texts belong to"
    each = f"{known.n_unique():,} values stand in {len(known) / known.n_unique():.1f} rows each"
    more = f" Other such columns: {', '.join(others[:3])}." if others else ""
    return (
        f'"{name}" is {what}, and its {each}: rows that share one tend to be right or wrong together, so data.group '
        f"counts the values.{more}"
    )
