"""What a service takes, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from thriftune.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of requests, of their queue and of the batches that they are computed in."""

    bytes: int = 2_000_000
    """Of a request's body."""
    texts: int = 256
    """In one request."""
    characters: int = 20_000
    """Of one text."""
    queue: int = 1_000
    """Requests that are read, wait or are computed at once."""
    wait: float = 0.005
    """Seconds that a batch waits for more requests, where several came at once before."""
    batch: int = 2_048
    """Tokens after which a batch takes no further request; a text has about one for every four bytes."""
    timeout: float = 60.0
    """Seconds from a request's arrival until it is answered that there was no time."""

    def check(self) -> None:
        """Raises `InputError` for bounds that no request could keep."""
        for name, least, most in (
            ("bytes", 100, 10**9),
            ("texts", 1, 10**6),
            ("characters", 1, 10**9),
            ("queue", 1, 10**6),
            ("wait", 0, 10),
            ("batch", 1, 10**7),
            ("timeout", 0.1, 86_400),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                option = "--timeout" if name == "timeout" else f"--max-{name}"
                scale, unit = (1000, " milliseconds") if name == "wait" else (1, "")
                raise InputError(
                    f"{option} {value * scale:g} is given; give {least * scale:g} to {most * scale:,g}{unit}."
                )
