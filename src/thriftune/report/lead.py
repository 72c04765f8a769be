"""The decision's sentence as screens begin with it, and the same where there is little room."""

from __future__ import annotations

import re

from thriftune.analysis.findings.decision import Decision, headline


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return re.split(r"(?<=[.…]) ", text)


def lead(decision: Decision, short: bool = False) -> str:
    """What to take; `short` leaves out a faster method that may be as good, not what was lost."""
    first, *rest = sentences(headline(decision))
    return " ".join([first, *(each for each in rest if not short or each.startswith("Of its "))])
