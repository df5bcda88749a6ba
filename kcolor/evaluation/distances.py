"""Distances between two sets of features: FID's and KID's."""

from __future__ import annotations

import numpy as np

# Rows of a kernel matrix that are held at once.
_ROWS = 1024


def frechet(
    true: np.ndarray, other: np.ndarray, counts: np.ndarray | None = None
) -> float:
    """Returns the squared Frechet distance of two sets, taken as Gaussians.

    Args:
        true: Features, (n, d).
        other: Features, (n, d).
        counts: How often each row counts, whole numbers of shape (n,); None
            for once each.

    Returns:
        |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)); not a number where a feature
        is none, or where there are fewer than two rows.

    Example:

    >>> random = np.random.default_rng(0)
    >>> features = random.normal(size=(50, 4))
    >>> round(frechet(features, features + 3.0), 6)  # 4 means moved by 3
    36.0

    Reference:
        Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule",
        equation 6.
    """
    if counts is None:
        counts = np.ones(len(true), int)
    true, other, counts = (x[counts > 0] for x in (true, other, counts))
    if counts.sum() < 2:
        return np.nan
    if not (np.isfinite(true).all() and np.isfinite(other).all()):
        return np.nan
    (mean, root), (other_mean, other_root) = (
        _moments(features, counts) for features in (true, other)
    )
    # With C = R^T R the trace of (C C')^(1/2) is the sum of the singular values
    # of R R'^T: exact, too, where C has no inverse for want of photos.
    common = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    spread = np.square(root).sum() + np.square(other_root).sum()
    distance = np.square(mean - other_mean).sum() + spread - 2 * common
    return max(float(distance), 0.0)


def kernel(
    true: np.ndarray, other: np.ndarray, counts: np.ndarray | None = None
) -> float:
    """Returns the squared mean discrepancy of two sets under a cubic kernel.

    Without bias: the mean over pairs of different rows i and j of
    k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), with
    k(x, y) = (x y / d + 1)^3.

    Args:
        true: Features, (n, d).
        other: Features, (n, d).
        counts: As in `frechet`. A row makes no pair with itself, however often
            it counts.

    Returns:
        The discrepancy; not a number where a feature is none, or where there
        are fewer than two rows.

    Example:

    >>> features = np.random.default_rng(0).normal(size=(50, 4))
    >>> abs(kernel(features, features)) < 1e-9
    True

    Reference:
        Binkowski et al. 2018, "Demystifying MMD GANs", section 4.
    """
    if counts is None:
        counts = np.ones(len(true), int)
    pairs = counts.sum() ** 2 - np.square(counts).sum()
    if not pairs:
        return np.nan
    true, other, counts = (
        np.float64(x[counts > 0]) for x in (true, other, counts)
    )
    total = 0.0
    for start in range(0, len(true), _ROWS):
        rows = slice(start, start + _ROWS)
        found = _cubic(true[rows], true) + _cubic(other[rows], other)
        found -= _cubic(true[rows], other) + _cubic(other[rows], true)
        own = np.arange(len(found))
        found[own, start + own] = 0.0
        total += counts[rows] @ found @ counts
    return float(total / pairs)


def _moments(
    features: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean, and R whose R^T R is the covariance."""
    features = np.float64(features)
    mean = np.average(features, axis=0, weights=counts)
    weights = counts[:, None] / (counts.sum() - 1)
    root = np.sqrt(weights) * (features - mean)
    if len(root) > root.shape[1]:  # as short as it can be
        root = np.linalg.qr(root, mode="r")
    return mean, root


def _cubic(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one @ other.T / one.shape[1] + 1.0) ** 3
