"""Entropy production rate from trajectories alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive, freeze_arrays
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples, thinned

if TYPE_CHECKING:
    from jaxtyping import Float

_RIDGE = 1e-9


@dataclass(frozen=True, eq=False)
class CurrentBasis:
    """Functions of the state whose products with a displacement are currents: 1, z and Gaussian bumps.

    Parameters
    ----------
    centre, scale
        Mean and standard deviation of the reference, shape (rank,).
    places
        Middles of the bumps in standard units, shape (bump, rank).
    width
        Standard deviation of the bumps in standard units.
    """

    centre: Float[np.ndarray, " rank"]
    scale: Float[np.ndarray, " rank"]
    places: Float[np.ndarray, "bump rank"]
    width: float

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @classmethod
    def of(cls, reference: Float[np.ndarray, "trial time rank"], bumps: int = 40, seed: int = 0) -> CurrentBasis:
        """Basis whose bumps cover the reference: each next one is the sample furthest from those before.

        More bumps resolve finer currents and cost variance: the rate's standard error grows with the root of their
        number. Without bumps the basis is exact for linear systems.
        """
        check_samples("CurrentBasis", {"reference": reference})
        if bumps:
            as_count("bumps", bumps)
        centre, scale = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
        if not scale.all():
            raise InputError(f"Latent {int(np.argmin(scale))} of the reference is constant; no current flows in it.")
        chosen = reference[:, thinned(reference.shape[1], len(reference), 4000)].reshape(-1, len(scale))
        cloud = np.random.default_rng(seed).permutation((chosen - centre) / scale)
        cloud = cloud[(np.abs(cloud) < 3).all(axis=1)]  # an outlier makes a bump that nothing else visits
        distance = np.full(len(cloud), np.inf)
        places, gap = np.zeros((bumps, len(scale))), 1.0
        for index in range(bumps):
            furthest = int(distance.argmax())
            gap = float(np.sqrt(distance[furthest])) if index else gap
            places[index] = cloud[furthest]
            distance = np.minimum(distance, ((cloud - places[index]) ** 2).sum(axis=1))
        return cls(centre, scale, places, max(gap, 1e-3))

    def __call__(self, state: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... function"]:
        """Values of all functions at the given states."""
        z = (state - self.centre) / self.scale
        square = (z**2).sum(axis=-1)[..., None] + (self.places**2).sum(axis=-1) - 2 * z @ self.places.T
        bumps = np.exp(-np.maximum(square, 0.0) / (2 * self.width**2))
        return np.concatenate([np.ones((*z.shape[:-1], 1)), z, bumps], axis=-1)


@dataclass(frozen=True, eq=False)
class CurrentMoments:
    """First and second moments of the basis' currents per trial: all that the rate needs.

    Parameters
    ----------
    rate
        Mean current per rate time unit, shape (trial, current).
    noise
        Mean product of fluctuations per rate time unit, shape (trial, current, other).
    """

    rate: Float[np.ndarray, "trial current"]
    noise: Float[np.ndarray, "trial current other"]


def current_moments(samples: Float[np.ndarray, "trial time rank"], every: float, basis: CurrentBasis) -> CurrentMoments:
    r"""Moments of the generalised currents :math:`j_m = \varphi_m(z) \circ dz` of a basis.

    With :math:`j^{(s)}_t = \varphi(\tfrac12(z_t + z_{t+s}))\,(z_{t+s} - z_t)` over s samples, the rate is
    :math:`\langle 2 j^{(1)} - \tfrac12 j^{(2)} \rangle / \tau` and the noise
    :math:`\langle \varphi_m \varphi_n(z_t)\, d_t d_t^\top \rangle / 2\tau` with
    :math:`d_t = z_{t+2} - 2 z_{t+1} + z_t`: both free of the error of first order in the sampling interval
    :math:`\tau` that single displacements have.
    """
    check_samples("current_moments", {"samples": samples}, shortest=3)
    check_positive("current_moments", every=every)
    trials, _, rank = samples.shape
    functions = 1 + rank + len(basis.places)
    rate = np.empty((trials, functions * rank))
    noise = np.empty((trials, functions * rank, functions * rank))
    scaled = samples / basis.scale
    for trial, z in enumerate(scaled):
        state = samples[trial]
        single, double = (
            (basis((state[s:] + state[:-s]) / 2)[:, :, None] * (z[s:] - z[:-s])[:, None]).reshape(len(z) - s, -1)
            for s in (1, 2)
        )
        rate[trial] = (2 * single.mean(axis=0) - double.mean(axis=0) / 2) / every
        rough = np.diff(z, n=2, axis=0)
        push = (basis(state[:-2])[:, :, None] * rough[:, None]).reshape(len(rough), -1)
        noise[trial] = push.T @ push / (2 * every * len(push))
    return CurrentMoments(rate, noise)


def entropy_rate(
    moments: CurrentMoments, weights: Float[np.ndarray, "draw trial"] | None = None
) -> Float[np.ndarray, " draw"]:
    r"""Entropy production rate in units of k_B per rate time unit, for each draw of trials and their weights.

    .. math:: \Phi = \max_a \lim_{\tau\to0} \frac{2 \langle a \cdot j\rangle^2}{\tau \operatorname{var}(a \cdot j)}
        = 2\, \mu^\top \Xi^{-1} \mu

    with :math:`\mu` the rate and :math:`\Xi` the noise of the currents: the thermodynamic uncertainty relation, which
    for Langevin dynamics is an equality in the limit of short times, maximised in closed form over a basis. A
    basis that cannot express the optimal current gives a lower bound. Of the square of an uncertain
    :math:`\mu` its expectation :math:`2 \operatorname{tr}\,\Xi^{-1} \operatorname{cov}\hat\mu`, with the covariance
    between trials, is subtracted, so the estimate scatters around zero in equilibrium. Every latent must be
    noisy: where noise is missing the rate is infinite. Sampling must be fine against the drift, but measurement
    noise or smooth (filtered) latents bias it: check with `every` doubled.

    Source: Otsubo, Ito, Dechant, Sagawa, Phys. Rev. E 101 (2020); Manikandan, Gupta, Krishnamurthy, Phys. Rev. Lett.
    124 (2020); the corrections are ours.

    Raises
    ------
    InputError
        For fewer than two trials, which give no covariance.
    """
    trials = len(moments.rate)
    if trials < 2:
        raise InputError("entropy_rate needs two trials or more, got 1. Cut the trial into blocks by reshaping.")
    weight = np.ones((1, trials)) if weights is None else weights
    # scatter of single trials about their mean; resampled trials repeat, so the correction comes from all of them
    about = moments.rate - moments.rate.mean(axis=0)
    found = np.empty(len(weight))
    for draw, each in enumerate(weight):
        total = each.sum()
        mean = each @ moments.rate / total
        noise = np.tensordot(each / total, moments.noise, axes=1)
        noise = noise + _RIDGE * np.trace(noise) / len(noise) * np.eye(len(noise))
        solved = np.linalg.solve(noise, np.column_stack([mean, about.T]))
        chance = (about.T * solved[:, 1:]).sum() / (trials * (trials - 1))
        found[draw] = 2 * (mean @ solved[:, 0] - chance)
    return found
