"""Errors of decoded spikes: their lag, the error of the drift, and the diffusion that they bring along."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.diffusion_tensor import common_axes, largest_ratio
from ddm2snn.base.least_squares import fit_ridge
from ddm2snn.conversion.clock import fastest_rate
from ddm2snn.conversion.drift_error import DriftError, drift_error_of
from ddm2snn.conversion.driving import EVERY, along, driven
from ddm2snn.conversion.noise_spectrum import NoiseSpectrum, spectrum_of
from ddm2snn.conversion.trajectories import Course, Trajectories, Visited, drawn, latents_of
from ddm2snn.neuron.activation import activate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork

WINDOW = 0.5  # rate time units: long beside intervals between spikes, short beside the motion of the latents [choice]
_TRAJECTORIES, _DURATION = 64, 20.0  # of the budget, which scatters by one over the root of both [cost]
_LAG_TRAJECTORIES, _LAG_DURATION = 8, 20.0  # of the residual lag [cost]
_FEATURES = 64  # units whose outputs the smooth part is fitted with at most [choice]
# not 1e-6: between windows r r^T of `diffusion_by_state` varies by more than its mean [measured: anisotropic]
_TENSOR_RIDGE = 1e-3
_EVERY, _OF_RISE = 0.01, 0.25  # rate time units between samples of a spectrum at most, and of the rise [choice]


@dataclass(frozen=True, eq=False)
class NoiseBudget:
    """Diffusion tensors in internal units per rate time unit, and the error of the drift.

    `target` is the mean of G G^T of the rate network along its trajectories, and `spikes` what the spikes bring along,
    open loop: in windows of half a time unit, or, where synapses take time to rise, in the mean over frequencies that
    pass them.
    """

    target: Float[np.ndarray, "rank rank"]
    spikes: Float[np.ndarray, "rank rank"]
    drift: DriftError

    @property
    def spike_noise_ratio(self) -> float | None:
        """Largest ratio of `spikes` to `target` in any direction; None where a direction of `target` has no noise.

        Above 1 the spikes alone bring more noise than the rate network has.
        """
        return largest_ratio(self.spikes, self.target)


@dataclass(frozen=True, eq=False)
class MeasuredNoise(NoiseBudget):
    """The budget of spikes that were driven open loop, with the `spectrum` of their errors."""

    spectrum: NoiseSpectrum


def measure_budget(
    rate: RateNetwork,
    ensemble: Ensemble,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"] | Visited,
    rng: np.random.Generator,
    duration: float = _DURATION,
) -> MeasuredNoise:
    """Measure the noise of the decoded spikes' error, and what repeats, on fresh trajectories of the rate network."""
    start, course = drawn(states, _TRAJECTORIES, rng, begins_again=False)  # a jump would be noise
    paths = finely_sampled(rate, ensemble.clock, start, rng, course)
    drive = ensemble.drive(rng.random((_TRAJECTORIES, ensemble.neurons)), np.arange(ensemble.neurons))
    parts = [
        (
            block.spikes_hz @ decoders.T - block.target,
            block.states - block.target - (0.0 if paths.fed is None else paths.fed),
            block.states,
        )
        for block in along(paths, drive, duration)
    ]
    error, noise, z = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    stride = max(1, round(EVERY / paths.every))
    spikes = diffusion_of(rate, error[:, ::stride], z[:, ::stride], stride * paths.every)
    target = target_diffusion(rate, z.reshape(-1, rate.rank))
    features = smooth_features(rate, z.reshape(-1, rate.rank)).reshape(*z.shape[:2], -1)
    motion = fastest_rate(rate, latents_of(states)) / (2.0 * np.pi)
    spectrum = spectrum_of(error, noise, features, target, paths.every, motion)
    drift = drift_error_of(rate, error, z, paths.every)
    rise = ensemble.clock.rise_s / ensemble.clock.time_unit_s
    return MeasuredNoise(target, _passed(spectrum, spikes, rise), drift, spectrum)


def finely_sampled(
    rate: RateNetwork,
    clock: Clock,
    states: Float[np.ndarray, "trial rank"],
    rng: np.random.Generator,
    course: Course | None = None,
) -> Trajectories:
    """Trajectories sampled every 0.01 rate time units, or four times in a rise of the synapses where that is less."""
    rise = clock.rise_s / clock.time_unit_s
    every = min(_EVERY, _OF_RISE * rise) if rise else _EVERY
    return Trajectories(rate, clock, states, every, rng, course=course)


def with_lost_spikes(
    budget: MeasuredNoise,
    ensemble: Ensemble,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"],
    loss: float,
) -> MeasuredNoise:
    r"""The budget where each spike is lost with the probability p = `loss`, and decoders are D / (1 - p).

    A spike then decodes :math:`D_j` in the mean, with a variance of :math:`D_j D_j^\top p / (1-p)` that is its own, so
    that at rates :math:`r_j` a diffusion of

    .. math:: \frac{p}{1-p} \sum_j D_j D_j^\top \frac{r_j}{T}

    is added at all frequencies that the rise of the synapses passes (our derivation). Poisson spikes have that much
    times (1 - p) / p without any loss.
    """
    rise = ensemble.clock.rise_s / ensemble.clock.time_unit_s
    rates_hz = ensemble.mean_rates_hz(states)
    lost = loss / (1.0 - loss) * (decoders * rates_hz) @ decoders.T / ensemble.clock.time_unit_s
    passed = 1.0 / (1.0 + (2.0 * np.pi * budget.spectrum.frequency * rise) ** 2)
    spectrum = replace(budget.spectrum, spikes=budget.spectrum.spikes + passed[:, None, None] * lost)
    return replace(budget, spikes=_passed(spectrum, budget.spikes + lost, rise), spectrum=spectrum)


def _passed(
    spectrum: NoiseSpectrum, windowed: Float[np.ndarray, "rank rank"], rise: float
) -> Float[np.ndarray, "rank rank"]:
    """Diffusion tensor of spikes: in windows, or in the mean over the frequencies that a rise passes."""
    return spectrum.mean_up_to(1.0 / (2.0 * np.pi * rise)) if rise else windowed


def drift_errors(
    rate: RateNetwork,
    ensemble: Ensemble,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"] | Visited,
    rng: np.random.Generator,
    duration: float,
) -> tuple[Float[np.ndarray, "trial sample rank"], Float[np.ndarray, "trial sample rank"]]:
    """Filtered errors of what spikes decode along fresh trajectories of the rate network, and the states there."""
    errors, reached = [], []
    for block in driven(rate, ensemble, states, np.arange(ensemble.neurons), _TRAJECTORIES, duration, rng):
        errors.append(block.spikes_hz @ decoders.T - block.target)
        reached.append(block.states)
    return np.concatenate(errors, axis=1), np.concatenate(reached, axis=1)


def diffusion_of(
    rate: RateNetwork,
    filtered_error: Float[np.ndarray, "trial sample rank"],
    z: Float[np.ndarray, "trial sample rank"],
    every: float,
) -> Float[np.ndarray, "rank rank"]:
    r"""Diffusion tensor of an error e of the drift.

    With :math:`\zeta` the error filtered with the synaptic time constant (one rate time unit),
    :math:`\int e\,dt = \zeta(t+\ell) - \zeta(t) + \int\zeta\,dt` over windows of length :math:`\ell`.
    Its part that is a smooth function of the state (regressed on outputs of rate units) is left out; the
    covariance of the rest, divided by :math:`\ell`, is diffusion. Samples of :math:`\zeta` and of the states z it
    belongs to are `every` rate time units apart.
    """
    mean_error, middle, window = _windowed(filtered_error, z, every)
    features = smooth_features(rate, middle)
    smooth = features @ fit_ridge(features, mean_error)
    return np.atleast_2d(np.cov((mean_error - smooth).T)) * window


def diffusion_by_state(
    rate: RateNetwork,
    filtered_error: Float[np.ndarray, "trial sample rank"],
    z: Float[np.ndarray, "trial sample rank"],
    every: float,
) -> Float[np.ndarray, "feature rank rank"]:
    """`diffusion_of` as a function of the state: coefficients of `smooth_features`.

    Regression of r r^T, times the window, on the state mid-window; r is the window's mean error less its smooth part.
    """
    mean_error, middle, window = _windowed(filtered_error, z, every)
    features = smooth_features(rate, middle)
    rest = mean_error - features @ fit_ridge(features, mean_error)
    products = (rest[:, :, None] * rest[:, None]).reshape(len(rest), -1) * window
    return fit_ridge(features, products, _TENSOR_RIDGE).reshape(-1, rate.rank, rate.rank)


def smooth_features(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample feature"]:
    """Outputs of up to 64 rate units, and one.

    Examples
    --------
    >>> from ddm2snn import Training, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> features = smooth_features(rate, np.zeros((3, 2)))
    >>> features.shape, bool((features[:, -1] == 1.0).all())
    ((3, 9), True)
    """
    some = np.arange(0, rate.units, max(1, rate.units // _FEATURES))[:_FEATURES]
    features = activate(rate.activation, z @ rate.left_vectors[some].T + rate.bias[some])
    return np.hstack([features, np.ones((len(z), 1))])


def _windowed(
    zeta: Float[np.ndarray, "trial sample rank"], z: Float[np.ndarray, "trial sample rank"], every: float
) -> tuple[Float[np.ndarray, "sample rank"], Float[np.ndarray, "sample rank"], float]:
    """Mean errors of windows from filtered errors zeta, the states in their middle, and the length of a window."""
    rank = z.shape[-1]
    span = max(1, round(WINDOW / every))
    window = span * every
    area = np.cumsum(0.5 * every * (zeta[:, 1:] + zeta[:, :-1]), axis=1)
    area = np.concatenate([np.zeros_like(area[:, :1]), area], axis=1)
    mean_error = (zeta[:, span:] - zeta[:, :-span] + area[:, span:] - area[:, :-span]).reshape(-1, rank) / window
    middle = z[:, span // 2 : span // 2 + zeta.shape[1] - span].reshape(-1, rank)
    return mean_error, middle, window


def target_diffusion(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "rank rank"]:
    """Mean of G G^T over some 2,000 of given states, internal units."""
    factor = rate.internal_factor(z[:: max(1, len(z) // 2000)])
    return (factor @ np.swapaxes(factor, -1, -2)).mean(axis=0)


def injected_by_state(
    wanted: Float[np.ndarray, "sample rank rank"], spikes: Float[np.ndarray, "sample rank rank"]
) -> Float[np.ndarray, "sample rank rank"]:
    """Tensor of the noise to inject at each state: what spikes leave, along the axes of both tensors."""
    ratios, axes, _ = common_axes(spikes, wanted)
    # a regression of spike noise on the state may fall below zero, which no noise does
    factor = axes * np.sqrt(np.clip(1.0 - ratios, 0.0, 1.0))[:, None]
    return factor @ np.swapaxes(factor, -1, -2)


def measure_lag(
    rate: RateNetwork,
    ensemble: Ensemble,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"] | Visited,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, " rank"]]:
    r"""Residual lag of each latent in seconds, negative where the spikes lead, and its standard error.

    It is measured open loop, on fresh trajectories of the rate network. What is decoded, filtered, is the target
    :math:`\tilde y` of `Trajectories` plus an error e. The filter gives the target's derivative in rate time units,
    :math:`\dot{\tilde y} = W_s\phi(\Gamma z + b) - \tilde y`; see `lag_of`.
    """
    errors, speeds = [], []
    for block in driven(rate, ensemble, states, np.arange(ensemble.neurons), _LAG_TRAJECTORIES, _LAG_DURATION, rng):
        errors.append(block.spikes_hz @ decoders.T - block.target)
        speeds.append(rate.internal_readout(block.states) - block.target)
    lag, deviation = lag_of(np.concatenate(errors, axis=1), np.concatenate(speeds, axis=1))
    return lag * ensemble.clock.time_unit_s, deviation * ensemble.clock.time_unit_s


def lag_of(
    error: Float[np.ndarray, "trial time rank"], speed: Float[np.ndarray, "trial time rank"]
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, " rank"]]:
    r"""Lag :math:`\ell` of a signal and its standard error, from the signal's error and the target's derivative.

    .. math:: \tilde y(t-\ell) - \tilde y(t) \approx -\ell\,\dot{\tilde y}
        \quad\Rightarrow\quad \ell = -\frac{\langle e\,\dot{\tilde y}\rangle}{\langle \dot{\tilde y}^2\rangle},

    with both less their means, in the time units of the derivative. The standard error is the scatter of the trials'
    numerators. Zero where the target does not move.

    Examples
    --------
    >>> phase = np.linspace(0.0, 6.0, 8)[:, None, None] + np.linspace(0.0, 20.0, 400)[:, None]
    >>> lag, standard_error = lag_of(np.sin(phase - 0.01) - np.sin(phase), np.cos(phase))
    >>> lag.round(4)
    array([0.01])
    >>> bool((standard_error < 1e-4).all())
    True
    """
    error, speed = (x - x.mean(axis=(0, 1)) for x in (error, speed))
    power = (speed**2).mean(axis=(0, 1))
    power = np.where(power > 0, power, np.inf)
    lag = -(error * speed).mean(axis=(0, 1)) / power
    scatter = ((error + lag * speed) * speed).mean(axis=1).std(axis=0, ddof=1)
    return lag, scatter / np.sqrt(len(error)) / power
