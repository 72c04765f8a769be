"""What comes nearest to limits that nothing fits, and which limit it would fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from thriftune import wording as f

if TYPE_CHECKING:
    from thriftune.analysis.findings.choice import Limits, Ranked

UNITS = ((1e9, "GB"), (1e6, "MB"))


def beyond(ratio: float) -> str:
    """ "25 times", "1.3 times"; what lies above a limit never "1 times"."""
    return f"{ratio:,.0f} times" if ratio >= 9.95 else f"{max(ratio, 1.1):.1f}".removesuffix(".0") + " times"


def nothing(ranked: Sequence[Ranked], limits: Limits) -> str:
    """What comes nearest to each limit, and what to ask instead."""
    if not ranked:
        return "No method learned and nothing is predicted, so nothing can be recommended."
    found = [each.candidate for each in ranked]
    parts: list[str] = []
    options: list[str] = []
    for limit, value, write, what, option in (
        (limits.memory_bytes, "needed", f.size, "memory", "--memory"),
        (limits.seconds, "seconds", f.seconds, "training time", "--time"),
        (limits.latency_seconds, "latency", f.brief, "time for one text", "--latency"),
    ):
        known = [(amount, -(c.score or 0), c.name) for c in found if (amount := getattr(c, value)) is not None]
        if limit is None:
            continue
        if not known:
            parts.append(f"{what} is not known{_why(ranked) if value == 'latency' else ''}")
            continue
        least, _, name = min(known)
        if least > limit:
            parts.append(f"the least {what} is {write(least)} ({name}), {beyond(least / limit)} the limit")
            options.append(f"{option} {_limit_for(least, option)}")
        else:
            parts.append(f"{name} alone would need {write(least)} {what}")
    text = "; ".join(["Nothing fits", *parts])
    return f"{text}. With {' '.join(options)} something does." if len(options) == len(parts) == 1 else f"{text}."


def _why(ranked: Sequence[Ranked]) -> str:
    reason = next((each.candidate.latency_reason for each in ranked if each.candidate.latency_reason), None)
    return f": {reason}" if reason else ""


def _limit_for(least: float, option: str) -> str:
    """A limit that the least fits, in two digits, as the option takes it: "130MB", "95s", "4.1ms"."""
    if option == "--latency":
        step = 10.0 ** (math.floor(math.log10(least * 1000)) - 1)
        return f"{math.ceil(least * 1000 / step) * step:.6g}ms"
    if option == "--time":
        return f"{math.ceil(least)}s"
    unit, name = next((each for each in UNITS if least >= each[0]), UNITS[-1])
    step = 10.0 ** (math.floor(math.log10(least / unit)) - 1)
    return f"{math.ceil(least / unit / step) * step:g}{name}"
