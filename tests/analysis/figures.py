"""What the simulations measure, printed where tests run with -s: docs/verdicts.md has the same figures."""

from __future__ import annotations


def figure(value: object, *what: object) -> float:
    """The value, printed as a percentage behind what it is of."""
    number = float(value)  # type: ignore[arg-type]
    print(f"{' '.join(map(str, what))}: {100 * number:.2f}%")
    return number
