"""Studies drawn from known truths, with exact accuracies: texts of unequal difficulty that methods and seeds share."""

from __future__ import annotations

import numpy as np
from scipy import stats

from thriftune.analysis.statistics.inference import Measured, measured


def right_answers(
    rng: np.random.Generator,
    accuracies: list[float],
    seeds: int,
    texts: int,
    seed_spread: float = 0.005,
    common: float = 0.8,
    own: float = 0.05,
) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of shape (methods, seeds, texts), and the true accuracy of every model (methods, seeds).

    A text is right where its difficulty is below the model's threshold. Of the difficulty's variance the part `common`
    is shared by all methods, `own` by the seeds of a method, and the rest is new in each model: at 85% two methods
    disagree on 12% of the texts and two seeds on 10%.
    """
    true = np.asarray(accuracies)[:, None] + rng.normal(0, seed_spread, (len(accuracies), seeds))
    shared = np.sqrt(common) * rng.standard_normal(texts) + np.sqrt(own) * rng.standard_normal((len(accuracies), texts))
    rest = np.sqrt(1 - common - own) * rng.standard_normal((len(accuracies), seeds, texts), dtype=np.float32)
    return shared[:, None] + rest < stats.norm.ppf(true)[..., None], true


def methods_of(right: np.ndarray) -> list[Measured]:
    """Each method's runs, measured."""
    return [measured(each.astype(np.float64)) for each in right]
