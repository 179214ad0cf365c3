"""What a spiking network loses in NIR, in numbers: refractory period, floor of voltages, noise."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork, to_internal

if TYPE_CHECKING:
    from jaxtyping import Float


_TIME_UNITS, _TRIALS = 6.0, 4  # of the run that counts spikes
_MOST_WORK, _STEP_WORK = 1e8, 5000  # of it, in updates of a neuron: a second or two; work of a step without neurons
_FEWEST_SPIKES, _NOTICEABLE = 100, 0.01  # a change of 1 % is a spike of 100


@np.errstate(all="ignore")  # the numbers go into a sentence; a network may hold any finite number
def refractory_loss(network: SpikingNetwork) -> tuple[float, float, float] | None:
    r"""What changes without the refractory period, by the neurons' curves; None where the network has none.

    The mean rates in Hz over neurons and over the states that the network carries, with and without it, and the root
    mean square of :math:`D (F_0(J) - F(J))` over that of the drift :math:`D F(J) - z`: the relative error of the
    dynamics with the same decoders.
    """
    neuron = network.neuron
    if not neuron.plain_lif or not neuron.refractory_s:
        return None
    z = to_internal(network, network.initial_latent)
    current = z @ network.encoders.T + network.bias
    free = dataclasses.replace(neuron, refractory_s=0.0)
    try:
        neuron.check_step(network.dt_s, network.spike_timing)
        timing, free_timing = network.spike_timing, "grid"
    except InputError:  # no simulator takes this step: curves in continuous time
        timing, free_timing = "interpolated", "interpolated"
    before_hz = neuron.rate_hz(current, timing=timing, dt_s=network.dt_s)
    after_hz = free.rate_hz(current, timing=free_timing, dt_s=network.dt_s)
    drift = before_hz @ network.decoders.T - z
    change = (after_hz - before_hz) @ network.decoders.T
    size = float(np.sqrt((drift**2).mean()))
    readout_error = float(np.sqrt((change**2).mean())) / size if size > 0 else float("inf")
    return float(before_hz.mean()), float(after_hz.mean()), readout_error


@np.errstate(all="ignore")
def floor_loss(network: SpikingNetwork) -> tuple[float, float] | None:
    """What changes where voltages may fall below reset, so that neurons fire late after inhibition.

    Spikes of the same currents are counted with and without the floor. The currents are those of a short run of the
    network without a refractory period; where the noise depends on the state, the run has noise of the mean factor.

    Returned are the largest relative change of the number of spikes over neurons with 100 spikes or more, and the share
    of these that change by more than 1 %; None for neurons other than LIF, and where no neuron fires 100 times.
    """
    if not network.neuron.plain_lif:
        return None
    work_of_step = _TRIALS * network.neurons + _STEP_WORK
    steps = int(min(_TIME_UNITS * network.time_unit_s / network.dt_s, _MOST_WORK / work_of_step))
    z = to_internal(network, network.initial_latent[:_TRIALS])
    decay = float(np.exp(-network.dt_s / network.time_unit_s))
    membrane_decay = float(np.exp(-network.dt_s / network.neuron.single_tau_s))
    bounded = np.zeros((len(z), network.neurons))
    free, with_floor, without = bounded, np.zeros(network.neurons), np.zeros(network.neurons)
    factor = _diffusion_factors(network).mean(axis=0)
    rng, noise = np.random.default_rng(0), factor.T * np.sqrt((1.0 - decay**2) / 2.0)
    for _ in range(steps):
        current = z @ network.encoders.T + network.bias
        bounded, free = (current + (voltage - current) * membrane_decay for voltage in (np.maximum(bounded, 0.0), free))
        fired, other = bounded > 1.0, free > 1.0
        bounded, free = np.where(fired, 0.0, bounded), np.where(other, 0.0, free)
        with_floor, without = with_floor + fired.sum(axis=0), without + other.sum(axis=0)
        z = decay * z + (1.0 - decay) / network.dt_s * (fired @ network.decoders.T)
        z = z + rng.standard_normal(z.shape) @ noise
    busy = with_floor >= _FEWEST_SPIKES
    if not busy.any():
        return None
    change = np.abs(without[busy] - with_floor[busy]) / with_floor[busy]
    return float(change.max()), float((change > _NOTICEABLE).mean())


def _diffusion_factors(network: SpikingNetwork) -> Float[np.ndarray, "sample rank rank"]:
    """Diffusion factor at the initial latents, in continuous time where no simulator takes the network's step."""
    z, decoders = to_internal(network, network.initial_latent), network.diffusion_decoders
    try:
        return network.internal_factor(z)
    except InputError:
        if decoders is None:
            raise
        rates_hz = network.neuron.rate_hz(z @ network.encoders.T + network.bias)
        return network.diffusion_factor + np.einsum("sj,rcj->src", rates_hz, decoders)


@np.errstate(all="ignore")
def losses(network: SpikingNetwork) -> list[str]:
    """Sentences on what NIR leaves out of a network, each with its numbers; none where it leaves out nothing."""
    sentences = []
    loss = refractory_loss(network)
    if loss is not None:
        before_hz, after_hz, readout_error = loss
        more = f" ({after_hz / before_hz - 1:+.0%})" if before_hz > 0 else ""
        sentences.append(
            f"NIR has no refractory period: without its {1e3 * network.neuron.refractory_s:g} ms the mean rate goes "
            f"from {before_hz:.3g} to {after_hz:.3g} Hz{more}, which changes the drift by "
            f"{readout_error:.2g} of its size. Solve the decoders for that with without_refractory."
        )
    floor = floor_loss(network)
    if floor is not None and floor[0] > _NOTICEABLE:
        worst, share = floor
        sentences.append(
            f"NIR's voltages have no floor at reset: a share of {share:.2g} of the neurons change their rate by "
            f"more than 1 %, at most by {worst:.0%}, since they answer late after inhibition. Convert with a "
            "longer time unit."
        )
    # size of the injected noise, root of the diagonal of G G^T, over the states that the network carries
    sizes = np.sqrt((_diffusion_factors(network) ** 2).sum(axis=-1)) * network.latent_scale
    return [*sentences, _noise_sentence(network, sizes)] if sizes.any() else sentences


def _noise_sentence(network: SpikingNetwork, sizes: Float[np.ndarray, "sample rank"]) -> str:
    ranges = zip(sizes.min(axis=0), sizes.max(axis=0), strict=True)
    words = ", ".join(f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in ranges)
    remedy = "the sidecar has the factor, which the input node can be fed with."
    if network.diffusion_decoders is not None:
        remedy = (
            "it depends on the state, and the sidecar has the decoders that make its factor out of spikes: feed the "
            "input node with that, or use format hdf5, brian2 or pynn."
        )
    unit = "in system units per square root of the time unit"
    return f"NIR has no noise: {words} per latent, {unit}, stay out; {remedy}"
