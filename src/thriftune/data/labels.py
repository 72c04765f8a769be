"""Labels of any type become names, and names become class ids, or why they do not: numbers, lists of labels."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from thriftune.errors import InputError
from thriftune.wording import one_line

if TYPE_CHECKING:
    import polars as pl

_NLI = ("entailment", "neutral", "contradiction")
_INTEGER = re.compile(r"[+-]?\d{1,300}")  # int() refuses thousands of digits
_MOST_CLASSES = 1000
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_LIST = re.compile(r"\[.*\]|\{.*\}|\(.*\)", re.DOTALL)
MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "missing"}
"""How files write that there is no label, in lower case."""

ONE_LABEL = "Thriftune compares classifiers that give each text one label"
_NUMERIC_SHARE = 0.9
_RECURRING_SHARE = 0.8
_SHOWN = 3


def label_names(column: pl.Series, declared: tuple[str, ...] | None) -> pl.Series:
    """Label names as strings, blanks as null; declared names replace integers, and -1 becomes "-".

    Raises `InputError` for nested values and for integers outside the declared names.
    """
    import polars as pl

    if isinstance(column.dtype, pl.List | pl.Array):
        raise InputError(
            f'The label column "{column.name}" holds lists ({column.dtype}), several labels per text: that is '
            f"multi-label. {ONE_LABEL}; give a column with one label per row."
        )
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        raise InputError(
            f'The label column "{column.name}" holds {column.dtype} values. Labels are strings, integers or '
            "booleans, one per row."
        )
    if declared is not None and column.dtype.is_integer():
        return _declared_names(column, declared)
    if column.dtype.is_float():
        column = column.fill_nan(None).map_elements(plain_name, return_dtype=pl.String)
    try:
        text = column.cast(pl.String).str.strip_chars()
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f'The label column "{column.name}" holds {column.dtype} values, which have no names. Save them as text.'
        ) from error
    return text.replace("", None)


def _declared_names(column: pl.Series, declared: tuple[str, ...]) -> pl.Series:
    import polars as pl

    names = {str(i): name for i, name in enumerate(declared)} | {"-1": "-"}
    codes = column.cast(pl.String)
    unknown = sorted(set(codes.drop_nulls().to_list()) - set(names))
    if unknown:
        raise InputError(
            f'The label column "{column.name}" holds {", ".join(unknown)}; its source declares '
            f"{len(declared)} names ({', '.join(declared)})."
        )
    return codes.replace(names)


def plain_name(value: bool | int | float | str) -> str:
    """A value as a label of that name is written: true, 1 (also for 1.0), 1.5."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def without_gold(names: Iterable[str], column: str, declared: bool) -> set[str]:
    """Those names that mean "the annotators did not agree": never a class of their own.

    In the distributed files (gold_label) and where names are declared these are "-" and "-1"; among the
    three NLI labels it is "-".
    """
    known = set(names)
    if column == "gold_label" or declared:
        return known & {"-", "-1"}
    return known & {"-"} if known - {"-"} <= set(_NLI) and len(known) > 1 else set()


def order_labels(names: Iterable[str], declared: tuple[str, ...] | None) -> tuple[str, ...]:
    """The classes in id order: as declared, else numbers by size, else entailment, neutral, contradiction for
    exactly these, else by alphabet.

    Raises `InputError` for one class, for fractions (regression), for lists of labels (multi-label) and for what
    looks like text or an id.
    """
    known = set(names)
    if len(known) == 1:
        raise InputError(f'There is one label only, "{next(iter(known))}". A classifier needs at least two classes.')
    if declared is not None and known <= set(declared):
        return tuple(name for name in dict.fromkeys(declared) if name in known)
    if problem := target_problem(known):
        remedy = (
            "give a column of classes, or turn the numbers into classes first"
            if problem.endswith("regression")
            else "give a column with one label per row (data.labels can name each combination as a class)"
        )
        raise InputError(f"The labels are {problem}. {ONE_LABEL}; {remedy}.")
    if len(known) > _MOST_CLASSES:
        numbers = all(_INTEGER.fullmatch(name) for name in known)
        what = "numbers to predict (regression), or an id" if numbers else "a text or an id"
        raise InputError(
            f"The label column has {len(known):,} different values; at most {_MOST_CLASSES:,} classes are "
            f"possible. Is this {what}?"
        )
    if all(_INTEGER.fullmatch(name) for name in known):
        return tuple(sorted(known, key=lambda name: (int(name), name)))
    return _NLI if known == set(_NLI) else tuple(sorted(known))


def canonical_names(names: Iterable[str]) -> dict[str, str]:
    """New names for labels that different sources write differently: 1.0 is 1, True is true.

    Only where all labels are whole numbers, or all are truth values.
    """
    known = set(names)
    if {name.lower() for name in known} <= {"true", "false"}:
        return {name: name.lower() for name in known}
    if all(_INTEGER.fullmatch(name) for name in known):
        return {}  # 01 stays 01: it may be a code
    if all(is_number(name) and float(name).is_integer() for name in known):
        return {name: name if _INTEGER.fullmatch(name) else str(int(float(name))) for name in known}
    return {}


def padded_names(column: pl.Series) -> tuple[str, ...]:
    """Labels as written where blanks stand around them, sorted; none for columns that are not text."""
    import polars as pl

    if column.dtype not in (pl.String, pl.Categorical):
        return ()
    written = column.cast(pl.String).unique().drop_nulls()
    return tuple(sorted(name for name in written.to_list() if name != name.strip() and name.strip()))


def target_problem(names: Iterable[str]) -> str | None:
    """Why different label names are no classes, in a sentence without its end; None where they may be.

    Fractions are regression; lists, and names made of other names ("a|b" beside "a" or "b|c"), are multi-label.
    """
    known = {name for name in names if name.casefold() not in MISSING}
    lists = _lists(known)
    commas = [name for name in known if _DECIMAL_COMMA.fullmatch(name)]
    if commas and (len(commas) == len(known) or not lists):  # "2,27" beside "2" and "27" is a list of codes
        known = {name.replace(",", ".") if name in commas else name for name in known}
    if fraction := _fraction(known):
        return f"fractions such as {fraction}: that is regression"
    if lists:
        return f"several labels per text ({', '.join(lists)}): that is multi-label"
    return None


def is_number(name: str) -> bool:
    """Whether a name is written as a number that a float can hold."""
    return bool(NUMBER.fullmatch(name)) and math.isfinite(float(name))


def _fraction(names: set[str]) -> str | None:
    """The least of the fractions, where nearly all names are numbers and some are fractions."""
    numbers = [name for name in names if is_number(name)]
    if len(numbers) < _NUMERIC_SHARE * len(names):
        return None
    fractions = [name for name in numbers if not float(name).is_integer()]
    return min(fractions) if fractions else None


def _lists(names: set[str]) -> list[str] | None:
    """Some of the names that are lists of labels; None where they are not."""
    bracketed = sorted(name for name in names if _LIST.fullmatch(name))
    if names and len(bracketed) > len(names) / 2:
        return [_quoted(name) for name in bracketed[:_SHOWN]]
    for delimiter in ("|", ";", ",", "\n"):
        joined = sorted(name for name in names if delimiter in name)
        if joined and _recur(joined, names, delimiter):
            return [_quoted(name) for name in joined[:_SHOWN]]
    return None


def _recur(joined: Collection[str], names: set[str], delimiter: str) -> bool:
    """Whether nearly all parts of the joined names stand in other names too, as labels of a list do."""
    holders: dict[str, set[str]] = {}
    for name in names:
        for part in name.split(delimiter):
            holders.setdefault(part.strip(), set()).add(name)
    parts = {part.strip() for name in joined for part in name.split(delimiter)}
    if "" in parts or len(parts) < 2:
        return False
    return sum(len(holders[part]) > 1 for part in parts) >= _RECURRING_SHARE * len(parts)


def _quoted(name: str) -> str:
    text = one_line(name)
    return f'"{text if len(text) <= 40 else text[:37] + "..."}"'
