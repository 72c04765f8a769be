"""Multinomial logistic regression with an L2 penalty: what a head is where it is solved instead of trained.

Minimised is the sum of the cross-entropies plus |W|^2 / (2 C), the intercept free, as in scikit-learn's
LogisticRegression; with two classes the penalty is on the difference of their rows, as there. Newton's method with
conjugate gradients (Lin et al. 2008, JMLR 9) runs in the features' principal axes, where the curvature is nearly
diagonal: its products with the curvature are float32, the gradients that say where the minimum is are float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

BLOCK = 8192
"""Texts whose float64 numbers are held at once."""
GRID = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""C times the mean squared distance of the features from their mean, so that the features' scale does not matter."""
WITHOUT_VALIDATION = 10.0
PATIENCE = 2
"""So many values of C in a row that are no better than the best before end the search."""
ROUGH = 2e-4
"""Of the mean loss: what is about to be gained yet, where the search leaves a C."""
CERTAIN = 1e-5
"""Of any training text's logit: how far the solution may be from the minimum."""
MOST_STEPS = (30, 60)
"""Newton steps in the search and at the end."""
MOST_PRODUCTS = 100
"""Products with the curvature in one Newton step."""


@dataclass(frozen=True)
class Tried:
    """A value of C in the search."""

    c: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Solution:
    """A solved Linear."""

    weight: torch.Tensor
    """(classes, width), float64."""
    bias: torch.Tensor | None
    """(classes,), float64; sums to zero over the classes that training has. None without an intercept."""
    c: float
    tried: tuple[Tried, ...]
    """Empty where there was no validation to choose C."""
    converged: bool
    """Whether the minimum was reached as exactly as promised."""


@dataclass(frozen=True)
class Labelled:
    """Features (texts, width), float32, and label ids (texts,), int64, on one device."""

    features: torch.Tensor
    labels: torch.Tensor


def solve(
    train: Labelled, validation: Labelled | None, classes: int, intercept: bool = True, c: float | None = None
) -> Solution:
    """The regression on the training texts; C is the best on validation (accuracy, then loss), or the one given.

    Without validation C is `WITHOUT_VALIDATION` over the features' variance. A class that training lacks gets logits
    that are finite and low: see `with_absent`. Raises `ValueError` for features that are not finite.
    """
    problem = Problem(train, classes, intercept)
    state, tried = problem.start(), []
    best = (WITHOUT_VALIDATION / problem.scale if c is None else c, state)
    if validation is not None and c is None:
        top, bad = (-math.inf, -math.inf), 0
        for value in GRID:
            state, _ = problem.minimise(state, value / problem.scale, exact=False)
            found = problem.scored(state, validation, value / problem.scale)
            tried.append(found)
            if (found.accuracy, -found.loss) > top:
                top, bad, best = (found.accuracy, -found.loss), 0, (found.c, state)
            else:
                bad += 1
                if bad == PATIENCE:
                    break
    state, converged = problem.minimise(best[1], best[0], exact=True)
    weight, bias = problem.linear(state)
    return Solution(weight, bias, best[0], tuple(tried), converged)


class Problem:
    """A regression's features in their principal axes; a state is (width + 1, classes present), the intercept last."""

    def __init__(self, train: Labelled, classes: int, intercept: bool) -> None:
        features = train.features
        if not bool(torch.isfinite(features).all()):
            raise ValueError("features are not finite numbers")
        self.classes, self.intercept = classes, intercept
        self.present, self.labels = torch.unique(train.labels, return_inverse=True)
        self.features = features
        self.mean = _mean(features) if intercept else torch.zeros_like(features[0], dtype=torch.float64)
        self.rows = torch.empty_like(features)
        """(texts, width), float32: what the products with the curvature read."""
        for part in self.blocks():
            self.rows[part] = features[part].double().sub_(self.mean)
        moments, self.axes = torch.linalg.eigh((self.rows.T @ self.rows).double())
        self.moments = moments.clamp(min=0.0)
        self.radius = float(self.rows.norm(dim=1).max())
        turn = self.axes.float()
        for part in self.blocks():
            self.rows[part] = self.rows[part] @ turn
        self.scale = float(self.moments.sum()) / len(features) or 1.0
        """Mean squared distance of the features from their mean."""

    def blocks(self) -> list[slice]:
        """Which texts are taken together."""
        return [slice(start, start + BLOCK) for start in range(0, len(self.features), BLOCK)]

    def start(self) -> torch.Tensor:
        """All zeros."""
        size = (len(self.moments) + 1, len(self.present))
        return torch.zeros(size, dtype=torch.float64, device=self.features.device)

    def penalty(self, c: float) -> float:
        """What half the squared weights are multiplied with."""
        return (2.0 if len(self.present) == 2 else 1.0) / c

    def minimise(self, state: torch.Tensor, c: float, exact: bool) -> tuple[torch.Tensor, bool]:
        """Goes on from a state to the minimum for some C: roughly, or as `CERTAIN` says; whether it got there."""
        penalty, texts = self.penalty(c), len(self.labels)
        value, gradient, shares = self.evaluate(state, penalty, exact)
        best, stalled, certain = math.inf, 0, False
        for _ in range(MOST_STEPS[exact]):
            # The objective's curvature is at least the penalty's: so far at most are the weights from the minimum.
            size = float(gradient[:-1].norm()) / penalty
            stalled = 0 if size < 0.5 * best else stalled + 1
            best = min(best, size)
            scale = self.scales(shares, penalty)
            if not exact and float((gradient.square() / scale).sum()) <= ROUGH * texts:
                break
            step = self.newton(gradient, shares, penalty, scale, 1e-2 if exact else 0.25)
            certain = size * self.radius <= CERTAIN and float(step[-1].abs().max()) <= CERTAIN
            slope = float((step * gradient).sum())
            if slope >= 0.0 or (exact and (certain or (stalled > 5 and size))):  # stalled: as near as float64 gets
                break
            rounding, length = (1e-13 if exact else 1e-6) * abs(value), 1.0
            while length > 1e-6:
                found = self.evaluate(state + length * step, penalty, exact)
                if found[0] <= value + 1e-4 * length * slope + rounding:
                    break
                length /= 2
            else:
                break
            state, (value, gradient, shares) = state + length * step, found
        return state, certain or size * self.radius <= 100 * CERTAIN

    def evaluate(self, state: torch.Tensor, penalty: float, exact: bool) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Objective, its gradient (float64, as the state) and the classes' probabilities, (texts, classes) float32."""
        weights, intercept = state[:-1], state[-1]
        gradient = torch.zeros_like(state)
        shares = self.rows.new_empty(len(self.rows), state.shape[1])
        loss = torch.zeros((), dtype=torch.float64, device=state.device)
        turned = self.axes @ weights if exact else weights.float()
        for part in self.blocks():
            rows = self.features[part].double().sub_(self.mean) if exact else self.rows[part]
            logits = torch.addmm(intercept.to(rows.dtype), rows, turned)
            labels = self.labels[part].unsqueeze(1)
            total = logits.logsumexp(dim=1, keepdim=True)
            loss += (total - logits.gather(1, labels)).sum(dtype=torch.float64)
            logits = logits.sub_(total).exp_()
            shares[part] = logits
            logits.scatter_add_(1, labels, torch.full_like(labels, -1.0, dtype=logits.dtype))
            gradient[:-1] += (rows.T @ logits).double()
            gradient[-1] += logits.sum(dim=0, dtype=torch.float64)
        if exact:
            gradient[:-1] = self.axes.T @ gradient[:-1]
        gradient[:-1] += penalty * weights
        if not self.intercept:
            gradient[-1] = 0.0
        return float(loss + 0.5 * penalty * weights.square().sum()), gradient, shares

    def scales(self, shares: torch.Tensor, penalty: float) -> torch.Tensor:
        """About the curvature along each axis for each class, (width + 1, classes): what steps are measured in."""
        spread = (shares * (1.0 - shares)).mean(dim=0).double().clamp(min=1e-7)
        moments = torch.cat([self.moments, self.moments.new_full((1,), float(len(self.rows)))])
        scale = moments.unsqueeze(1) * spread
        scale[:-1] += penalty
        return scale

    def newton(
        self,
        gradient: torch.Tensor,
        shares: torch.Tensor,
        penalty: float,
        scale: torch.Tensor,
        wanted: float,
        most: int = MOST_PRODUCTS,
    ) -> torch.Tensor:
        """Newton's step by preconditioned conjugate gradients, (width + 1, classes) float64, to a relative error."""
        step = torch.zeros_like(gradient)
        left = -gradient
        towards = left / scale
        direction, before = towards, float((left * towards).sum())
        first = before
        for _ in range(most):
            curved = self.curvature(direction, shares, penalty)
            bend = float((direction * curved).sum())
            if bend <= 0.0:
                break
            length = before / bend
            step, left = step + length * direction, left - length * curved
            towards = left / scale
            after = float((left * towards).sum())
            if after <= wanted**2 * first:
                break
            direction, before = towards + (after / before) * direction, after
        return step

    def curvature(self, direction: torch.Tensor, shares: torch.Tensor, penalty: float) -> torch.Tensor:
        """The objective's curvature times a direction, (width + 1, classes) float64."""
        out = penalty * direction
        weights, intercept = direction[:-1].float(), direction[-1].float()
        sums = torch.zeros_like(intercept)
        products = torch.zeros_like(weights)
        for part in self.blocks():
            rows, share = self.rows[part], shares[part]
            moved = torch.addmm(intercept, rows, weights).mul_(share)
            moved.addcmul_(share, moved.sum(dim=1, keepdim=True), value=-1.0)
            products.addmm_(rows.T, moved)
            sums += moved.sum(dim=0)
        out[:-1] += products
        out[-1] = sums if self.intercept else 0.0
        return out

    def probe(self) -> None:
        """Does once what a solution does many times, for what measures memory."""
        state = self.start()
        _, gradient, shares = self.evaluate(state, 1.0, exact=True)
        self.newton(gradient, shares, 1.0, self.scales(shares, 1.0), 0.0, most=2)

    def scored(self, state: torch.Tensor, texts: Labelled, c: float) -> Tried:
        """Accuracy and mean loss on other texts; those of a class that training lacks count as wrong."""
        weight, bias = self.linear(state)
        logits = texts.features @ weight.float().T
        if bias is not None:
            logits += bias.float()
        loss = torch.nn.functional.cross_entropy(logits.double(), texts.labels)
        right = (logits.argmax(dim=1) == texts.labels).double().mean()
        return Tried(c, float(right), float(loss))

    def linear(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight (classes, width) and bias (classes,) for features as they are, all classes among them."""
        weights, intercept = (self.axes @ state[:-1]).T, state[-1] - state[-1].mean()
        bias = intercept - weights @ self.mean if self.intercept else None
        return with_absent(weights, bias, self.present, self.classes, len(self.labels), _mean(self.features))


def with_absent(
    weights: torch.Tensor,
    bias: torch.Tensor | None,
    present: torch.Tensor,
    classes: int,
    texts: int,
    mean: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The rows of the classes that training has among those of all.

    The logits of the others are -log(2 texts), as of half a text among all: those of the classes present average to
    zero, so a class that training lacks is never the most probable. Without an intercept its logit is that low on the
    mean text.
    """
    low = -math.log(2 * texts)
    out = weights.new_zeros(classes, weights.shape[1])
    if bias is None:
        out[:] = low * mean / mean.square().sum().clamp(min=1e-12)
        out[present] = weights
        return out, None
    whole = bias.new_full((classes,), low)
    out[present], whole[present] = weights, bias
    return out, whole


def _mean(features: torch.Tensor) -> torch.Tensor:
    starts = range(0, len(features), BLOCK)
    sums = [features[start : start + BLOCK].double().sum(dim=0) for start in starts]
    return torch.stack(sums).sum(dim=0) / len(features)


def live_bytes(texts: int, width: int, classes: int, validation: int = 0) -> int:
    """Bytes of the tensors that are alive at a solution's peak, the features that it reads among them."""
    block, state = min(texts, BLOCK), 8 * (width + 1) * classes
    held = 4 * width * (2 * texts + validation) + 8 * (2 * texts + validation) + 8 * width**2
    setting_up = 8 * block * width + 12 * width**2
    evaluating = 4 * texts * classes + 8 * block * (width + classes) + 4 * state
    stepping = 4 * texts * classes + 4 * block * classes + 11 * state
    return held + max(setting_up, evaluating, stepping)
