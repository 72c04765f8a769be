"""Studies drawn from known truths: texts of unequal difficulty, methods, and seeds that shift a model."""

from __future__ import annotations

import numpy as np

from thriftune.analysis.findings.judgement import decide
from thriftune.analysis.statistics import inference


def answers(
    rng: np.random.Generator,
    accuracies: list[float],
    seeds: int,
    texts: int,
    seed_spread: float = 0.005,
) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of shape (methods, seeds, texts), and the true accuracy of every model (methods, seeds).

    Texts are drawn anew; the methods share their difficulty on nine texts of ten. No text is so easy or hard that a
    seed's shift would be cut off.
    """
    common = rng.beta(1.84, 0.16, texts)
    own = rng.beta(1.84, 0.16, (len(accuracies), texts))
    chance = 0.04 + 0.88 * np.where(rng.random((len(accuracies), texts)) < 0.1, own, common)
    true = np.asarray(accuracies)[:, None] + rng.normal(0, seed_spread, (len(accuracies), seeds))
    shifted = chance[:, None] + (true - (0.04 + 0.88 * 0.92))[..., None]
    return rng.random(shifted.shape, dtype=np.float32) < shifted, true


def outcomes(right: np.ndarray, margin: float = 0.005) -> tuple[list[str], bool]:
    """The outcome of every pair of methods as a study gives it, and whether the claims are about the methods."""
    methods = [inference.measured(each.astype(np.float64)) for each in right]
    pairs = [(a, b) for a in range(len(methods)) for b in range(a + 1, len(methods))]
    differences = [
        inference.difference(methods[a], methods[b], [m for i, m in enumerate(methods) if i not in (a, b)])
        for a, b in pairs
    ]
    _, levels = inference.holm([each.p for each in differences])
    found = [decide(each, level, margin) for each, level in zip(differences, levels, strict=True)]
    return list(found), differences[0].repeated


def claims(
    studies: int, accuracies: list[float], seeds: int, texts: int, seed_spread: float = 0.005, seed: int = 0
) -> float:
    """The share of simulated studies with at least one better or worse."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(studies):
        found, _ = outcomes(answers(rng, accuracies, seeds, texts, seed_spread)[0])
        hits += bool({"better", "worse"} & set(found))
    return hits / studies
