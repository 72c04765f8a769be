"""Amounts as people write them on a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping

from thriftune.errors import InputError, shortened

BYTES = {"mb": 10**6, "gb": 10**9, "tb": 10**12, "mib": 2**20, "gib": 2**30, "tib": 2**40}
INSTANTS = {"us": 1e-6, "ms": 1e-3, "s": 1}
SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400}
MOST = 1e18
"""Bytes (an exabyte) or seconds (longer than there was time)."""


def parse_bytes(text: str) -> int:
    """Bytes from "8GB", "8 GiB" or "8000MB"; raises `InputError` for anything else."""
    return int(_amount(text, BYTES, "memory", "8GB, 8GiB or 8000MB"))


def parse_seconds(text: str) -> float:
    """Seconds from "90s", "10min", "2 h" or "1d"; raises `InputError` for anything else."""
    return _amount(text, SECONDS, "time", "90s, 10min, 2h or 1d")


def parse_latency(text: str) -> float:
    """Seconds from "20ms", "0.5 s" or "800us"; raises `InputError` for anything else."""
    return _amount(text, INSTANTS, "time for one text", "20ms, 0.5s or 800us")


def _amount(text: str, units: Mapping[str, float], what: str, examples: str) -> float:
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*", text.lower())
    if found is None or found[2] not in units or float(found[1]) == 0:
        raise InputError(f'"{shortened(text)}" is no amount of {what}. Give a number and a unit: {examples}.')
    amount = float(found[1]) * units[found[2]]
    if amount > MOST or (amount < 1 and units is BYTES):
        raise InputError(f'"{shortened(text)}" is no sensible amount of {what}. Give for example {examples}.')
    return amount
