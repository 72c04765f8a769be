"""Which columns of a table could be the label or the text, best first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from thriftune.data.labels import canonical_names, label_names, order_labels, target_problem, without_gold
from thriftune.data.table import SourceTable
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl

LABEL_WORDS = (
    *("label", "gold_label", "labels", "class", "category", "target", "sentiment", "intent", "topic"),
    *("stars", "rating", "emotion", "stance", "polarity", "genre", "star", "classes", "categories", "topics"),
    *("intents", "emotions", "genres", "tag", "tags", "ratings", "targets", "sentiments", "klass", "cls"),
    # German, French, Spanish, Italian, Portuguese
    *("klasse", "kategorie", "etikett", "stimmung", "absicht", "thema", "sterne", "classe", "catégorie", "categorie"),
    *("étiquette", "etiquette", "intention", "thème", "étoiles", "clase", "categoría", "categoria", "etiqueta"),
    *("sentimiento", "sentimento", "intención", "intencion", "tema", "estrellas", "stelle"),
)
"""Names of label columns, the surest first; also as a word of a longer name (intent_id, star_rating)."""
_SUBSTRINGS = ("label", "class", "category", "categories", "intent", "sentiment", "topic", "rating", "emotion")
_NO_LABEL_ENDS = {
    *("source", "by", "date", "time", "timestamp", "confidence", "score", "scores", "prob", "probability", "count"),
    *("author", "annotator", "annotators", "comment", "comments", "description", "explanation", "reason", "notes"),
}
"""Last words of names that speak about a label: label_source, rating_count."""
_NUMERIC_WORDS = {
    *("score", "price", "value", "y", "grade", "points", "rating", "stars", "target", "label", "age", "similarity"),
    *("relevance", "amount", "salary", "percent", "percentage", "scores"),
}
"""Words of columns that are measured rather than chosen."""
_ABOUT = {
    *("lang", "language", "locale", "country", "region", "source", "platform", "device", "channel", "app", "version"),
    *("split", "fold", "partition", "set", "subset", "usage", "year", "month", "day", "gender", "sex", "status"),
    *("annotator", "annotators", "worker", "author", "user", "username", "domain", "license"),
    # German, French, Spanish, Italian, Portuguese
    *("sprache", "land", "quelle", "gerät", "jahr", "monat", "geschlecht", "langue", "pays", "année", "sexe"),
    *("idioma", "país", "pais", "fuente", "año", "sexo", "lingua", "paese", "anno", "sesso", "língua", "ano"),
}
"""Words of columns about a text rather than of what it says."""
_FLAGS = {"is", "has", "was", "are", "can"}
_IDS = {"id", "ids", "uuid", "guid", "idx", "index", "key", "url", "file", "filename", "path"}
_BINARY = ({"0", "1"}, {"false", "true"})

UNNAMED, ABOUT = 3, 4
"""Tiers of columns whose name does not say label, and whose name says something else."""
_MOST_UNNAMED = 100
_MOST_CLASSES = 1000
_MANY_NUMBERS = 20
_LONG_LABEL = 100
"""Mean characters from which a column is no list of labels but text."""
_PROSE_BYTES = 12


@dataclass(frozen=True)
class LabelColumn:
    """A column as a label: its classes, or why it has none."""

    name: str
    counts: dict[str, int]
    """Rows by class, in class order; empty where the column is no label."""
    problem: str | None
    """What it holds instead of classes (regression, multi-label), as `target_problem` says it."""

    @cached_property
    def rank(self) -> tuple[int, int]:
        """How much the name says that this is the label, least first: whole name, word, part of a word, nothing."""
        lowered = self.name.strip().lower()
        if lowered in LABEL_WORDS:
            return 0, LABEL_WORDS.index(lowered)
        words = name_words(self.name)
        if words and words[-1] not in _NO_LABEL_ENDS and words[0] not in _FLAGS:
            known = [LABEL_WORDS.index(word) for word in words if word in LABEL_WORDS]
            if known:
                return 1, min(known)
            parts = [index for index, part in enumerate(_SUBSTRINGS) if part in lowered]
            if parts:
                return 2, min(parts)
        return (ABOUT if not words or words[0] in _FLAGS or _ABOUT & set(words) else UNNAMED), 0

    @property
    def named(self) -> bool:
        """Whether the name says that this is a label."""
        return self.rank[0] < UNNAMED

    @property
    def possible(self) -> bool:
        """Whether it can be guessed to be the label: few values that repeat."""
        rows, classes = sum(self.counts.values()), len(self.counts)
        if not classes or (not self.named and is_id(self.name)):
            return False
        if self.rank[0] == 0 and classes <= _MOST_UNNAMED:
            return True
        return rows >= 2 * classes and classes <= (_MOST_CLASSES if self.named else _MOST_UNNAMED)

    @property
    def measured(self) -> str | None:
        """Why the column holds numbers to predict or several labels, where its name or values say so."""
        if self.problem is not None:
            if "regression" in self.problem and not (self.named or _NUMERIC_WORDS & set(name_words(self.name))):
                return None
            return self.problem
        numbers = all(re.fullmatch(r"[+-]?\d+", label) for label in self.counts)
        if numbers and len(self.counts) > _MANY_NUMBERS and set(name_words(self.name)) & (_NUMERIC_WORDS - {"label"}):
            return f"{len(self.counts)} different numbers: that is regression"
        return None

    @property
    def binary(self) -> bool:
        """Whether its classes are 0 and 1, or true and false."""
        return {label.casefold() for label in self.counts} in _BINARY

    @property
    def values(self) -> str:
        """The column and its number of values, in words."""
        return f'"{self.name}" ({len(self.counts)} values)'


def label_columns(table: SourceTable, without: tuple[str, ...] = ()) -> list[LabelColumn]:
    """Every column but those left out, the likeliest label first."""
    found = [label_column(table, name) for name in table.frame.columns if name not in without]
    return sorted(found, key=lambda column: (column.rank, len(column.counts)))


def label_column(table: SourceTable, name: str) -> LabelColumn:
    """One column as a label."""
    import polars as pl

    column = table.frame[name]
    if isinstance(column.dtype, pl.List | pl.Array):
        return LabelColumn(name, {}, "lists, several labels per text: that is multi-label")
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return LabelColumn(name, {}, None)
    declared = table.label_names.get(name)
    try:
        rows = label_names(column, declared).drop_nulls().alias("value").value_counts(name="rows")
        found: dict[str, int] = dict(rows.iter_rows())
        missing = without_gold(found, name, declared is not None)
        counted = _counted({value: count for value, count in found.items() if value not in missing})
        if declared is None and (problem := _problem(counted)):
            return LabelColumn(name, {}, problem)
        if not 2 <= len(counted) <= _MOST_CLASSES:
            return LabelColumn(name, {}, None)
        return LabelColumn(name, {label: counted[label] for label in order_labels(counted, declared)}, None)
    except InputError:
        return LabelColumn(name, {}, None)  # not a label; where no column is one, the caller says so


def _counted(found: dict[str, int]) -> dict[str, int]:
    """Rows by class, under the names that labels get."""
    renamed = canonical_names(found)
    counts: dict[str, int] = {}
    for value, count in found.items():
        final = renamed.get(value, value)
        counts[final] = counts.get(final, 0) + count
    return counts


def _problem(counts: dict[str, int]) -> str | None:
    """What the values are instead of classes; long texts and unique lists of words are not judged."""
    length = sum(len(value) * count for value, count in counts.items()) / max(1, sum(counts.values()))
    return target_problem(counts) if length < _LONG_LABEL else None


def name_words(name: str) -> list[str]:
    """The words of a column's name in lower case: star_rating, starRating and "Star rating" are star, rating."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.findall(r"[^\W\d_]+", parted)]


def is_id(name: str) -> bool:
    """Whether a column's name says that it identifies rows (id, pairID, user_id, captionID, uuid, index)."""
    words = name.replace("-", "_").split("_")
    return words[-1].lower() in _IDS or name.endswith(("ID", "Id"))


def text_lengths(table: SourceTable, without: tuple[str, ...] = ()) -> dict[str, float]:
    """Mean characters of the columns that hold text, in the file's order."""
    return {
        name: length
        for name in table.frame.columns
        if name not in without and not is_id(name) and (length := _mean_length(table.frame[name])) > 0
    }


def is_prose(column: pl.Series) -> bool:
    """Whether most values differ and are longer than a few words."""
    import polars as pl

    text = column.cast(pl.String).drop_nulls()
    return bool(text.n_unique() > 0.5 * len(text) and text.str.len_bytes().sum() >= _PROSE_BYTES * len(text))


def _mean_length(column: pl.Series) -> float:
    """Mean characters; 0 for columns that hold no text: numbers, or blanks."""
    import numpy as np
    import polars as pl

    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return 0.0
    text = column.cast(pl.String).drop_nulls()
    if text.str.contains(r"^\s*[-+]?[\d.,:/T Z-]*$").all():
        return 0.0
    return float(np.mean(text.str.len_chars().to_numpy()))
