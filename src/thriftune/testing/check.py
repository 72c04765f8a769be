"""What a check is: named, called without arguments, and failing with a sentence that says what is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One check of a contract, for `@pytest.mark.parametrize("check", method_checks(...), ids=str)` or a plain call."""

    name: str
    """What is checked, and after a colon on what, where there are several: "fits: bert"."""
    work: Callable[[], None]

    def __call__(self) -> None:
        """Raises `AssertionError` where the contract is broken."""
        try:
            self.work()
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}") from error

    def __str__(self) -> str:
        return self.name


def run(checks: Iterable[Check]) -> None:
    """Runs checks one after the other, up to the first that fails."""
    for check in checks:
        check()


def expect(holds: bool, otherwise: str) -> None:
    """Raises `AssertionError` with the sentence where something does not hold, under `python -O` too."""
    if not holds:
        raise AssertionError(otherwise)
