"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "fails"]
"""`note`: everything works, but slower or not all of it. `fails`: something will end in an error."""


@dataclass(frozen=True)
class Finding:
    """One fact about this machine or installation, and what to do where it is a bad one."""

    subject: str
    found: str
    state: State = "ok"
    remedy: str | None = None
    """None where there is nothing to do."""
