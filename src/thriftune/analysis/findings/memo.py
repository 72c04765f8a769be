"""Work that several panels need, done once for a study."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from thriftune.results.store import Results

T = TypeVar("T")


def once(build: Callable[[Results], T]) -> Callable[[Results], T]:
    """Keeps what a function of the results returned, as long as the results live."""
    kept: WeakKeyDictionary[Results, T] = WeakKeyDictionary()

    @wraps(build)
    def cached(results: Results) -> T:
        if results not in kept:
            kept[results] = build(results)
        return kept[results]

    return cached
