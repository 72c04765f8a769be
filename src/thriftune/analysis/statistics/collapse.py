"""How often a method fails with its seed (diverges, or learns nothing), from the few seeds that were tried."""

from __future__ import annotations

from scipy import stats


def rate_at_most(failures: int, seeds: int, level: float = 0.95) -> float:
    """The highest failure rate, from 0 to 1, that so many failures do not rule out (Clopper and Pearson, 1934).

    One-sided and exact: three seeds without a failure rule out only rates above 63%, ten those above 26%. Raises
    ValueError where failures are negative or more than the seeds.
    """
    if not 0 <= failures <= seeds:
        raise ValueError(f"{failures} failures of {seeds} seeds: between 0 and the number of seeds is allowed")
    return 1.0 if failures == seeds else float(stats.beta.ppf(level, failures + 1, seeds - failures))


def rate_at_least(failures: int, seeds: int, level: float = 0.95) -> float:
    """The lowest failure rate, from 0 to 1, that so many failures do not rule out; the other end of `rate_at_most`."""
    return 1 - rate_at_most(seeds - failures, seeds, level)
