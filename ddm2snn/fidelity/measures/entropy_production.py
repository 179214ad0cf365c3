"""Entropy production rate from trajectories alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.projection import spread_out
from ddm2snn.base.arrays import as_count, check_positive, freeze_arrays
from ddm2snn.base.least_squares import solve_ridge
from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures.measure import Entry, Measure, Numbers, ReferenceSamples
from ddm2snn.fidelity.samples import check_samples, thinned

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples, Weights

    CurrentMoments = tuple[Float[np.ndarray, "trial current"], Float[np.ndarray, "trial current other"]]

_RIDGE = 1e-9  # relative to the mean square of the currents [choice]
_BUMPS = 20  # of the currents' weights [choice]
_COARSE_SAMPLES = 512  # per trial, which tell the order of the rate [choice]
_FEWEST_OF_LAG = 10  # of these samples in each phase of a lag [choice]
_SMALLEST_COARSE = 0.2  # relative difference that is coarse at the least [choice]
_HIGHEST_RANK = 8  # with few enough currents for the samples [choice]


@dataclass(frozen=True, eq=False)
class CurrentBasis:
    """Functions of the state whose products with a displacement are currents: 1, z and Gaussian bumps.

    `centre` and `scale` are mean and standard deviation of the reference; `places` are the middles of the bumps and
    `width` is their standard deviation, in these units.

    Examples
    --------
    >>> CurrentBasis(np.zeros(1), np.ones(1), np.array([[2.0]]), 1.0)(np.array([[2.0]]))
    array([[1., 2., 1.]])
    """

    centre: Float[np.ndarray, " rank"]
    scale: Float[np.ndarray, " rank"]
    places: Float[np.ndarray, "bump rank"]
    width: float

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @classmethod
    def of(cls, reference: Samples, bumps: int = _BUMPS) -> CurrentBasis:
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
        states = reference[:, thinned(reference.shape[1], len(reference), 4000)].reshape(-1, len(scale))
        cloud = np.random.default_rng(0).permutation((states - centre) / scale)
        cloud = cloud[(np.abs(cloud) < 3).all(axis=1)]  # an outlier makes a bump that nothing else visits
        places, gap = spread_out(cloud, bumps, first=0)
        return cls(centre, scale, places, max(gap, 1e-3))

    def __call__(self, state: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... function"]:
        """Values of all functions at the states."""
        z = (state - self.centre) / self.scale
        square = (z**2).sum(axis=-1)[..., None] + (self.places**2).sum(axis=-1) - 2 * z @ self.places.T
        bumps = np.exp(-np.maximum(square, 0.0) / (2 * self.width**2))
        return np.concatenate([np.ones((*z.shape[:-1], 1)), z, bumps], axis=-1)


def current_moments(samples: Samples, every: float, basis: CurrentBasis) -> CurrentMoments:
    r"""Moments of the generalised currents :math:`j_m = \varphi_m(z) \circ dz` of a basis, for each trial.

    With :math:`j^{(s)}_t = \varphi(\tfrac12(z_t + z_{t+s}))\,(z_{t+s} - z_t)` over s samples, the rate is
    :math:`\langle 2 j^{(1)} - \tfrac12 j^{(2)} \rangle / \tau` and the noise
    :math:`\langle \varphi_m \varphi_n(z_t)\, d_t d_t^\top \rangle / 2\tau` with
    :math:`d_t = z_{t+2} - 2 z_{t+1} + z_t`: both free of the error of first order in the sampling interval
    :math:`\tau` that single displacements have. Both are per rate time unit.

    Examples
    --------
    >>> basis = CurrentBasis(np.zeros(1), np.ones(1), np.zeros((0, 1)), 1.0)  # the functions 1 and z
    >>> line = 0.5 * np.arange(5.0).reshape(1, 5, 1)
    >>> current_moments(line, every=1.0, basis=basis)[0]  # the velocity, and its mean product with z
    array([[0.5, 0.5]])
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
            (basis((state[s:] + state[:-s]) / 2).T @ (z[s:] - z[:-s])).ravel() / (len(z) - s) for s in (1, 2)
        )
        rate[trial] = (2 * single - double / 2) / every
        rough = np.diff(z, n=2, axis=0)
        push = (basis(state[:-2])[:, :, None] * rough[:, None]).reshape(len(rough), -1)
        noise[trial] = push.T @ push / (2 * every * len(push))
    return rate, noise


def entropy_rate(moments: CurrentMoments, weights: Weights | None = None) -> Float[np.ndarray, " selection"]:
    r"""Entropy production rate of each selection of trials, in units of k_B per rate time unit.

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

    Examples
    --------
    >>> moments = np.array([[3.0], [3.0]]), np.array([[[2.0]], [[2.0]]])
    >>> entropy_rate(moments).round(6)  # 2 x 3 x 3 / 2
    array([9.])
    """
    rate, noise = moments
    trials = len(rate)
    if trials < 2:
        raise InputError("entropy_rate needs two trials or more, got 1. Cut the trial into blocks by reshaping.")
    weight = np.ones((1, trials)) if weights is None else weights
    # scatter of single trials about their mean; resampled trials repeat, so the correction comes from all of them
    about = rate - rate.mean(axis=0)
    rates = np.empty(len(weight))
    for run, each in enumerate(weight):
        total = each.sum()
        mean = each @ rate / total
        solved = solve_ridge(np.tensordot(each / total, noise, axes=1), np.column_stack([mean, about.T]), _RIDGE)
        chance = (about.T * solved[:, 1:]).sum() / (trials * (trials - 1))
        rates[run] = 2 * (mean @ solved[:, 0] - chance)
    return rates


@dataclass(frozen=True, eq=False)
class EntropyProduction(Measure):
    r"""Difference of the entropy production rates at two lags, in k_B per rate time unit.

    `ddm2snn.analyse` gives the rate from drift and diffusion of the network itself, which is the limit of no lag. At a
    lag :math:`\tau` the rate is lower, for one reason: the noise :math:`\Xi` of the currents comes from second
    differences, which hold the bend of the path beside its noise, :math:`\tau^3 \langle |(f \cdot \nabla) f|^2
    \rangle / 2` beside :math:`G G^\top`, and the rate has :math:`\Xi` in its denominator. (With noise 0.1 the rate of
    van der Pol's oscillator is 1,232 without a lag, 1,213 at 0.02 and 758 at 0.1.) The bend is that of reference and
    test alike, so the lags compare them, but neither is the rate of a process. Ripple of a test adds to :math:`\Xi` in
    the same way, the more the shorter the lag.

    The lags follow the motion: a hundredth and a twentieth of `ReferenceSamples.segment`, and at least one and two
    samples. A coarse difference is half of the reference's rate, and 0.2 or more.
    """

    basis: CurrentBasis
    every: float
    lags: tuple[int, int]
    coarse: tuple[float, float] = (_SMALLEST_COARSE, _SMALLEST_COARSE)

    @classmethod
    def of(cls, reference: ReferenceSamples) -> EntropyProduction | None:
        """None in a rank so high, or a recording so short, that products of currents are not resolved."""
        samples = reference.samples
        rank = samples.shape[2]
        currents = (1 + rank + _BUMPS) * rank
        if currents * 10 > samples.shape[0] * samples.shape[1] or rank > _HIGHEST_RANK:
            return None
        lags = reference.fine_lag, max(reference.lag, 2 * reference.fine_lag)
        measure = cls(CurrentBasis.of(samples), reference.every, lags)
        if len(samples) < 2:
            return measure
        some = samples[:, : max(_COARSE_SAMPLES, _FEWEST_OF_LAG * max(lags))]
        rates = measure.values(measure.summarise(some), np.ones((1, len(samples))))[0]
        return replace(measure, coarse=tuple(max(0.5 * abs(float(rate)), _SMALLEST_COARSE) for rate in rates))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The differences of the rates."""
        return tuple(
            Entry(f"entropy_production_{lag:g}", f"entropy production at lag {lag:g}", "k_B per time unit",
                  coarse, "lag", subject="entropy production", aspect="irreversibility", sources=("otsubo2020",))
            for lag, coarse in zip(np.array(self.lags) * self.every, self.coarse, strict=True)
        )  # fmt: skip

    def summarise(self, samples: Samples) -> list[CurrentMoments]:
        """Moments of the currents of each trial at each lag, in the mean over the phases of the lag."""
        return [self._moments(samples, lag) for lag in self.lags]

    def _moments(self, samples: Samples, lag: int) -> CurrentMoments:
        parts = [current_moments(samples[:, phase::lag], lag * self.every, self.basis) for phase in range(lag)]
        rates, noises = zip(*parts, strict=True)
        return np.mean(rates, axis=0), np.mean(noises, axis=0)

    def values(self, summary: list[CurrentMoments], weights: Weights) -> Float[np.ndarray, "selection lag"]:
        """Rates; a selection that counts trials once is a recording of its own, down to the correction for chance."""
        rates = np.full((len(weights), len(summary)), np.nan)
        for run, weight in enumerate(weights):
            trials = np.flatnonzero(weight)
            once = weight.max(initial=0.0) <= 1.0
            if (len(trials) if once else len(weight)) < 2:
                continue
            for index, (rate, noise) in enumerate(summary):
                moments = (rate[trials], noise[trials]) if once else (rate, noise)
                rates[run, index] = entropy_rate(moments, None if once else weight[None])[0]
        return rates

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float, ...]:
        """Absolute differences."""
        return tuple(map(float, np.abs(test - reference)))

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Numbers, ...]:
        """In k_B per rate time unit."""
        return tuple(zip(map(float, test), map(float, reference), strict=True))
