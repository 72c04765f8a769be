"""How much of train to set apart as validation and test, where the source has none."""

from __future__ import annotations

from dataclasses import dataclass

TEST, VALIDATION, MOST = 0.2, 0.1, 0.2
"""Usual shares of the rows, and the largest share for validation."""
FEWEST_VALIDATION, MOST_VALIDATION = 100, 2_000
"""Validation texts: fewer tell no two settings apart; more make every look at them slow and tell little more."""
MOST_TEST = 10_000


@dataclass(frozen=True)
class Shares:
    """Shares of all rows, 0 for a split that the source has."""

    test: float
    validation: float
    why: str
    """Why validation's is not the usual tenth; blank where it is."""

    @property
    def words(self) -> str:
        """The shares that are not 0: "20% for test, 10% for validation"."""
        parts = [(self.test, "test"), (self.validation, "validation")]
        return ", ".join(f"{100 * share:.2g}% for {name}" for share, name in parts if share)


def shares(rows: int, classes: int, missing: list[str]) -> Shares:
    """Shares for the missing splits of `rows` rows.

    A fifth for test, at most about 10,000 texts. A tenth for validation, at most about 2,000 texts; more than a
    tenth, up to a fifth, where a tenth is fewer than 100 texts or fewer than there are classes.
    """
    test = min(TEST, MOST_TEST / max(1, rows)) if "test" in missing else 0.0
    validation, why = 0.0, ""
    if "validation" in missing:
        wanted = max(FEWEST_VALIDATION, classes) / max(1, rows)
        usual = min(VALIDATION, max(MOST_VALIDATION, classes) / max(1, rows))
        validation = min(MOST, max(usual, wanted))
        if validation > VALIDATION:
            why = "validation has more than a tenth, since rates and the end of training are chosen on it"
        elif validation < VALIDATION:
            why = "validation has no more, so that looks at it stay quick"
    return Shares(_rounded(test), _rounded(validation), why)


def _rounded(share: float) -> float:
    """Two digits."""
    return float(f"{share:.2g}")
