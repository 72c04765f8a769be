"""What the data needs, in words."""

from __future__ import annotations

from collections import Counter

from thriftune import wording as f
from thriftune.results.profile import DataProfile

PANEL = "Dataset"
"""The title of the panel that has all of it."""


def warnings(profile: DataProfile, most: int | None = None) -> list[str]:
    """What the data needs, each with its remedy; of more than `most` the first, and how many more there are."""
    found = [warning.text for warning in profile.warnings]
    if most is None or len(found) <= most:
        return found
    rest = len(found) - most
    return [*found[:most], f"{f.plural(rest, 'more such remark')} {'stands' if rest == 1 else 'stand'} under {PANEL}."]


def unusable(profile: DataProfile) -> str | None:
    """How many rows of the source could not be used, and why; None where all could."""
    by_reason: Counter[str] = Counter()
    for each in profile.dropped:
        by_reason[each.reason] += each.count
    if not by_reason:
        return None
    why = f.listing([f"{reason}: {f.count(count)}" for reason, count in by_reason.most_common()])
    return f"{f.plural(by_reason.total(), 'row')} of the source could not be used ({why})."
