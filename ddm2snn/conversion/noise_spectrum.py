r"""Spectrum of the error of decoded spikes, and the noise to inject so that both together are the rate network's.

Spikes are quiet at low frequencies, since neurons fire regularly, and as noisy as a Poisson process at high ones. What
they lack of the rate network's diffusion is injected, frequency by frequency. Where the spikes exceed it nothing can be
taken away again: that is left to the rise of the synapses.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.least_squares import fit_ridge
from ddm2snn.base.noise_colour import power_gain

if TYPE_CHECKING:
    from jaxtyping import Complex, Float

_SEGMENT = 5.0  # rate time units of a segment, whose inverse is the lowest frequency [choice]
_BINS = 30  # of frequency, in equal ratios [choice]
_FITTED = 100_000  # means of samples from which the smooth part of the error is fitted [cost]
_QUIETEST = 0.02  # share of the diffusion to inject that a colour is fitted to where less is wanted [choice]
_WHITE = 0.01  # rms deviation from white noise, relative, that no colour is made for [choice]
_STARTS = 8  # frequencies from which the fit of a colour begins [cost]
_NO_NOISE = 1e-6  # share of the trace of a tensor, below which a direction has no noise [choice]


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    r"""Error of the decoded spikes as a response to the noise of the latents, and what it has of its own.

    Along a path whose noise is n the error is :math:`e = K n + e'` (K: `response`), so that in the closed loop, with
    injected noise i, :math:`n = i + e = (1-K)^{-1}(i + e')`. Densities are two-sided: white noise of the diffusion
    tensor :math:`G G^\top` has this tensor at every frequency.

    Parameters
    ----------
    frequency
        Per rate time unit, shape (frequency,).
    target
        Mean of :math:`G G^\top` of the rate network, shape (rank, rank).
    response
        K, shape (frequency, rank, rank).
    spikes
        Density of :math:`e'`, shape (frequency, rank, rank).
    motion
        Frequency up to which the latents move by themselves.
    """

    frequency: Float[np.ndarray, " frequency"]
    target: Float[np.ndarray, "rank rank"]
    response: Complex[np.ndarray, "frequency rank rank"]
    spikes: Complex[np.ndarray, "frequency rank rank"]
    motion: float

    @cached_property
    def _open(self) -> Complex[np.ndarray, "frequency rank rank"]:
        return np.eye(len(self.target)) - self.response

    def mean_up_to(self, highest: float) -> Float[np.ndarray, "rank rank"]:
        """Mean density of the spikes' own error over frequencies up to `highest`, or the third that is measured."""
        return self._mean(self.spikes, max(highest, float(self.frequency[2])))

    def _mean(self, density: Complex[np.ndarray, "frequency rank rank"], highest: float) -> np.ndarray:
        some = self.frequency <= highest
        return np.average(np.real(density[some]), axis=0, weights=np.gradient(self.frequency)[some])

    @property
    def wanted(self) -> Complex[np.ndarray, "frequency rank rank"]:
        """Density of the injected noise with which the total is `target`; not positive where spikes exceed it."""
        return self._open @ self.target @ _conjugate(self._open) - self.spikes

    def total(
        self, factor: Float[np.ndarray, "rank rank"], colour: Float[np.ndarray, "rank coefficient"] | None
    ) -> Complex[np.ndarray, "frequency rank rank"]:
        """Density of all noise in the closed loop, with noise of a factor and colour injected."""
        gain = np.ones((len(self.frequency), len(factor))) if colour is None else power_gain(colour, self.frequency)
        injected = (factor * gain[:, None]) @ factor.T
        closed = np.linalg.inv(self._open)
        return closed @ (injected + self.spikes) @ _conjugate(closed)

    @property
    def _slowest(self) -> float:
        """Frequency up to which injected noise is white: that of the motion, or the third that is measured."""
        return max(self.motion, float(self.frequency[2]))

    @property
    def white(self) -> Float[np.ndarray, "rank rank"]:
        """Lower-triangular factor of the white noise to inject: the mean of `wanted` up to the frequency `motion`."""
        values, vectors = np.linalg.eigh(self._mean(self.wanted, self._slowest))
        return _lower(vectors * np.sqrt(np.maximum(values, 0.0)))

    @cached_property
    def injection(self) -> tuple[Float[np.ndarray, "rank rank"], Float[np.ndarray, "rank coefficient"] | None]:
        """Lower-triangular factor of the noise to inject, and its colour; None for white.

        A colour is fitted for each source where
        `wanted` deviates from white by more than one percent, as a root mean square over the logarithm of frequency.
        """
        factor = self.white
        noisy = np.diag(factor) ** 2 > _NO_NOISE * max(float(np.trace(self.target)), np.finfo(float).tiny)
        inverse = np.linalg.pinv(factor, rcond=np.sqrt(_NO_NOISE))
        share = np.einsum("ij,fjk,ik->fi", inverse, self.wanted, inverse).real
        colour = np.ones((len(factor), 4))
        resolved = self._slowest < 0.5 * self.frequency[-1]  # beyond the motion, where a colour may be
        for source in np.flatnonzero(noisy & resolved):
            if np.sqrt(((share[:, source] - 1.0) ** 2).mean()) > _WHITE:
                size, colour[source] = _fit(self.frequency, share[:, source], self._slowest)
                factor[:, source] *= np.sqrt(size)
        return factor, None if (colour == 1.0).all() else colour

    def as_json(self) -> dict[str, Any]:
        """Shares of the target by latent: what spikes have of their own, and all noise with what is injected."""
        size = np.maximum(np.diag(self.target), np.finfo(float).tiny)
        total = self.total(*self.injection)
        return {
            "frequency": self.frequency.tolist(),
            "spikes": (np.einsum("fii->fi", self.spikes).real / size).tolist(),
            "total": (np.einsum("fii->fi", total).real / size).tolist(),
        }


def spectrum_of(
    error: Float[np.ndarray, "trial sample rank"],
    noise: Float[np.ndarray, "trial sample rank"],
    features: Float[np.ndarray, "trial sample feature"],
    target: Float[np.ndarray, "rank rank"],
    every: float,
    motion: float,
) -> NoiseSpectrum:
    r"""Spectrum of an error by Welch's method, from samples `every` rate time units apart.

    Error and noise come filtered with the synaptic time constant; :math:`(\zeta_{n+1} - a \zeta_n) / (1 - a)` with
    :math:`a = e^{-h}` takes the filter off again. What is a linear function of the `features` is bias of the drift, and
    no noise.
    """
    decay, rank = np.exp(-every), error.shape[-1]
    error, noise = ((x[:, 1:] - decay * x[:, :-1]) / (1.0 - decay) for x in (error, noise))
    features, size = features[:, :-1], max(1, error[..., 0].size // _FITTED)
    smooth = fit_ridge(_block_means(features, size), _block_means(error, size))
    both = np.concatenate([error - features @ smooth, noise], axis=-1)
    length = min(round(_SEGMENT / every), both.shape[1])
    window = np.hanning(length + 2)[1:-1, None]
    density, count = np.zeros((length // 2 + 1, 2 * rank, 2 * rank), dtype=complex), 0
    for first in range(0, both.shape[1] - length + 1, max(1, length // 2)):
        part = both[:, first : first + length]
        waves = np.fft.rfft(part * window, axis=1)  # the features hold a constant: no mean is left
        density += np.einsum("tfi,tfj->fij", waves, waves.conj())
        count += len(part)
    density *= every / (count * (window**2).sum())
    frequency = np.fft.rfftfreq(length, every)
    edges = np.unique(np.geomspace(1, len(frequency) - 1, _BINS).round().astype(int))
    bins = [slice(first, last) for first, last in itertools.pairwise(edges)]
    frequency = np.array([frequency[some].mean() for some in bins])
    density = np.array([density[some].mean(axis=0) for some in bins])
    own, cross, white = density[:, :rank, :rank], density[:, :rank, rank:], density[:, rank:, rank:]
    response = cross @ np.linalg.pinv(white, rcond=_NO_NOISE, hermitian=True)
    spikes = own - response @ white @ _conjugate(response)
    return NoiseSpectrum(frequency, target, response, spikes, motion)


def _block_means(x: Float[np.ndarray, "trial sample column"], size: int) -> Float[np.ndarray, "block column"]:
    """Means over blocks of samples; of single samples as few, a fit would be mostly of their fast noise."""
    size = min(size, x.shape[1])
    return x[:, : x.shape[1] // size * size].reshape(len(x), -1, size, x.shape[2]).mean(axis=2).reshape(-1, x.shape[2])


def _conjugate(matrix: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(matrix, -1, -2))


def _lower(square: Float[np.ndarray, "rank rank"]) -> Float[np.ndarray, "rank rank"]:
    """Lower-triangular factor of the same tensor: the transposed R of a QR decomposition."""
    lower = np.linalg.qr(square.T).R.T
    return lower * np.where(np.diag(lower) < 0, -1.0, 1.0)


def _fit(
    frequency: Float[np.ndarray, " frequency"], share: Float[np.ndarray, " frequency"], slowest: float
) -> tuple[float, Float[np.ndarray, " coefficient"]]:
    """Size and colour of noise whose density is nearest to `share` over the logarithm of frequency."""
    from scipy.optimize import least_squares

    wanted = np.maximum(share, _QUIETEST)
    lowest, highest = 2.0 * np.pi * slowest, 2.0 * np.pi * frequency[-1]
    widths = np.log(0.03 * lowest), np.log(30.0 * highest)
    lower = [np.log(1e-3), widths[0], widths[0], np.log(lowest), np.log(_QUIETEST)]
    bounds = lower, [np.log(1e3), widths[1], widths[1], np.log(highest), 0.0]

    def miss(logs: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, " frequency"]:
        size, *colour = np.exp(logs)
        return size * power_gain(np.array([colour]), frequency)[:, 0] - wanted

    fits = []
    for omega in np.geomspace(1.5 * lowest, highest / 1.5, _STARTS):
        for ratio in (0.5, 1.5):  # a dip, and a bump
            start = np.log([wanted[:3].mean(), ratio * omega, omega, omega, 0.5])
            fits.append(least_squares(miss, start, bounds=bounds, max_nfev=200))
    size, *colour = np.exp(min(fits, key=lambda fit: fit.cost).x)
    return float(size), np.array(colour)
