"""Whether a file's first row names its columns, and what to call them where it does not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from thriftune.data.labels import NUMBER

_KNOWN = frozenset(
    """
    text texts sentence sentence1 sentence2 text1 text2 text_a text_b question question1 question2 premise
    hypothesis query document answer review reviews comment content tweet message body title headline
    description abstract utterance phrase input label labels gold_label class category target sentiment intent
    intent_id topic stars rating score polarity emotion type subject id idx index uuid guid key date time
    timestamp author user username lang language source split name url count number text_id review_id tweet_id
    """.split()  # noqa: SIM905
)
"""Usual names of columns."""
_LOOKED_AT = 2000
_MANY = 10
_WORDS = 6


def names_columns(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is a header, judged by up to 2,000 rows below it.

    It is none where one of its fields is a value that repeats in its column (a label), where a field and its
    column are numbers and no other field is a usual name, or where one of two fields is a sentence among sentences.
    What reads like column names is a header in any case.
    """
    fields = [field.strip() for field in first]
    given = [field for field in fields if field]
    rows = [row for row in rest[:_LOOKED_AT] if len(row) == len(first) and list(row) != list(first)]
    if len(fields) < 2 or not rows or _known(given) or given == [str(i) for i in range(len(given))]:
        return True
    columns = [[row[i].strip() for row in rows] for i in range(len(fields))]
    pairs = list(zip(fields, columns, strict=True))
    if any(_repeats(field, column) for field, column in pairs):
        return False
    if not any(_like_name(field) for field in given) and any(_is_number(field, column) for field, column in pairs):
        return False
    if len(fields) != 2 or any(_like_name(field) for field in given):
        return True
    return not any(_is_sentence(field, column) for field, column in pairs)


def found_names(columns: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names for the columns of a file without a header: text for the one with the longest values, label for that
    of the others with the fewest values that repeat, else column_1, column_2, ..."""
    names = [f"column_{i}" for i in range(1, len(columns) + 1)]
    lengths = [_mean_length(column) for column in columns]
    text = max(range(len(columns)), key=lambda i: lengths[i])
    names[text] = "text"
    kinds = {i: len({value.strip() for value in column} - {""}) for i, column in enumerate(columns) if i != text}
    rows = len(columns[0]) if columns else 0
    able = [i for i, kind in kinds.items() if kind >= 2 and 2 * kind <= max(rows, 4)]
    if len(columns) == 2:
        able = list(kinds)
    if able:
        names[min(able, key=lambda i: (kinds[i], -i))] = "label"
    return tuple(names)


def _known(given: Sequence[str]) -> bool:
    """Whether all fields, or the larger part of several, are usual column names."""
    lowered = [re.sub(r"[\s-]+", "_", field.lower()) for field in given]
    known = sum(name in _KNOWN for name in lowered)
    return known == len(given) or (known >= 2 and 2 * known > len(given))


def _repeats(field: str, column: Sequence[str]) -> bool:
    """Whether a field is one of the values that repeat in its column, and the column has few."""
    if not field:
        return False
    counts = Counter(column)
    kinds = len(counts.keys() - {""})
    return counts[field] >= (2 if len(column) >= _MANY else 1) and 2 * kinds <= max(len(column), 2)


def _is_number(field: str, column: Sequence[str]) -> bool:
    values = [value for value in column if value]
    return bool(values) and all(NUMBER.fullmatch(value) for value in (field, *values))


def _is_sentence(field: str, column: Sequence[str]) -> bool:
    words = sorted(len(value.split()) for value in column)
    return len(field.split()) >= _WORDS and not field.endswith("?") and words[len(words) // 2] >= _WORDS - 2


def _like_name(field: str) -> bool:
    name = re.sub(r"[\s-]+", "_", field.lower())
    return name in _KNOWN or bool(set(name.split("_")) & {"label", "class", "category", "rating", "score"})


def _mean_length(column: Sequence[str]) -> float:
    words = [value for value in column if not NUMBER.fullmatch(value.strip())]
    return sum(map(len, words)) / max(len(column), 1)
