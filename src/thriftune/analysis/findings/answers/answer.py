"""What an answer of the first screen is, and how sentences are kept to its length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from thriftune import wording as f

WORDS = 30
"""Of an answer, at most."""
NAMED = 4


@dataclass(frozen=True)
class Answer:
    """One of the page's questions, answered in at most `WORDS` words."""

    title: str
    text: str
    to: str
    """The panel that shows why."""
    group: str
    """The part of the page that the panel stands in."""


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of some names, and how many others there are: "a, b, c and 6 others"."""
    if len(names) <= most:
        return f.listing(names, most)
    left = len(names) - most
    return f"{', '.join(names[:most])} and {left} other{'' if left == 1 else 's'}"


def fitted(sentences: Iterable[str], most: int = WORDS) -> str:
    """The sentences in their order, without those that do not fit; the first always stands, cut if it must be."""
    said: list[str] = []
    left = most
    for sentence in sentences:
        words = sentence.split()
        if not said and len(words) > most:
            return f"{' '.join(words[: most - 1])} …"
        if len(words) <= left:
            said.append(sentence)
            left -= len(words)
    return " ".join(said)


def naming(names: Sequence[str], most: int, write: Callable[[str], str]) -> str:
    """The sentence about these names with as many of them as let it have `most` words; at least the first."""
    for count in range(min(NAMED, len(names)), 1, -1):
        text = write(f.listing(names, count))
        if len(text.split()) <= most:
            return text
    if len(names) == 1:
        return write(names[0])
    return write(f"{names[0]} and {len(names) - 1} more")
