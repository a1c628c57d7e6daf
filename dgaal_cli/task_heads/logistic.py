"""Multinomial logistic regression with an L2 penalty, as scikit-learn defines it, without it.

The loss is ``c * sum of the cross entropies + |weights|^2 / 2``; the bias has no penalty. It is
minimized by Newton's method, whose steps are solved by conjugate gradients. Where there are fewer
rows than features the weights are combinations of the rows, so the problem is solved in the space
that the rows span, which changes nothing but the time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dgaal_cli.features.kernel import Floats

_MAX_STEPS = 100
_MAX_INNER = 250
TOLERANCE = 1e-8
"""Weights then equal those of scikit-learn within 1e-4."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Scores of C classes, linear in the features."""

    weights: Floats
    """(D, C)."""
    bias: Floats
    """(C,)."""

    def logits(self, rows: Floats) -> Floats:
        """Return the scores (n, C) of rows (n, D)."""
        return rows @ self.weights + self.bias


def fit_logistic(
    rows: Floats,
    targets: Floats,
    c: float,
    *,
    start: LinearHead | None = None,
    tolerance: float = TOLERANCE,
) -> LinearHead:
    """Fit a head. A class without targets gets probability 0: its bias is minus infinity.

    Args:
        rows: Features (n, D), float64, standardized.
        targets: (n, C): weight of each class in each row, such as one 1.
        c: Inverse of the strength of the penalty, above 0.
        start: Head to begin with, such as that of another ``c``.
        tolerance: Norm of the gradient, relative to that of zero weights, at which training ends.
    """
    count, present = targets.shape[1], np.flatnonzero(targets.sum(axis=0))
    if len(present) < count:
        bias = np.zeros(count)
        bias.fill(-np.inf)
        head = LinearHead(np.zeros((rows.shape[1], count)), bias)
        if start is not None:
            start = LinearHead(start.weights[:, present], start.bias[present])
        own = fit_logistic(rows, targets[:, present], c, start=start, tolerance=tolerance)
        head.weights[:, present], head.bias[present] = own.weights, own.bias
        return head
    basis = _basis(rows)
    if basis is not None:
        rows = rows @ basis
    rows = np.hstack([rows, np.ones((len(rows), 1))])
    weights = np.zeros((rows.shape[1], targets.shape[1]))
    if start is not None:
        own = start.weights if basis is None else basis.T @ start.weights
        weights = np.vstack([own, start.bias])
    weights = _Problem(rows, targets, c).solve(weights, tolerance)
    head = weights[:-1] if basis is None else basis @ weights[:-1]
    return LinearHead(head, weights[-1])


def in_own_span(rows: Floats) -> Floats:
    """Return rows (n, D) in coordinates (n, min(n, D)) of the space that they span.

    Heads that are fitted to them give the same probabilities as heads for ``rows``. Many heads for
    the same rows then need these coordinates only once.
    """
    basis = _basis(rows)
    return rows if basis is None else rows @ basis


def _basis(rows: Floats) -> Floats | None:
    """Return a basis (D, n) of fewer rows than features; None for more rows."""
    return np.linalg.qr(rows.T)[0] if len(rows) < rows.shape[1] else None


def softmax(logits: Floats) -> Floats:
    """Return probabilities (n, C) for scores."""
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


class _Problem:
    """Loss, gradient and curvature; the last row of the weights is the bias."""

    def __init__(self, rows: Floats, targets: Floats, c: float) -> None:
        self._rows, self._targets, self._c = rows, targets, c

    def solve(self, weights: Floats, tolerance: float) -> Floats:
        limit = tolerance * float(np.linalg.norm(self._gradient(np.zeros_like(weights))[0]))
        loss = self._loss(weights)
        for _ in range(_MAX_STEPS):
            gradient, probabilities = self._gradient(weights)
            norm = float(np.linalg.norm(gradient))
            if norm <= limit:
                break
            step = _newton_step(gradient, lambda x: self._curvature(x, probabilities))  # noqa: B023
            slope, size = float((gradient * step).sum()), 1.0
            while (lower := self._loss(weights + size * step)) > loss + 1e-4 * size * slope:
                size /= 2
                if size < 1e-10:
                    return weights  # rounding hides further progress
            weights, loss = weights + size * step, lower
        return weights

    def _loss(self, weights: Floats) -> float:
        logits = self._rows @ weights
        top = logits.max(axis=1, keepdims=True)
        logs = top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        entropies = (self._targets * (logs - logits)).sum()
        return float(self._c * entropies + 0.5 * (weights[:-1] ** 2).sum())

    def _gradient(self, weights: Floats) -> tuple[Floats, Floats]:
        probabilities = softmax(self._rows @ weights)
        weight = self._targets.sum(axis=1, keepdims=True)
        gradient = self._c * (self._rows.T @ (weight * probabilities - self._targets))
        gradient[:-1] += weights[:-1]
        return gradient, probabilities

    def _curvature(self, direction: Floats, probabilities: Floats) -> Floats:
        """Multiply the Hessian matrix by a direction."""
        weight = self._targets.sum(axis=1, keepdims=True)
        change = self._rows @ direction
        change -= (probabilities * change).sum(axis=1, keepdims=True)
        image = self._c * (self._rows.T @ (weight * probabilities * change))
        image[:-1] += direction[:-1]
        return image


def _newton_step(gradient: Floats, curvature: Callable[[Floats], Floats]) -> Floats:
    """Solve ``Hessian step = -gradient`` as exactly as the size of the gradient is worth."""
    step, residual = np.zeros_like(gradient), -gradient
    direction, squared = residual.copy(), float((residual**2).sum())
    limit = squared * min(0.25, np.sqrt(squared)) ** 2
    for _ in range(_MAX_INNER):
        image = curvature(direction)
        bend = float((direction * image).sum())
        if bend <= 0:
            break
        size = squared / bend
        step += size * direction
        residual -= size * image
        before, squared = squared, float((residual**2).sum())
        if squared <= limit:
            break
        direction = residual + squared / before * direction
    return step
