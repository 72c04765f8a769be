"""Amounts as people write them on a command line."""

from __future__ import annotations

import re

from thriftune.errors import InputError

SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}


def parse_seconds(text: str) -> float:
    """Seconds from "90s", "10min", "2 h" or "1d"; raises `InputError` for anything else."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", text.lower())
    if found is None or found[2] not in SECONDS or float(found[1]) == 0:
        raise InputError(f'"{text}" is no amount of time. Give a number and a unit: 90s, 10min, 2h or 1d.')
    return float(found[1]) * SECONDS[found[2]]
