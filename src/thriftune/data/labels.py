"""Labels of any type become names, and names become class ids."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from thriftune.data.targets import ONE_LABEL, is_number, target_problem
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl

_NLI = ("entailment", "neutral", "contradiction")
_INTEGER = re.compile(r"[+-]?\d{1,300}")  # int() refuses thousands of digits
_MOST_CLASSES = 1000


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
        column = column.map_elements(_float_name, return_dtype=pl.String)
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


def _float_name(value: float) -> str | None:
    if math.isnan(value):
        return None
    return str(int(value)) if value.is_integer() else repr(value)


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
