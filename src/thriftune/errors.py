"""The one exception that users cause: its message names what was given, what is allowed and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something that the user gave cannot be used; the command line prints it and exits with code 2."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A `; did you mean "x"?` clause for the closest of the known names, or an empty string."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def unknown_name(what: str, given: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a list: gives the name, the closest match and the whole list."""
    names = sorted(known)
    hint = did_you_mean(given, names) or "."
    return InputError(f'{what} "{given}" is not known{hint} Known: {", ".join(names)}.')
