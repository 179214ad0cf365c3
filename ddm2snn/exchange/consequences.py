"""What a spiking network loses in NIR, without refractory period, floor of voltages and noise, in numbers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import SpikingNetwork

# Work of the run that counts spikes, a second or two: a step costs as much as so many neurons besides its own
_MOST_WORK, _STEP_WORK = 1e8, 5000
_FEWEST, _NOTICEABLE = 100, 0.01  # spikes that 1 % can be told of


@dataclass(frozen=True)
class RefractoryLoss:
    r"""What changes without the refractory period, by the exact curves of rate against current.

    Parameters
    ----------
    before_hz, after_hz
        Mean rate over neurons and over the states that the network carries, with and without it.
    readout_error
        Root mean square of :math:`D (F_0(J) - F(J))` over that of the drift :math:`D F(J) - z`: how wrong the dynamics
        become where decoders stay.
    """

    before_hz: float
    after_hz: float
    readout_error: float


@np.errstate(all="ignore")  # numbers for a sentence, of networks that may hold anything finite
def refractory_loss(network: SpikingNetwork) -> RefractoryLoss | None:
    """Numbers of the loss; None where the network has no refractory period to lose."""
    neuron = network.neuron
    if not neuron.plain_lif or not neuron.refractory_s:
        return None
    z = to_internal(network, network.initial_latent)
    current = z @ network.encoders.T + network.bias
    free = dataclasses.replace(neuron, refractory_s=0.0)
    try:
        neuron.check_step(network.dt_s, network.spike_timing)
        timing, of_free = network.spike_timing, "grid"
    except InputError:  # a step that no simulator takes: curves in continuous time
        timing, of_free = "interpolated", "interpolated"
    with_hz = neuron.rate_hz(current, timing=timing, dt_s=network.dt_s)
    without_hz = free.rate_hz(current, timing=of_free, dt_s=network.dt_s)
    drift = with_hz @ network.decoders.T - z
    moved = (without_hz - with_hz) @ network.decoders.T
    size = float(np.sqrt((drift**2).mean()))
    return RefractoryLoss(
        before_hz=float(with_hz.mean()),
        after_hz=float(without_hz.mean()),
        readout_error=float(np.sqrt((moved**2).mean())) / size if size > 0 else float("inf"),
    )


@dataclass(frozen=True)
class FloorLoss:
    """What changes where voltages may fall below reset, so that neurons that were inhibited answer late.

    Parameters
    ----------
    worst
        Largest relative change of a neuron's spikes, of those with 100 or more.
    share
        Share of these neurons that change by more than 1 %.
    """

    worst: float
    share: float


@np.errstate(all="ignore")
def floor_loss(network: SpikingNetwork) -> FloorLoss | None:
    """Counted in a short run of the network without a refractory period: the same currents, with and without floor.

    Where the noise depends on the state, it is that of the mean factor. None for neurons other than LIF, and where no
    neuron fires 100 times.
    """
    if not network.neuron.plain_lif:
        return None
    units, trials = 6.0, 4
    steps = int(min(units * network.time_unit_s / network.dt_s, _MOST_WORK / (trials * network.neurons + _STEP_WORK)))
    z = to_internal(network, network.initial_latent[:trials])
    decay = float(np.exp(-network.dt_s / network.time_unit_s))
    kept = float(np.exp(-network.dt_s / network.neuron.single_tau_s))
    bounded = np.zeros((len(z), network.neurons))
    free, with_floor, without = bounded, np.zeros(network.neurons), np.zeros(network.neurons)
    factor = _factors(network).mean(axis=0)
    rng, noise = np.random.default_rng(0), factor.T * np.sqrt((1.0 - decay**2) / 2.0)
    for _ in range(steps):
        current = z @ network.encoders.T + network.bias
        bounded, free = (current + (voltage - current) * kept for voltage in (np.maximum(bounded, 0.0), free))
        fired, other = bounded > 1.0, free > 1.0
        bounded, free = np.where(fired, 0.0, bounded), np.where(other, 0.0, free)
        with_floor, without = with_floor + fired.sum(axis=0), without + other.sum(axis=0)
        z = decay * z + (1.0 - decay) / network.dt_s * (fired @ network.decoders.T)
        z = z + rng.standard_normal(z.shape) @ noise
    busy = with_floor >= _FEWEST
    if not busy.any():
        return None
    change = np.abs(without[busy] - with_floor[busy]) / with_floor[busy]
    return FloorLoss(float(change.max()), float((change > _NOTICEABLE).mean()))


def _factors(network: SpikingNetwork) -> Float[np.ndarray, "sample rank rank"]:
    """Diffusion factor at the initial latents; where no simulator takes the step, by curves in continuous time."""
    z, decoders = to_internal(network, network.initial_latent), network.diffusion_decoders
    try:
        return network.internal_factor(z)
    except InputError:
        if decoders is None:
            raise
        rates_hz = network.neuron.rate_hz(z @ network.encoders.T + network.bias)
        return network.diffusion_factor + np.einsum("sj,rcj->src", rates_hz, decoders)


@dataclass(frozen=True)
class NoiseLoss:
    """How large the injected noise is that stays out: root of the diagonal of G G^T.

    Parameters
    ----------
    least, largest
        Over the states that the network carries, shape (rank,), in system units per square root of the time unit.
    """

    least: Float[np.ndarray, " rank"]
    largest: Float[np.ndarray, " rank"]


@np.errstate(all="ignore")
def noise_loss(network: SpikingNetwork) -> NoiseLoss:
    """Size of the noise; where spikes decode it, by the neurons' steady rates."""
    factor = _factors(network)
    spread = np.sqrt((factor**2).sum(axis=-1)) * network.latent_scale
    return NoiseLoss(spread.min(axis=0), spread.max(axis=0))


@np.errstate(all="ignore")
def losses(network: SpikingNetwork) -> list[str]:
    """Sentences on what NIR leaves out of a network, each with its numbers; none where it leaves out nothing."""
    said = []
    loss = refractory_loss(network)
    if loss is not None:
        more = f" ({loss.after_hz / loss.before_hz - 1:+.0%})" if loss.before_hz > 0 else ""
        said.append(
            f"NIR has no refractory period: without its {1e3 * network.neuron.refractory_s:g} ms the mean rate goes "
            f"from {loss.before_hz:.3g} to {loss.after_hz:.3g} Hz{more}, which changes the drift by "
            f"{loss.readout_error:.2g} of its size. Solve the decoders for that with without_refractory."
        )
    below = floor_loss(network)
    if below is not None and below.worst > _NOTICEABLE:
        said.append(
            f"NIR's voltages have no floor at reset: a share of {below.share:.2g} of the neurons change their rate by "
            f"more than 1 %, at most by {below.worst:.0%}, since they answer late after inhibition. Convert with a "
            "longer time unit."
        )
    noise = noise_loss(network)
    if noise.largest.any():
        said.append(_noise_words(noise, by_state=network.diffusion_decoders is not None))
    return said


def _noise_words(noise: NoiseLoss, *, by_state: bool) -> str:
    pairs = zip(noise.least, noise.largest, strict=True)
    sizes = ", ".join(f"{least:.3g}" if least == most else f"{least:.3g} to {most:.3g}" for least, most in pairs)
    remedy = "the sidecar has the factor, which the input node can be fed with."
    if by_state:
        remedy = (
            "it depends on the state, and the sidecar has the decoders that make its factor out of spikes: feed the "
            "input node with that, or use format hdf5, brian2 or pynn."
        )
    unit = "in system units per square root of the time unit"
    return f"NIR has no noise: {sizes} per latent, {unit}, stay out; {remedy}"
