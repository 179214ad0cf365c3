"""Noise budget: how much of the target's diffusion the spikes bring along, and what is left to inject."""

from __future__ import annotations

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
_TRAJECTORIES, _DURATION = 64, 25.0
_FEATURES = 64
_LEAST = 0.75  # share of the target's diffusion that is injected in any case


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
    pool = np.arange(len(encoding.bias))
    zeta, reached = [], []
    for _, regressors, target, state in driven(
        rate, encoding, neuron, clockwork, states, pool, _TRAJECTORIES, duration, rng
    ):
        zeta.append(regressors @ decoders.T - target)
        reached.append(state)
    error, z = np.concatenate(zeta, axis=1), np.concatenate(reached, axis=1)
    spikes, drift_bias = diffusion_of(rate, error, z, duration / error.shape[1])
    wanted = target_diffusion(rate, z.reshape(-1, rate.rank))
    return NoiseBudget(
        target=wanted,
        spikes=spikes,
        injected_factor=_rest(wanted, spikes),
        excess=loudness(spikes, wanted),
        drift_bias=drift_bias,
    )


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
    span = max(1, round(WINDOW / every))
    window = span * every
    area = np.cumsum(0.5 * every * (error[:, 1:] + error[:, :-1]), axis=1)
    area = np.concatenate([np.zeros_like(area[:, :1]), area], axis=1)
    total = (error[:, span:] - error[:, :-span] + area[:, span:] - area[:, :-span]).reshape(-1, rate.rank) / window
    middle = z[:, span // 2 : span // 2 + error.shape[1] - span].reshape(-1, rate.rank)
    features = rate.hidden(middle)[:, :: max(1, rate.units // _FEATURES)][:, :_FEATURES]
    features = np.hstack([features, np.ones((len(middle), 1))])
    gram = features.T @ features / len(middle)
    gram += 1e-6 * np.trace(gram) / len(gram) * np.eye(len(gram))
    smooth = features @ np.linalg.solve(gram, features.T @ total / len(middle))
    velocity = rate.internal_readout(middle) - middle
    tensor = np.atleast_2d(np.cov((total - smooth).T)) * window
    return tensor, np.sqrt((smooth**2).mean(axis=0) / (velocity**2).mean(axis=0))


def target_diffusion(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "rank rank"]:
    """Mean of G G^T over some 2,000 of given states, internal units."""
    factor = rate.internal_factor(z[:: max(1, len(z) // 2000)])
    return (factor @ np.swapaxes(factor, -1, -2)).mean(axis=0)


def _rest(wanted: Float[np.ndarray, "rank rank"], spikes: Float[np.ndarray, "rank rank"]) -> np.ndarray:
    """Lower-triangular factor of what is missing, and of three quarters of the target where less is.

    In coordinates in which the target is the identity, so that each direction is judged by its own noise. The
    three quarters are empirical: errors of spikes repeat along repeated paths, and without noise that does
    not, spiking Lorenz and van der Pol networks were further from their rate network than with all of it.
    """
    values, vectors = np.linalg.eigh(wanted)
    used = values > 1e-12 * max(values.max(), 1e-300)
    root = vectors[:, used] * np.sqrt(values[used])
    inverse = vectors[:, used] / np.sqrt(values[used])
    share, turned = np.linalg.eigh(inverse.T @ spikes @ inverse)
    factor = (root @ turned) * np.sqrt(np.maximum(1.0 - share, _LEAST))
    square = np.zeros_like(wanted)
    square[:, : factor.shape[1]] = factor
    # the transposed R of a QR decomposition: the same tensor by a lower-triangular factor
    lower = np.linalg.qr(square.T).R.T
    return lower * np.where(np.diag(lower) < 0, -1.0, 1.0)


def factor_of(tensor: Float[np.ndarray, "rank rank"]) -> Float[np.ndarray, "rank rank"]:
    """Symmetric factor of a diffusion tensor, which may have directions without noise."""
    values, vectors = np.linalg.eigh(tensor)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def loudness(spikes: Float[np.ndarray, "rank rank"], target: Float[np.ndarray, "rank rank"]) -> float | None:
    """Largest ratio of spike noise to target in any direction; None where a direction has no target noise."""
    from scipy.linalg import eigh

    if np.linalg.eigvalsh(target).min() <= 1e-12 * max(float(np.trace(target)), 1e-300):
        return None
    return float(eigh(spikes, target, eigvals_only=True).max())
