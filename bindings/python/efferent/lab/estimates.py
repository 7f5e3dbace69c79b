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
    return np.mean(scores, axis=axis)


def interval(scores: ArrayLike, statistic: Callable[..., Any] = iqm, confidence: float = 0.95, samples: int = 20_000,
             seed: int = 0) -> tuple[float, float]:
    """(estimate, low, high): percentile interval of the stratified bootstrap of `statistic` over `scores` [runs,
    tasks].

    Every sample draws, for each task on its own, as many runs as there are, with replacement. `statistic(values, axis)`
    reduces an axis.
    """
    scores = _matrix(scores)
    runs, tasks = scores.shape
    rng = np.random.default_rng(seed)
    drawn = scores[rng.integers(runs, size=(samples, runs, tasks)), np.arange(tasks)]
    low, high = np.quantile(statistic(drawn.reshape(samples, -1), axis=-1),
                            [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(statistic(scores.reshape(-1), axis=-1)), float(low), float(high)
