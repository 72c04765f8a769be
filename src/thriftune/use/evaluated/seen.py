"""Which texts a classifier was trained on, word for word."""

from __future__ import annotations

from dataclasses import dataclass

from thriftune.use.source import Source


@dataclass(frozen=True)
class TrainingTexts:
    """The texts of a study's training rows, one tuple for each; `texts` is None where no study says what they are."""

    texts: frozenset[tuple[str, ...]] | None

    @classmethod
    def of(cls, source: Source) -> TrainingTexts:
        """Those of the study that a classifier comes from."""
        results = source.results
        if results is None or results.train is None:
            return cls(None)
        names = results.study.profile.text_columns
        return cls(frozenset(zip(*(results.train[name].to_list() for name in names), strict=True)))

    def count(self, texts: list[list[str]]) -> int | None:
        """How many of some rows (a list a column) are among them; None where they are not known."""
        if self.texts is None:
            return None
        return sum(row in self.texts for row in zip(*texts, strict=True))
