"""The `search:` part of a study file: one budget of trials for every method, and what they vary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from thriftune.settings import LARGEST_SEED, Settings, setting
from thriftune.study.file.reader import shown

ALLOWED = "allowed: [low, high], [low, high, log], or {choose: [a, b]}"
MOST_TRIALS = 10_000


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; drawn evenly, or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """What must be possible for all between to be."""
        return self.low, self.high

    @property
    def written(self) -> list[Any]:
        """As the study file has it."""
        return [self.low, self.high, *(["log"] if self.log else [])]


@dataclass(frozen=True)
class Choice:
    """One of some values of any kind."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    @property
    def written(self) -> dict[str, list[Any]]:
        """As the study file has it."""
        return {"choose": list(self.values)}


Dimension = Range | Choice


@dataclass(frozen=True, kw_only=True)
class SearchSettings(Settings):
    """The same number of trials for every model and method, before the best settings are trained with all seeds."""

    trials: int = setting(
        20, help="settings that are tried for every model and method; raised, a search goes on", minimum=1,
        maximum=MOST_TRIALS,
    )  # fmt: skip
    seconds: float | None = setting(
        None, help="no further trial of a method begins after so many seconds of its trials; null: no limit", above=0
    )
    over: dict[str, Any] = setting(
        help="what is searched: keys of methods (learning_rate, rank; lora.rank for one method) and of the protocol "
        "(epochs, optimizer.weight_decay), each [low, high], [low, high, log] or {choose: [a, b]}"
    )
    prune: Literal["median", "none"] = setting(
        "median", help="median: end a trial that lies below the median of the earlier ones at the same point; or none"
    )
    seed: int = setting(0, help="seed of what is drawn, and of the trials", minimum=0, maximum=LARGEST_SEED)

    def problems(self) -> list[tuple[str, str]]:
        """Every range and choice can be read."""
        if not self.over:
            return [("over", "is empty; name what is searched, for example {learning_rate: [1e-5, 1e-2, log]}")]
        found = []
        seen: dict[str, str] = {}
        for written, value in flattened(self.over).items():
            try:
                dimension(value)
            except ValueError as error:
                found.append((f"over.{written}", str(error)))
            first = seen.setdefault(canonical(written), written)
            if first != written:
                found.append((f"over.{written}", f"is the same key as {first}"))
        return found

    @cached_property
    def dimensions(self) -> dict[str, Dimension]:
        """What is searched, by key, in the file's order."""
        return {canonical(key): dimension(value) for key, value in flattened(self.over).items()}


def written(space: dict[str, Dimension]) -> dict[str, Any]:
    """A space as plain values."""
    return {key: dimension.written for key, dimension in space.items()}


def flattened(over: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Mappings within `over` as dotted keys: {optimizer: {weight_decay: [0, 0.1]}} is optimizer.weight_decay."""
    found: dict[str, Any] = {}
    for key, value in over.items():
        if isinstance(value, dict) and value and "choose" not in value:
            found |= flattened(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def canonical(key: str) -> str:
    """A key without the `protocol.` that it may begin with."""
    return key.removeprefix("protocol.")


def dimension(value: Any) -> Dimension:
    """A range or a choice from what the study file says; raises `ValueError` for anything else."""
    if isinstance(value, dict):
        values = value.get("choose")
        if set(value) != {"choose"} or not isinstance(values, list | tuple):
            raise ValueError(f"{shown(value)} is given; {ALLOWED}")
        return _choice(list(values))
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is given; {ALLOWED}")
    ends, rest = list(value[:2]), list(value[2:])
    if len(ends) < 2 or not all(map(_is_number, ends)) or rest not in ([], ["log"]):
        alone = f"; for these values alone write {{choose: {shown(list(value))}}}" if len(value) > 1 else ""
        raise ValueError(f"{shown(list(value))} is given; {ALLOWED}{alone}")
    low, high = ends
    if not low < high:
        raise ValueError(f"{shown(list(value))} is given; the first number of a range must be below the second")
    if rest and low <= 0:
        raise ValueError(f"{shown(list(value))} is given; a range on a log scale must begin above 0")
    return Range(low, high, log=bool(rest))


def _choice(values: list[Any]) -> Choice:
    if len({repr(value) for value in values}) < len(values):
        raise ValueError(f"{shown({'choose': values})} is given; it names a value twice")
    if len(values) < 2:
        raise ValueError(f"{shown({'choose': values})} is given; a choice needs two values or more")
    return Choice(tuple(values))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
