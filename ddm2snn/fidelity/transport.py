"""Exact Wasserstein distance between subsamples of two clouds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float


def wasserstein(
    test: Float[np.ndarray, "trial time rank"],
    reference: Float[np.ndarray, "other time rank"],
    *,
    points: int = 500,
    repeats: int = 4,
    seed: int = 0,
) -> Float[np.ndarray, " repeat"]:
    r"""Exact 2-Wasserstein distance of equal numbers of states, drawn `repeats` times.

    .. math:: W_2^2 = \min_{\pi} \frac1n \sum_{i=1}^{n} |x_i - y_{\pi(i)}|^2

    over permutations, each latent in units of the reference's standard deviation, by the assignment problem.
    The distance of two subsamples of **one** cloud is not zero but of the order of :math:`n^{-1/k}` in rank k > 2:
    compare it with the same number for two recordings of the reference. Sliced distances have a lower floor;
    this one sees differences that no projection shows much of. Source: Peyre, Cuturi, Found. Trends Mach. Learn. 11
    (2019), section 2.

    Parameters
    ----------
    test, reference
        Samples in system units.
    points, repeats
        States per subsample, and subsamples; the cost grows with the third power of `points`.
    seed
        Of the draws.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank), of unequal rank, or fewer than `points` in all.
    """
    check_samples("wasserstein", {"test": test, "reference": reference})
    points, repeats = as_count("points", points), as_count("repeats", repeats)
    scale = reference.std(axis=(0, 1))
    if not scale.all():
        raise InputError(f"Latent {int(np.argmin(scale))} of the reference is constant. Leave it out.")
    clouds = [samples.reshape(-1, len(scale)) / scale for samples in (test, reference)]
    fewest = min(len(cloud) for cloud in clouds)
    if fewest < points:
        raise InputError(f"wasserstein was asked for {points} states, but a recording holds {fewest}. Ask for fewer.")
    rng = np.random.default_rng(seed)
    found = np.empty(repeats)
    for repeat in range(repeats):
        x, y = (cloud[rng.choice(len(cloud), points, replace=False)] for cloud in clouds)
        found[repeat] = assignment_distance(x, y)
    return found


def assignment_distance(test: Float[np.ndarray, "point rank"], reference: Float[np.ndarray, "point rank"]) -> float:
    """Exact 2-Wasserstein distance of equally many states, in their own units: see `wasserstein`."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(test, reference, "sqeuclidean")
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))
