"""Label columns that hold something else than one class per text: numbers to predict, or several labels."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable

from thriftune.wording import one_line

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_LIST = re.compile(r"\[.*\]|\{.*\}|\(.*\)", re.DOTALL)
MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "missing"}
"""How files write that there is no label, in lower case."""

ONE_LABEL = "Thriftune compares classifiers that give each text one label"
_NUMERIC_SHARE = 0.9
_RECURRING_SHARE = 0.8
_SHOWN = 3


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
