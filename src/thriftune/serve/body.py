"""Reads a request's body within its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thriftune.serve.refusal import RefusalError

if TYPE_CHECKING:
    from fastapi import Request

DRAINED = 16
"""A body up to so many times too large is read to its end and thrown away: its sender then hears why."""


async def body_of(request: Request, most: int) -> bytes:
    """The bytes of a JSON body of at most `most`; raises `RefusalError`."""
    _check_type(request)
    too_large = RefusalError(
        413, f"The body has more than {most:,} bytes. Send fewer texts in a request.", Connection="close"
    )
    if int(request.headers.get("content-length", 0)) > DRAINED * most:
        raise too_large
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > DRAINED * most:
            break
        else:
            parts.clear()
    if size > most:
        raise too_large
    return b"".join(parts)


def _check_type(request: Request) -> None:
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        given = f'"{kind.strip()[:80]}"' if kind.strip() else "none"
        raise RefusalError(415, f"The content type must be application/json; {given} is given.")
    charset = rest.lower().replace(" ", "").replace('"', "").partition("charset=")[2].partition(";")[0]
    if charset not in ("", "utf-8", "utf8"):
        raise RefusalError(415, f"The body must be UTF-8; charset {charset[:80]} is given.")
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise RefusalError(415, "Compressed bodies are not read. Send the JSON as it is.")
