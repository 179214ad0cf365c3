"""Noise budget: how much of the target's diffusion the spikes bring along, and what is left to inject."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.calibration import driven

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.conversion.population import Encoding
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import NeuronModel

WINDOW = 0.5  # rate time units: long beside intervals between spikes, short beside the motion of the latents
_TRAJECTORIES, _DURATION = 64, 20.0
_FEATURES = 64
_TENSOR_RIDGE = 1e-3  # products of single windows scatter by more than their mean: few features have to do
_USUAL_LEAST, _LEAST = 0.75, 0.5  # shares of the target's diffusion that are injected: where they fit, and in any case
_MOST = 1.08  # of the target's diffusion in total, for which the former gives way to the latter


@dataclass(frozen=True)
class NoiseBudget:
    """Diffusion tensors in internal units per rate time unit, and the bias of the drift.

    Parameters
    ----------
    target
        G G^T of the rate network, mean along its trajectories, shape (rank, rank).
    spikes
        What the spikes bring along, measured open loop.
    injected_factor
        Factor of what is injected besides, shape (rank, rank).
    excess
        Largest ratio of spike noise to target in any direction; above 1 the spikes alone are too loud. None
        where the target has a direction without noise.
    drift_bias
        Root mean square of the decoded drift's smooth deviation from the rate network's, relative to the
        drift, per latent.
    """

    target: Float[np.ndarray, "rank rank"]
    spikes: Float[np.ndarray, "rank rank"]
    injected_factor: Float[np.ndarray, "rank rank"]
    excess: float | None
    drift_bias: Float[np.ndarray, " rank"]


def measure_budget(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
    duration: float = _DURATION,
) -> NoiseBudget:
    """Measure the diffusion of the decoded spikes' error, and its bias, on fresh trajectories of the rate network."""
    error, z = drift_errors(rate, encoding, neuron, clockwork, decoders, states, rng, duration)
    spikes, drift_bias = diffusion_of(rate, error, z, duration / error.shape[1])
    wanted = target_diffusion(rate, z.reshape(-1, rate.rank))
    return NoiseBudget(
        target=wanted,
        spikes=spikes,
        injected_factor=_rest(wanted, spikes),
        excess=loudness(spikes, wanted),
        drift_bias=drift_bias,
    )


def drift_errors(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
    duration: float,
) -> tuple[Float[np.ndarray, "trial sample rank"], Float[np.ndarray, "trial sample rank"]]:
    """Filtered errors of what spikes decode along fresh trajectories of the rate network, and the states there."""
    pool = np.arange(len(encoding.bias))
    zeta, reached = [], []
    for _, regressors, target, state in driven(
        rate, encoding, neuron, clockwork, states, pool, _TRAJECTORIES, duration, rng
    ):
        zeta.append(regressors @ decoders.T - target)
        reached.append(state)
    return np.concatenate(zeta, axis=1), np.concatenate(reached, axis=1)


def diffusion_of(
    rate: RateNetwork,
    error: Float[np.ndarray, "trial sample rank"],
    z: Float[np.ndarray, "trial sample rank"],
    every: float,
) -> tuple[Float[np.ndarray, "rank rank"], Float[np.ndarray, " rank"]]:
    r"""Diffusion tensor of an error e of the drift, and the size of its bias relative to the drift.

    With :math:`\zeta` the error filtered with the synaptic time constant (one rate time unit),
    :math:`\int e\,dt = \zeta(t+\ell) - \zeta(t) + \int\zeta\,dt` over windows of length :math:`\ell`.
    Its part that is a smooth function of the state (regressed on outputs of rate units) is bias of the drift; the
    covariance of the rest, over :math:`\ell`, is diffusion.

    Parameters
    ----------
    rate
        The rate network.
    error, z
        Filtered errors and the states they belong to, internal units.
    every
        Rate time units between samples.
    """
    total, middle, window = _windowed(error, z, every)
    features = smooth_features(rate, middle)
    smooth = features @ regressed(features, total)
    velocity = rate.internal_readout(middle) - middle
    tensor = np.atleast_2d(np.cov((total - smooth).T)) * window
    return tensor, np.sqrt((smooth**2).mean(axis=0) / (velocity**2).mean(axis=0))


def diffusion_by_state(
    rate: RateNetwork,
    error: Float[np.ndarray, "trial sample rank"],
    z: Float[np.ndarray, "trial sample rank"],
    every: float,
) -> Float[np.ndarray, "feature rank rank"]:
    """`diffusion_of` as a function of the state: coefficients of `smooth_features`.

    The regression of the products of what is random in an error, over `WINDOW`, on the state in its middle.
    """
    total, middle, window = _windowed(error, z, every)
    features = smooth_features(rate, middle)
    rest = total - features @ regressed(features, total)
    products = (rest[:, :, None] * rest[:, None]).reshape(len(rest), -1) * window
    return regressed(features, products, _TENSOR_RIDGE).reshape(-1, rate.rank, rate.rank)


def smooth_features(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample feature"]:
    """Outputs of up to 64 rate units, and one."""
    features = rate.hidden(z)[:, :: max(1, rate.units // _FEATURES)][:, :_FEATURES]
    return np.hstack([features, np.ones((len(z), 1))])


def regressed(
    features: Float[np.ndarray, "sample feature"], values: Float[np.ndarray, "sample value"], ridge: float = 1e-6
) -> Float[np.ndarray, "feature value"]:
    """Coefficients of features, by least squares with a ridge relative to their mean square."""
    gram = features.T @ features / len(features)
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram, features.T @ values / len(features))


def _windowed(
    error: Float[np.ndarray, "trial sample rank"], z: Float[np.ndarray, "trial sample rank"], every: float
) -> tuple[Float[np.ndarray, "sample rank"], Float[np.ndarray, "sample rank"], float]:
    """Mean errors of windows, the states in their middle, and the length of a window."""
    rank = z.shape[-1]
    span = max(1, round(WINDOW / every))
    window = span * every
    area = np.cumsum(0.5 * every * (error[:, 1:] + error[:, :-1]), axis=1)
    area = np.concatenate([np.zeros_like(area[:, :1]), area], axis=1)
    total = (error[:, span:] - error[:, :-span] + area[:, span:] - area[:, :-span]).reshape(-1, rank) / window
    middle = z[:, span // 2 : span // 2 + error.shape[1] - span].reshape(-1, rank)
    return total, middle, window


def target_diffusion(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "rank rank"]:
    """Mean of G G^T over some 2,000 of given states, internal units."""
    factor = rate.internal_factor(z[:: max(1, len(z) // 2000)])
    return (factor @ np.swapaxes(factor, -1, -2)).mean(axis=0)


def _rest(wanted: Float[np.ndarray, "rank rank"], spikes: Float[np.ndarray, "rank rank"]) -> np.ndarray:
    """Lower-triangular factor of what is missing, and of three quarters of the target where less is.

    In coordinates in which the target is the identity, so that each direction is judged by its own noise. The
    three quarters are empirical: errors of spikes repeat along repeated paths, and without noise that does
    not, spiking Lorenz and van der Pol networks were further from their rate network than with all of it. Where the
    total would go more than 8 % beyond the target, less is injected, down to a half.
    """
    values, vectors = np.linalg.eigh(wanted)
    used = values > 1e-12 * max(values.max(), 1e-300)
    root = vectors[:, used] * np.sqrt(values[used])
    inverse = vectors[:, used] / np.sqrt(values[used])
    share, turned = np.linalg.eigh(inverse.T @ spikes @ inverse)
    factor = (root @ turned) * np.sqrt(_injected(share))
    square = np.zeros_like(wanted)
    square[:, : factor.shape[1]] = factor
    # the transposed R of a QR decomposition: the same tensor by a lower-triangular factor
    lower = np.linalg.qr(square.T).R.T
    return lower * np.where(np.diag(lower) < 0, -1.0, 1.0)


def _injected(share: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Share of the target that is injected where spikes bring another along."""
    return np.maximum(1.0 - share, np.clip(_MOST - share, _LEAST, _USUAL_LEAST))


def rest_by_state(
    wanted: Float[np.ndarray, "sample rank rank"], spikes: Float[np.ndarray, "sample rank rank"]
) -> Float[np.ndarray, "sample rank rank"]:
    """Tensor of what is missing at each state, and most of the target where less is; see `_rest`."""
    values, vectors = np.linalg.eigh(wanted)
    used = values > 1e-12 * np.maximum(values.max(axis=-1, keepdims=True), 1e-300)
    size = np.sqrt(np.where(used, values, 1.0))
    root, inverse = vectors * np.where(used, size, 0.0)[:, None], vectors * np.where(used, 1.0 / size, 0.0)[:, None]
    share, turned = np.linalg.eigh(np.swapaxes(inverse, -1, -2) @ spikes @ inverse)
    # a regression of spike noise on the state may fall below zero, which no noise is
    factor = (root @ turned) * np.sqrt(np.minimum(_injected(share), 1.0))[:, None]
    return factor @ np.swapaxes(factor, -1, -2)


def louder(rate: RateNetwork, heard: NoiseBudget) -> RateNetwork:
    """The rate network with the spikes' noise besides its own; by state, its factor is stretched alike everywhere."""
    both = factor_of(heard.target + heard.spikes)
    if rate.diffusion_readout is None:
        return dataclasses.replace(rate, diffusion_factor=both)
    stretch = both @ np.linalg.pinv(factor_of(heard.target), hermitian=True)
    return dataclasses.replace(
        rate, diffusion_factor=stretch @ rate.diffusion_factor, diffusion_readout=stretch @ rate.diffusion_readout
    )


def factor_of(tensor: Float[np.ndarray, "... rank rank"]) -> Float[np.ndarray, "... rank rank"]:
    """Symmetric factor of a diffusion tensor, which may have directions without noise."""
    values, vectors = np.linalg.eigh(tensor)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def loudness(spikes: Float[np.ndarray, "rank rank"], target: Float[np.ndarray, "rank rank"]) -> float | None:
    """Largest ratio of spike noise to target in any direction; None where a direction has no target noise."""
    from scipy.linalg import eigh

    if np.linalg.eigvalsh(target).min() <= 1e-12 * max(float(np.trace(target)), 1e-300):
        return None
    return float(eigh(spikes, target, eigvals_only=True).max())
