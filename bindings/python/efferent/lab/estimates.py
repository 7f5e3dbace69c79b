"""Point and interval estimates over few runs, as rliable defines them (Agarwal et al. 2021, arXiv 2108.13264)."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _matrix(scores: ArrayLike) -> NDArray[np.float64]:
    """`scores` as `[runs, tasks]`; a vector is runs of one task."""
    matrix = np.asarray(scores, np.float64)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"scores have shape {matrix.shape}, expected [runs] or [runs, tasks]")
    return matrix


def iqm(scores: ArrayLike, axis: int | None = None) -> Any:
    """Interquartile mean: the mean of what is left when a quarter of the values, rounded down, is cut off at either
    end."""
    values = np.sort(np.ravel(scores) if axis is None else np.moveaxis(np.asarray(scores, np.float64), axis, -1),
                     axis=-1)
    cut = values.shape[-1] // 4
    return values[..., cut : values.shape[-1] - cut].mean(axis=-1)


def mean(scores: ArrayLike, axis: int | None = None) -> Any:
    """The plain mean, for `interval`."""
    return np.mean(np.asarray(scores, np.float64), axis=axis)


def resampled(scores: ArrayLike, samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws of the stratified bootstrap, `[samples, runs, tasks]`: for each task on its own as many runs as there are,
    with replacement."""
    matrix = _matrix(scores)
    runs, tasks = matrix.shape
    return matrix[rng.integers(runs, size=(samples, runs, tasks)), np.arange(tasks)]


def _middle(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """The two ends of the percentile interval of values `[samples, ...]`."""
    return np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)


def interval(scores: ArrayLike, statistic: Callable[..., Any] = iqm, confidence: float = 0.95, samples: int = 20_000,
             seed: int = 0) -> tuple[float, float, float]:
    """(estimate, low, high): percentile interval of the stratified bootstrap of `statistic` over `scores` [runs,
    tasks]. `statistic(values, axis)` reduces an axis.
    """
    matrix = _matrix(scores)
    drawn = resampled(matrix, samples, np.random.default_rng(seed)).reshape(samples, -1)
    low, high = _middle(statistic(drawn, axis=-1), confidence)
    return float(statistic(matrix.reshape(-1), axis=-1)), float(low), float(high)


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64]:
    """Share of all runs of all tasks whose score is above each threshold: `[..., thresholds]` of `scores` [..., runs,
    tasks]."""
    values = np.asarray(scores, np.float64)
    return np.stack([np.mean(values > t, axis=(-2, -1)) for t in np.asarray(thresholds, np.float64)], axis=-1)


def profile_interval(scores: ArrayLike, thresholds: ArrayLike, confidence: float = 0.95, samples: int = 2000,
                     seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(profile, low, high), each `[thresholds]`: a performance profile with its pointwise bootstrap interval."""
    matrix = _matrix(scores)
    drawn = resampled(matrix, samples, np.random.default_rng(seed))
    low, high = _middle(performance_profile(drawn, thresholds), confidence)
    return performance_profile(matrix, thresholds), low, high


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> Any:
    """Probability that a run of `x` [..., runs, tasks] is better than one of `y` [..., other runs, tasks] on the same
    task, mean over tasks: the Mann-Whitney U over the number of pairs. Ties count half."""
    a, b = np.asarray(x, np.float64)[..., :, None, :], np.asarray(y, np.float64)[..., None, :, :]
    return np.mean((a > b) + 0.5 * (a == b), axis=(-3, -2, -1))


def improvement_interval(x: ArrayLike, y: ArrayLike, confidence: float = 0.95, samples: int = 2000,
                         seed: int = 0) -> tuple[float, float, float]:
    """(estimate, low, high) of `probability_of_improvement`; runs of both are drawn, each on their own."""
    a, b = _matrix(x), _matrix(y)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"scores are of {a.shape[1]} and of {b.shape[1]} tasks, expected the same tasks")
    rng = np.random.default_rng(seed)
    drawn = resampled(a, samples, rng), resampled(b, samples, rng)
    low, high = _middle(probability_of_improvement(*drawn), confidence)
    return float(probability_of_improvement(a, b)), float(low), float(high)
