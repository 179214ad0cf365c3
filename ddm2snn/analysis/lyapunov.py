"""Lyapunov exponents: the spectrum of a noise-free flow, and the largest exponent of a network by twin runs.

Twin runs are two runs with the same noise from initial states a small distance apart. The exponent is the rate at
which the logarithm of their distance grows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.flow import Jacobian, central_jacobian
from ddm2snn.base.arrays import check_positive, freeze_arrays
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.recording import Recording
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift, Paths, States


FEWEST_LATENTS = 3
"""An autonomous flow of one or two latents has no positive exponent (Poincare, Bendixson)."""

APART, SPIKES_APART = 1e-6, 1e-3
"""Standard deviations that twins start apart: as little as rounding allows; spikes make a thousandth of any less."""

_STRETCH = 5  # steps between orthonormalisations
_TRIALS = 16
_DURATION, _BURN_IN = 40.0, 10.0
_TURNING = 1.0  # rate time units in which a difference turns towards the most unstable direction
_DRAWS = 200
_SATURATED = 0.1  # of the distance of independent states; above it a distance is no longer a small one
_FEWEST_POINTS = 5


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Lyapunov exponents, per time unit, by falling value.

    They are means over trajectories; their standard error comes from the scatter over independent ones.

    Examples
    --------
    >>> lorenz = LyapunovSpectrum(np.array([0.906, 0.0, -14.572]), np.zeros(3))
    >>> lorenz
    LyapunovSpectrum(exponents=[0.906, 0, -14.6])
    >>> round(lorenz.kaplan_yorke_dimension, 3)
    2.062
    """

    exponents: Float[np.ndarray, " rank"]
    standard_error: Float[np.ndarray, " rank"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        return f"LyapunovSpectrum(exponents=[{', '.join(f'{value:.3g}' for value in self.exponents)}])"

    @property
    def kaplan_yorke_dimension(self) -> float:
        """Kaplan-Yorke dimension: where the sum of the leading exponents, interpolated, falls below zero."""
        total = np.cumsum(self.exponents)
        count = int((np.maximum.accumulate(total < 0)).argmax()) if (total < 0).any() else len(total)
        if count in (0, len(total)):
            return float(count)
        return count + float(total[count - 1] / -self.exponents[count])

    def as_json(self) -> dict[str, Any]:
        """Exponents, standard errors and dimension as JSON values."""
        arrays = {name: values.tolist() for name, values in vars(self).items()}
        return {**arrays, "kaplan_yorke_dimension": self.kaplan_yorke_dimension}


def lyapunov_spectrum(
    drift: Drift,
    starts: States,
    *,
    dt: float,
    duration: float,
    burn_in: float,
    jacobian: Jacobian | None = None,
    progress: Progress = no_progress,
) -> LyapunovSpectrum:
    r"""Lyapunov spectrum by orthonormalised tangent vectors along independent trajectories.

    State and tangent vectors, :math:`\dot z = f(z),\ \dot Q = J(z) Q`, take Runge-Kutta steps of order 4
    together; every five steps :math:`Q = Q' R` is orthonormalised, and the exponents are the mean of
    :math:`\log|R_{ii}|` over time. Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980).

    Two starts or more give a standard error. Times are in the time units of the drift; the average is over `duration`,
    after the `burn_in`. Without a `jacobian` of the drift its central differences are taken.

    Raises
    ------
    InputError
        Where a setting makes no sense or a trajectory leaves the range of finite numbers.

    Examples
    --------
    >>> matrix = np.array([[-1.0, 0.0], [0.0, -2.0]])
    >>> lyapunov_spectrum(lambda z: z @ matrix, np.ones((2, 2)), dt=0.05, duration=20.0, burn_in=20.0)
    LyapunovSpectrum(exponents=[-1, -2])
    """
    check_positive("lyapunov_spectrum", dt=dt, duration=duration)
    z = np.array(starts, dtype=np.float64)
    if z.ndim != 2 or 0 in z.shape or not (np.isfinite(burn_in) and burn_in >= 0):
        raise InputError(
            f"lyapunov_spectrum needs starts of shape (trial, rank), got {z.shape}, and burn_in >= 0, got {burn_in}."
        )
    slopes = jacobian or central_jacobian(drift)
    q = np.broadcast_to(np.eye(z.shape[1]), (*z.shape, z.shape[1])).copy()
    before, rounds = int(np.ceil(burn_in / dt / _STRETCH)), max(1, round(duration / dt / _STRETCH))
    growth = np.zeros_like(z)
    for turn in range(before + rounds):
        for _ in range(_STRETCH):
            z, q = _tangent_step(drift, slopes, z, q, dt)
        if not np.isfinite(z).all():
            time = turn * _STRETCH * dt
            raise InputError(f"A trajectory left the range of finite numbers by time {time:g}. Use a shorter step dt.")
        q, r = np.linalg.qr(q)
        if turn >= before:
            # a direction that shrinks to nothing would give minus infinity
            growth += np.log(np.maximum(np.abs(np.diagonal(r, axis1=-2, axis2=-1)), 1e-300))
        if turn % 64 == 0:
            progress(turn / (before + rounds))
    progress(1.0)
    each = growth / (rounds * _STRETCH * dt)
    order = np.argsort(-each.mean(axis=0), kind="stable")
    error = each.std(axis=0, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.zeros(z.shape[1])
    return LyapunovSpectrum(exponents=each.mean(axis=0)[order], standard_error=error[order])


def _tangent_step(
    drift: Drift, jacobian: Jacobian, z: States, q: np.ndarray, dt: float
) -> tuple[States, Float[np.ndarray, "trial rank rank"]]:
    """One Runge-Kutta step of order 4 of states and tangent vectors together."""
    k1, m1 = drift(z), jacobian(z) @ q
    middle = z + 0.5 * dt * k1
    k2, m2 = drift(middle), jacobian(middle) @ (q + 0.5 * dt * m1)
    middle = z + 0.5 * dt * k2
    k3, m3 = drift(middle), jacobian(middle) @ (q + 0.5 * dt * m2)
    end = z + dt * k3
    k4, m4 = drift(end), jacobian(end) @ (q + dt * m3)
    return z + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4), q + dt / 6 * (m1 + 2 * m2 + 2 * m3 + m4)


@dataclass(frozen=True)
class Exponent:
    """Largest Lyapunov exponent of a network or system per rate time unit, with its standard error.

    Its source is "drift field" or "twin runs". It is None where twins are no longer close too soon to tell.

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
        return dict(vars(self))


def drift_exponent(
    name: str, drift: Drift, starts: States, jacobian: Jacobian | None = None, progress: Progress = no_progress
) -> Exponent:
    """Exponent of the noise-free flow, by `lyapunov_spectrum` along 16 trajectories of 40 rate time units.

    They begin at the first 16 of the stationary states `starts`.

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


def twin_starts(starts: States, trials: int, seed: int, apart: float = APART) -> tuple[States, States]:
    """Initial states of twin runs: stationary ones, and the same `apart` standard deviations away in any direction.

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
    twins = first.samples, second.samples, first.every
    draws = np.random.default_rng(0).multinomial(first.trials, np.full(first.trials, 1 / first.trials), size=_DRAWS)
    value = float(twin_divergence(*twins, skip=_TURNING)[0])
    resampled = twin_divergence(*twins, draws.astype(np.float64), skip=_TURNING)
    if not np.isfinite(value) or first.trials < 2 or np.isfinite(resampled).sum() < _DRAWS / 2:
        return Exponent(name, "twin runs", None, None)
    return Exponent(name, "twin runs", value, float(np.nanstd(resampled, ddof=1)))


def twin_divergence(
    first: Paths,
    second: Paths,
    every: float,
    weights: Float[np.ndarray, "draw trial"] | None = None,
    *,
    skip: float = 0.0,
) -> Float[np.ndarray, " draw"]:
    r"""Rate at which twin runs diverge, per rate time unit, for each draw of trials.

    .. math:: \lambda = \lim \frac{1}{t} \Big\langle \ln \frac{|z'_t - z_t|}{|z'_0 - z_0|} \Big\rangle

    The slope of the mean logarithm of the distance, by least squares between `skip` and the time when twins no longer
    are close: a tenth of the distance of independent states. NaN where fewer than five samples lie in between: then
    the twins start too far apart, or `every` is too long. A spiking network whose twins share their noise has an
    exponent of its spikes besides; this one is of the latents, above whatever distance the spikes maintain. Times are
    in rate time units. `weights` say how often each draw counts each trial; by default all count once.

    Examples
    --------
    >>> time = 0.1 * np.arange(50)
    >>> path = np.sin(time).reshape(1, 50, 1)
    >>> twin_divergence(path, path + 1e-6 * np.exp(0.5 * time)[:, None], every=0.1).round(6)
    array([0.5])
    """
    check_positive("twin_divergence", every=every)
    logarithms = log_distance(first, second)
    # independent states with unit variances are sqrt(2 rank) apart in the mean square
    ceiling = float(np.log(_SATURATED * np.sqrt(2 * first.shape[2])))
    weight = np.ones((1, len(logarithms))) if weights is None else weights
    curves = weight @ logarithms / weight.sum(axis=1, keepdims=True)
    slopes = np.full(len(curves), np.nan)
    start = round(skip / every)
    for draw, curve in enumerate(curves):
        above = np.flatnonzero(curve[start:] > ceiling)
        stop = start + int(above[0]) if len(above) else len(curve)
        if stop - start >= _FEWEST_POINTS:
            slopes[draw] = np.polyfit(np.arange(start, stop) * every, curve[start:stop], 1)[0]
    return slopes


def log_distance(first: Paths, second: Paths) -> Float[np.ndarray, "trial time"]:
    """Natural logarithm of the distance of twin runs, in units of the first run's standard deviations.

    Examples
    --------
    >>> path = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]).reshape(1, 6, 1)
    >>> log_distance(path, path + np.exp(-3.0)).round(6)
    array([[-3., -3., -3., -3., -3., -3.]])
    """
    if np.shape(first) != np.shape(second):
        raise InputError(f"Twins must be alike, got shapes {np.shape(first)} and {np.shape(second)}. Run them alike.")
    if np.ndim(first) != 3 or first.shape[1] <= _FEWEST_POINTS:
        raise InputError(f"Twins need {_FEWEST_POINTS + 1} samples per trial, got shape {first.shape}. Record longer.")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("Twins must be finite, but hold NaN or infinity. Leave such trials out.")
    scale = first.std(axis=(0, 1))
    if not scale.all():
        raise InputError(f"Latent {int(np.argmin(scale))} is constant, so nothing diverges in it. Leave it out.")
    distance = np.linalg.norm((second - first) / scale, axis=-1)
    if not distance.any():
        raise InputError("The twins are equal in every sample, so nothing diverges. Start them a small distance apart.")
    return np.log(np.maximum(distance, np.finfo(np.float64).tiny))
