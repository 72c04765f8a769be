"""Which texts hold a negation, in the languages whose negations are known here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thriftune.analysis.findings.errors.vocabulary import Vocabulary

COMMON = 0.1
"""A language is recognised where its function words stand in so large a share of the texts, on average."""


@dataclass(frozen=True)
class Language:
    """A language's most frequent words, by which it is told from the others, and its negations."""

    name: str
    frequent: str
    pattern: str
    """A regular expression on lower-cased text."""


LANGUAGES = (
    Language(
        "English",
        "the is are of and to with",
        r"\b(?:no|not|never|none|nobody|nothing|nowhere|neither|nor|without|cannot|cant|dont|doesnt|didnt|isnt|arent)\b"
        r"|n['’]t\b",
    ),
    Language(
        "German",
        "der die das und ist ein mit",
        r"\b(?:nicht|nichts|nie|niemals|niemand|nirgends|weder|ohne|kein(?:e[mnrs]?)?)\b",
    ),
    Language(
        "French",
        "le les des est une dans et",
        r"\b(?:ne|pas|non|jamais|rien|personne|aucune?|ni|sans|guère)\b|\bn['’]",
    ),
    Language(
        "Spanish", "el los las es una y por", r"\b(?:no|nunca|jamás|nada|nadie|ningun[oa]s?|ningún|ni|sin|tampoco)\b"
    ),
    Language(
        "Italian", "il di che è una per gli", r"\b(?:non|no|mai|niente|nulla|nessun[oa]?|né|senza|neanche|nemmeno)\b"
    ),
    Language("Portuguese", "o os um uma com para do", r"\b(?:não|nunca|jamais|nada|ninguém|nenhum[a]?|nem|sem)\b"),
    Language("Dutch", "de het een is van en met", r"\b(?:niet|niets|nooit|niemand|nergens|noch|zonder|geen)\b"),
)


def language(known: Vocabulary) -> Language | None:
    """The language of the texts by their function words; None where it is none of `LANGUAGES`."""
    either = known.either
    shares = np.asarray(either.mean(axis=0)).ravel() if either.shape[0] else np.zeros(len(known.words))
    share = dict(zip(known.words, shares.tolist(), strict=True))
    means = [float(np.mean([share.get(word, 0.0) for word in each.frequent.split()])) for each in LANGUAGES]
    best = int(np.argmax(means))
    return LANGUAGES[best] if means[best] >= COMMON else None
