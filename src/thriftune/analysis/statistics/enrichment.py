"""Whether errors are more frequent among some texts than among all: rates, lifts and exact tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, false_discovery_control, hypergeom

from thriftune.analysis.statistics.basics import Floats

LEVEL = 0.01
"""Level of a finding after correction for everything that was tried."""
UNSUSPICIOUS = 1.5
"""An excess of errors below so many standard deviations is not tested."""


@dataclass(frozen=True)
class Enrichment:
    """Groups of texts against the population that they are part of; every array has the same shape."""

    texts: NDArray[np.int64]
    errors: NDArray[np.int64]
    rate: Floats
    """Errors over texts; 0 where there are none."""
    lift: Floats
    """The rate over the population's."""
    low: Floats
    """Lower end of the lift's 95% interval; ranking by it shrinks what rests on few texts."""
    high: Floats
    p: Floats
    """One-sided p value of at least so many errors; 1 where the excess is small."""

    def __getitem__(self, index: Any) -> Enrichment:
        """Some of the groups."""
        return Enrichment(*(np.asarray(getattr(self, name))[index] for name in self.__dataclass_fields__))

    def plain(self, index: Any = ()) -> dict[str, Any]:
        """One group's figures as `results.json` holds them."""
        one = self[index]
        return {
            "texts": int(one.texts),
            "errors": int(one.errors),
            "error_rate": float(one.rate),
            "lift": float(one.lift),
            "lift_interval_95": [float(one.low), float(one.high)],
        }


def enrichment(errors: Any, texts: Any, all_errors: Any, all_texts: Any) -> Enrichment:
    """Compares groups with `errors` among `texts` to a population of `all_errors` among `all_texts`.

    The arrays broadcast. p: Fisher's (1922) exact test, one-sided. Intervals: Clopper and Pearson's (1934) for the
    rate, over the population's rate, which is taken as known.
    """
    k, n, K, N = np.broadcast_arrays(*(np.asarray(a, dtype=np.int64) for a in (errors, texts, all_errors, all_texts)))
    base = np.divide(K, N, out=np.zeros(k.shape), where=N > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(n > 0, k / n, 0.0)
        over = np.where(base > 0, 1 / base, 0.0)
        low = np.where(k > 0, beta.ppf(0.025, k, n - k + 1), 0.0)
        high = np.where(k < n, beta.ppf(0.975, k + 1, n - k), 1.0)
        mean, rest = n * base, np.divide(N - n, N - 1, out=np.zeros(k.shape), where=N > 1)
        far = k - mean > UNSUSPICIOUS * np.sqrt(mean * (1 - base) * rest)
    p = np.ones(k.shape)
    p[far] = hypergeom.sf(k[far] - 1, N[far], K[far], n[far])
    return Enrichment(n, k, rate, rate * over, low * over, high * over, np.clip(p, 0, 1))


def adjusted(p: Floats) -> Floats:
    """Benjamini and Hochberg's (1995) adjusted p values: findings at a false discovery rate."""
    return np.asarray(false_discovery_control(p)) if len(p) else p
