"""Which n-grams stand for a text: words, or characters where blanks do not part the words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Features = Literal["word", "character"]

WORD = r"(?u)\b\w+\b"
"""A word is one letter or more: "a" and "I" tell apart what they stand in."""
LONGEST = {"word": (1, 2), "character": (2, 3)}
"""The longest n-grams of each kind that are tried; the last where there is nothing to choose on."""

_SAMPLE = 2000
_WORDS = re.compile(WORD)
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005-\u3007\u3040-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Tai scripts, Japanese and Chinese: written without blanks between words."""
_SHARE_WITHOUT_BLANKS = 0.3
_LONG_WORD = 16
"""Mean characters between blanks and marks from which these part no words (German text has 6)."""


def choose(texts: Sequence[str]) -> tuple[Features, str]:
    """The kind of n-gram for texts, seen at most 2,000 evenly spaced ones, and why."""
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    words = [word for text in sample for word in _WORDS.findall(text)]
    letters = sum(map(len, words))
    if not letters:
        return "character", "the texts have no words"
    wordless = sum(_WORDS.search(text) is None for text in sample) / len(sample)
    if wordless > 0.5:
        return "character", f"{wordless:.0%} of the texts have no words"
    share = sum(len(_WITHOUT_BLANKS.findall(word)) for word in words) / letters
    if share > _SHARE_WITHOUT_BLANKS:
        return "character", f"{share:.0%} of the letters are of scripts without blanks between words"
    if letters / len(words) > _LONG_WORD:
        return "character", f"between blanks and marks are {letters / len(words):.0f} characters on average"
    return "word", "blanks part the words"


def has_features(features: Features, texts: Sequence[str]) -> bool:
    """Whether any text has an n-gram of the kind."""
    if features == "word":
        return any(_WORDS.search(text) for text in texts)
    return any(text.strip() for text in texts)
