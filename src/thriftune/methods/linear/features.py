"""What text columns become: the n-grams of each column, counted, weighted and laid side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from thriftune.methods.linear.ngrams import Features, Kinds, Ngrams, choose, has_features, ngrams_of

Block = tuple[int, Ngrams]
"""A text column's position, and what is counted there."""


@dataclass(frozen=True)
class Column:
    """What may be counted in one text column."""

    script: Features
    """What its texts ask for: where blanks do not part the words, characters run across them."""
    kinds: Kinds | None
    """What is counted; None: whatever is tried."""
    why: str

    def ngrams(self, kinds: Kinds, length: int, longest: int | None) -> tuple[Ngrams, ...]:
        """The column's n-grams where `kinds` are tried."""
        return ngrams_of(self.kinds or kinds, length, self.script, longest)


def column(texts: list[str], asked: Kinds | None) -> Column:
    """What is counted in these texts, given the study file's word; None leaves it open where blanks part the words."""
    script, why = choose(texts)
    if asked is None:
        return Column(script, "character" if script == "character" else None, why)
    if asked != "character" and not has_features("word", texts):
        return Column(script, "character", "the texts have no words")
    return Column(script, asked, "as the study file says")


@dataclass(frozen=True)
class Bank:
    """The features of training and validation texts; each vectoriser is fitted once, when it is first asked for."""

    train: list[list[str]]
    validation: list[list[str]] | None
    _made: dict[Block, tuple[Any, Any, Any]] = field(default_factory=dict)

    def has(self, block: Block) -> bool:
        """Whether any training text has such an n-gram."""
        position, ngrams = block
        return has_features("word" if ngrams.analyzer == "word" else "character", self.train[position])

    def matrices(self, blocks: tuple[Block, ...]) -> tuple[Any, Any]:
        """The blocks' features side by side, of training and of validation (None without), sparse, (texts, n-grams)."""
        made = [self._block(block) for block in blocks]
        return _beside([train for _, train, _ in made]), (
            None if self.validation is None else _beside([held_out for _, _, held_out in made])
        )

    def vectorizers(self, blocks: tuple[Block, ...]) -> tuple[Any, ...]:
        """The blocks' fitted vectorisers."""
        return tuple(self._block(block)[0] for block in blocks)

    def _block(self, block: Block) -> tuple[Any, Any, Any]:
        if block not in self._made:
            position, ngrams = block
            vectorizer, train = ngrams.fit(self.train[position])
            held_out = None if self.validation is None else vectorizer.transform(self.validation[position])
            self._made[block] = vectorizer, train, held_out
        return self._made[block]


def features_of(blocks: tuple[Block, ...], vectorizers: tuple[Any, ...], texts: list[list[str]]) -> Any:
    """The texts' features, sparse, (texts, n-grams)."""
    pairs = zip(blocks, vectorizers, strict=True)
    return _beside([vectorizer.transform(texts[position]) for (position, _), vectorizer in pairs])


def _beside(matrices: list[Any]) -> Any:
    from scipy.sparse import hstack

    return hstack(matrices).tocsr()
