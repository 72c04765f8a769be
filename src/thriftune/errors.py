"""The one exception that users cause: its message names what was given, what is allowed and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LONGEST_LINE = 2_000
MOST_LINES = 40
_ENDLESS = re.compile(r"\S{300,}")
"""A word that nobody reads to its end: no sensible name, and longer than nearly all paths."""


class InputError(Exception):
    """Something that the user gave cannot be used; the command line prints it and exits with code 2."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A `; did you mean "x"?` clause for the closest of the known names, or an empty string."""
    if len(given) > LONGEST_LINE:
        return ""
    close = difflib.get_close_matches(given, [name for name in known if name != given], n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def unknown_name(what: str, given: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a list: gives the name, the closest match and the whole list."""
    names = sorted(known)
    hint = did_you_mean(given, names) or "."
    return InputError(f'{what} "{shortened(given)}" is not known{hint} Known: {", ".join(names)}.')


def shortened(text: str, most: int = 200) -> str:
    """The text, its middle left out where it is longer."""
    return text if len(text) <= most else f"{text[: most - 43]}...{text[-40:]}"


def printable(text: str) -> str:
    """The text as a terminal may show it: everything but line breaks that is invisible or steers it, as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def readable(message: str) -> str:
    """A message as it is printed: nothing that steers the terminal, no endless words, lines or lists."""
    lines = _ENDLESS.sub(lambda found: shortened(found[0]), printable(message)).split("\n")
    more = len(lines) - MOST_LINES
    kept = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..." for line in lines[:MOST_LINES]]
    return "\n".join([*kept, f"  ... and {more:,} more lines"] if more > 0 else kept)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
