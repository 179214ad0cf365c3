"""Largest Lyapunov exponent of a network, by its drift field or by twin runs.

Twin runs are two runs with the same noise from initial states a small distance apart. The exponent is the rate at
which the logarithm of their distance grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.jacobian import Jacobian
from ddm2snn.analysis.lyapunov import lyapunov_spectrum
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples
from ddm2snn.recording import Recording
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift

FEWEST_LATENTS = 3
"""An autonomous flow of one or two latents has no positive exponent (Poincare, Bendixson)."""

APART, SPIKES_APART = 1e-6, 1e-3
"""Standard deviations that twins start apart: as little as rounding allows; spikes make a thousandth of any less."""

_TRIALS = 16
_DURATION, _BURN_IN = 40.0, 10.0
_TURNING = 1.0  # rate time units in which a difference turns towards the most unstable direction
_DRAWS = 200
_SATURATED = 0.1  # of the distance of independent states; above it a distance is no longer a small one
_FEWEST_POINTS = 5


@dataclass(frozen=True)
class Exponent:
    """Largest Lyapunov exponent per rate time unit.

    Parameters
    ----------
    name
        Of the network or system.
    source
        Where it comes from: "drift field" or "twin runs".
    value, error
        Exponent and its standard error; None where twins are no longer close too soon to tell.

    Examples
    --------
    >>> Exponent("lorenz", "drift field", 0.906, 0.012)
    Exponent(name='lorenz', source='drift field', value=0.906, error=0.012)
    """

    name: str
    source: str
    value: float | None
    error: float | None

    def as_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return {"name": self.name, "source": self.source, "value": self.value, "error": self.error}


def drift_exponent(
    name: str,
    drift: Drift,
    starts: Float[np.ndarray, "sample rank"],
    jacobian: Jacobian | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Exponent:
    """Exponent of the noise-free flow, by `lyapunov_spectrum` along 16 trajectories of 40 rate time units.

    Parameters
    ----------
    name
        Of the network or system.
    drift, jacobian
        Drift and its Jacobian in system units; by default the Jacobian comes from central differences.
    starts
        Stationary states, the first 16 of which are taken.
    progress
        Called with the finished share.

    Examples
    --------
    >>> starts = np.random.default_rng(0).standard_normal((16, 2))
    >>> exponent = drift_exponent("decay", lambda z: -z, starts)
    >>> f"{exponent.value:.3f}"
    '-1.000'
    """
    spectrum = lyapunov_spectrum(
        drift, starts[:_TRIALS], dt=stable_step(drift, starts, tolerance=1e-3), duration=_DURATION, burn_in=_BURN_IN,
        jacobian=jacobian, progress=progress,
    )  # fmt: skip
    return Exponent(name, "drift field", float(spectrum.exponents[0]), float(spectrum.standard_error[0]))


def twin_starts(
    starts: Float[np.ndarray, "sample rank"], trials: int, seed: int, apart: float = APART
) -> tuple[Float[np.ndarray, "trial rank"], Float[np.ndarray, "trial rank"]]:
    """Initial states of twin runs: stationary ones, and the same `apart` standard deviations away in any direction.

    Raises
    ------
    InputError
        For fewer than two stationary states, which have no deviation.

    Examples
    --------
    >>> states = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> first, second = twin_starts(states, trials=3, seed=0, apart=1e-3)
    >>> np.linalg.norm((second - first) / states.std(axis=0), axis=1).round(6)
    array([0.001, 0.001, 0.001])
    """
    if len(starts) < 2:
        raise InputError(f"Twins need two stationary states or more to be near each other, got {len(starts)}.")
    rng = stream(seed, "fidelity", "twins")
    first = starts[rng.integers(len(starts), size=trials)]
    towards = rng.standard_normal(first.shape)
    towards *= apart * starts.std(axis=0) / np.linalg.norm(towards, axis=1, keepdims=True)
    return first, first + towards


def twin_exponent(name: str, first: Recording, second: Recording) -> Exponent:
    """Exponent by `twin_divergence` of two runs with the same noise, from `twin_starts`.

    The first time unit is left out: differences turn, and those of a spiking network grow at once to what single
    spikes make of them. The standard error comes from resampled trials. Both runs have noise, so the exponent is that
    of the noisy dynamics, which need not be that of the drift field.
    """
    divergence = twin_divergence(first.samples, second.samples, first.every)
    draws = np.random.default_rng(0).multinomial(first.trials, np.full(first.trials, 1 / first.trials), size=_DRAWS)
    value = float(divergence.exponent(skip=_TURNING)[0])
    resampled = divergence.exponent(draws.astype(np.float64), skip=_TURNING)
    if not np.isfinite(value) or first.trials < 2 or np.isfinite(resampled).sum() < _DRAWS / 2:
        return Exponent(name, "twin runs", None, None)
    return Exponent(name, "twin runs", value, float(np.nanstd(resampled, ddof=1)))


@dataclass(frozen=True, eq=False)
class Divergence:
    """Logarithm of the distance between twin runs, from which the exponent is read as a slope.

    Parameters
    ----------
    logarithms
        Natural logarithm of the distance, shape (trial, time).
    every
        Sampling interval in rate time units.
    ceiling
        Logarithm of the distance at which twins no longer are close: a tenth of that of independent states.

    Examples
    --------
    >>> divergence = Divergence(0.5 * np.arange(20)[None] - 9.0, every=1.0, ceiling=-2.0)
    >>> divergence.exponent().round(6)
    array([0.5])
    """

    logarithms: Float[np.ndarray, "trial time"]
    every: float
    ceiling: float

    def curve(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, "draw time"]:
        """Mean logarithm over trials against time, for each draw of trials and their weights."""
        weight = np.ones((1, len(self.logarithms))) if weights is None else weights
        return weight @ self.logarithms / weight.sum(axis=1, keepdims=True)

    def exponent(
        self, weights: Float[np.ndarray, "draw trial"] | None = None, *, skip: float = 0.0
    ) -> Float[np.ndarray, " draw"]:
        """Slope of the curve per rate time unit, by least squares between `skip` and the ceiling.

        NaN where fewer than five samples lie in between: then the twins start too far apart, or `every` is too long.
        """
        curves = self.curve(weights)
        slopes = np.full(len(curves), np.nan)
        first = round(skip / self.every)
        for draw, curve in enumerate(curves):
            above = np.flatnonzero(curve[first:] > self.ceiling)
            stop = first + int(above[0]) if len(above) else len(curve)
            if stop - first >= _FEWEST_POINTS:
                time = np.arange(first, stop) * self.every
                slopes[draw] = np.polyfit(time, curve[first:stop], 1)[0]
        return slopes


def twin_divergence(
    first: Float[np.ndarray, "trial time rank"], second: Float[np.ndarray, "trial time rank"], every: float
) -> Divergence:
    r"""Distances of twin runs, in units of the first run's standard deviations.

    .. math:: \lambda = \lim \frac{1}{t} \Big\langle \ln \frac{|z'_t - z_t|}{|z'_0 - z_0|} \Big\rangle

    A spiking network whose twins share their noise has an exponent of its spikes besides; this one is of the latents,
    above whatever distance the spikes maintain.

    Raises
    ------
    InputError
        For arrays of different shapes, or twins that are equal in every sample.

    Examples
    --------
    >>> time = 0.1 * np.arange(50)
    >>> path = np.sin(time).reshape(1, 50, 1)
    >>> twin_divergence(path, path + 1e-6 * np.exp(0.5 * time)[:, None], every=0.1).exponent().round(6)
    array([0.5])
    """
    check_samples("twin_divergence", {"first": first, "second": second}, shortest=_FEWEST_POINTS + 1)
    check_positive("twin_divergence", every=every)
    if np.shape(first) != np.shape(second):
        raise InputError(f"Twins must be alike, got shapes {np.shape(first)} and {np.shape(second)}. Run them alike.")
    scale = first.std(axis=(0, 1))
    if not scale.all():
        raise InputError(f"Latent {int(np.argmin(scale))} is constant, so nothing diverges in it. Leave it out.")
    distance = np.linalg.norm((second - first) / scale, axis=-1)
    if not distance.any():
        raise InputError("The twins are equal in every sample, so nothing diverges. Start them a small distance apart.")
    logarithms = np.log(np.maximum(distance, np.finfo(np.float64).tiny))
    # independent states with unit variances are sqrt(2 rank) apart in the mean square
    return Divergence(logarithms, every, float(np.log(_SATURATED * np.sqrt(2 * first.shape[2]))))
