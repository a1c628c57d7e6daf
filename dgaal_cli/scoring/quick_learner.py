"""Linear head that is updated after each answer: ridge regression by rank-one updates.

Features come from the exported sampler and stay fixed, so a label is a rank-one update of the
inverse Gram matrix (recursive least squares). The update is exact, reversible (undo subtracts it),
and much shorter than a frame. The head's predictions are mixed with the task model's. The weights
depend on how well each predicted the answers so far, so a poor head cannot do worse than the
predictions that came with the query.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

MAX_WIDTH = 128
"""Wider features are projected to this width by a random matrix."""
_COSINES = 320
"""Number of cosines added to the linear features (Rahimi & Recht 2007)."""
_RIDGE = 0.3
"""L2 penalty."""
_DECAY = 0.97
"""Factor on the log evidence of both predictors after each answer."""
_RECENT = 200
"""Number of answers that the head's sharpness (inverse temperature) is fitted to."""
_SHARPNESS = np.array([2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0])
_FLOOR = 1e-3
"""Lower bound on a predicted probability when its log likelihood is computed."""


class QuickLearner:
    """Classifies a fixed set of images, by row, from their features and the answers so far."""

    def __init__(self, features: NDArray[np.float32], prior: NDArray[np.float32]) -> None:
        """Start without labels.

        Args:
            features: (N, Z), of the exported sampler.
            prior: (N, K), the task model's probabilities; a row of zeros means no prediction.
        """
        self._mapped = _map(features)
        width = self._mapped.shape[1]
        self._classes = prior.shape[1]
        self._prior = prior.astype(np.float64)
        self._inverse: Matrix = np.eye(width) / _RIDGE
        self._weights: Matrix = np.zeros((width, self._classes))
        self._recent: deque[tuple[Matrix, int]] = deque(maxlen=_RECENT)
        self._sharpness = 6.0
        self._evidence = np.array([0.0, -2.0])  # task model and head: the former is favored first
        self._steps = 0
        self.count = 0
        """Number of labels learned."""

    def fit(self, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """Learn many labels at once, as at the start of a round.

        The head's sharpness is fitted to leave-one-out predictions. The weights of the mixture stay
        unchanged, because the task model was trained on these labels.
        """
        if not len(rows):
            return
        x = self._mapped[rows]
        gram = x.T @ x + np.linalg.inv(self._inverse)
        self._inverse = np.asarray(np.linalg.inv(gram), np.float64)
        targets = np.eye(self._classes)[labels]
        self._weights = self._inverse @ (x.T @ targets)
        leverage = np.einsum("nd,nd->n", x @ self._inverse, x)
        left_out = targets - (targets - x @ self._weights) / (1.0 - leverage)[:, None]
        for scores, label in zip(left_out[-_RECENT:], labels[-_RECENT:].tolist(), strict=True):
            self._recent.append((scores, label))
        self._sharpen()
        self.count += len(rows)

    def learn(self, row: int, label: int) -> None:
        """Learn one answer, after updating the mixture weights with it."""
        x = self._mapped[row]
        scores = x @ self._weights
        self._update_evidence(row, scores, label)
        self._recent.append((scores, label))
        self._step(x, label, sign=1.0)
        self._steps += 1
        if self._steps % 8 == 0:
            self._sharpen()

    def forget(self, row: int, label: int) -> None:
        """Remove one learned answer, exactly."""
        self._step(self._mapped[row], label, sign=-1.0)

    def guess(self, rows: NDArray[np.int64]) -> Matrix:
        """Return class probabilities (n, K) for rows."""
        prior = self._prior[rows]
        if not self.count:
            return prior
        head = _softmax(self._sharpness * (self._mapped[rows] @ self._weights))
        share = _softmax(self._evidence[None])[0]
        weight = np.where(prior.any(axis=1), share[0], 0.0)[:, None]
        return weight * prior + (1.0 - weight) * head

    def grow(self) -> None:
        """Add one class."""
        self._classes += 1
        self._prior = np.pad(self._prior, ((0, 0), (0, 1)))
        self._weights = np.pad(self._weights, ((0, 0), (0, 1)))
        self._recent = deque(
            ((np.append(scores, 0.0), label) for scores, label in self._recent), maxlen=_RECENT
        )

    def _step(self, x: Matrix, label: int, *, sign: float) -> None:
        gain = self._inverse @ x
        share = 1.0 + sign * float(x @ gain)
        if share < 1e-9:  # only for a label that was never learned
            raise ValueError("the label to remove was not learned")
        error = -(x @ self._weights)
        error[label] += 1.0
        self._weights += sign * np.outer(gain, error) / share
        self._inverse -= sign * np.outer(gain, gain) / share
        self.count += int(sign)

    def _update_evidence(self, row: int, scores: Matrix, label: int) -> None:
        if not self.count or not self._prior[row].any():
            return
        head = _softmax(self._sharpness * scores[None])[0]
        likely = np.array([self._prior[row, label], head[label]])
        self._evidence = _DECAY * self._evidence + np.log(np.maximum(likely, _FLOOR))
        self._evidence -= self._evidence.max()

    def _sharpen(self) -> None:
        scores = np.stack([entry for entry, _ in self._recent])
        labels = np.array([label for _, label in self._recent])
        rows = np.arange(len(labels))
        loss = [
            -np.log(np.maximum(_softmax(s * scores)[rows, labels], _FLOOR)).mean()
            for s in _SHARPNESS
        ]
        self._sharpness = float(_SHARPNESS[int(np.argmin(loss))])


def margins(probabilities: Matrix) -> Matrix:
    """Difference of the two highest probabilities, (n,); small = uncertain."""
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    ordered = np.partition(probabilities, -2, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def _map(features: NDArray[np.float32]) -> Matrix:
    """Standardize, project wide features, and add random Fourier features and a constant."""
    rng = np.random.default_rng(0)
    x = features.astype(np.float64)
    if x.shape[1] > MAX_WIDTH:
        x = x @ (rng.normal(size=(x.shape[1], MAX_WIDTH)) / np.sqrt(MAX_WIDTH))
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    scale = np.sqrt(x.shape[1])
    frequencies = rng.normal(size=(x.shape[1], _COSINES)) / scale
    phases = rng.uniform(0, 2 * np.pi, _COSINES)
    cosines = np.cos(x @ frequencies + phases) * np.sqrt(2.0 * 8.0 / _COSINES)
    return np.hstack([x / scale, cosines, np.ones((len(x), 1))])


def _softmax(logits: Matrix) -> Matrix:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
