"""What the data needs, in words."""

from __future__ import annotations

from collections import Counter

from thriftune import wording as f
from thriftune.results.profile import DataProfile

PANEL = "Dataset"
"""The title of the panel that has all of it."""


def unusable(profile: DataProfile) -> str | None:
    """How many rows of the source could not be used, and why; None where all could."""
    by_reason: Counter[str] = Counter()
    for each in profile.dropped:
        by_reason[each.reason] += each.count
    if not by_reason:
        return None
    why = f.listing([f"{reason}: {f.count(count)}" for reason, count in by_reason.most_common()])
    return f"{f.plural(by_reason.total(), 'row')} of the source could not be used ({why})."
