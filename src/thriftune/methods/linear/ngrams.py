"""Which n-grams stand for a text: of words, of characters or both; of characters where blanks do not part the words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Features = Literal["word", "character"]
Kinds = Literal["word", "character", "both"]

WORD = r"(?u)\b\w+\b"
"""A word is one letter or more: "a" and "I" tell apart what they stand in."""
LONGEST = {"word": (1, 2), "char_wb": (3, 4), "char": (2, 3)}
"""The longest n-grams of each kind that are tried; the last where there is nothing to choose on."""
SEEN_TWICE_FROM = 1_000
"""From so many texts on, an n-gram must occur in two of them: the others are half of all and tell nothing."""
MOST_FEATURES = 50_000
"""The most frequent n-grams that one vectoriser keeps."""

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


@dataclass(frozen=True)
class Ngrams:
    """What one vectoriser counts; `char_wb` is scikit-learn's word for characters that stay within a word."""

    analyzer: Literal["word", "char", "char_wb"]
    shortest: int
    longest: int

    def describe(self) -> str:
        """In words, for example "word n-grams up to 2"."""
        if self.analyzer == "char_wb":
            return f"character n-grams of {self.shortest} to {self.longest} within words"
        return f"{'word' if self.analyzer == 'word' else 'character'} n-grams up to {self.longest}"

    def vectorizer(self, **further: Any) -> Any:
        """scikit-learn's TF-IDF over these n-grams: lower case, logarithmic counts, rows of length 1."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            analyzer=self.analyzer,
            ngram_range=(self.shortest, self.longest),
            token_pattern=WORD if self.analyzer == "word" else None,
            sublinear_tf=True,
            **further,
        )

    def fit(self, texts: list[str]) -> tuple[Any, Any]:
        """The fitted vectoriser and the texts' features, sparse, (texts, n-grams).

        Raises `ValueError` where no text has an n-gram.
        """
        if len(texts) >= SEEN_TWICE_FROM:
            vectorizer = self.vectorizer(min_df=2, max_features=MOST_FEATURES)
            try:
                return vectorizer, vectorizer.fit_transform(texts)
            except ValueError:  # no n-gram occurs in two texts
                pass
        vectorizer = self.vectorizer(max_features=MOST_FEATURES)
        return vectorizer, vectorizer.fit_transform(texts)


def ngrams_of(kinds: Kinds, length: int, script: Features, longest: int | None) -> tuple[Ngrams, ...]:
    """The n-grams of one text column: `length` 0 or 1 of those in `LONGEST`, or up to `longest` where it is given.

    `script` is what `choose` says of the texts: where blanks part the words, characters stay within them. Beside words
    characters are always of the greater length.
    """
    words = Ngrams("word", 1, longest or LONGEST["word"][length])
    analyzer: Literal["char", "char_wb"] = "char_wb" if script == "word" else "char"
    end = longest or LONGEST[analyzer][1 if kinds == "both" else length]
    characters = Ngrams(analyzer, min(2 if script == "word" else 1, end), end)
    return {"word": (words,), "character": (characters,), "both": (words, characters)}[kinds]


def has_features(features: Features, texts: Sequence[str]) -> bool:
    """Whether any text has an n-gram of the kind."""
    if features == "word":
        return any(_WORDS.search(text) for text in texts)
    return any(text.strip() for text in texts)
