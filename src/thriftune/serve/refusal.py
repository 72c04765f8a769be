"""Why a request gets no predictions."""

from __future__ import annotations


class RefusalError(Exception):
    """An answer with an error's status and a message: what was given, what is allowed."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
