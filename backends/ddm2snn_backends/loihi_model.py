"""A network and its decode neurons as Nengo objects that nengo-loihi places on cores."""
# pyright: reportArgumentType=false
# nengo annotates defaults by a sentinel type, which no real argument has

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nengo
import numpy as np

from ddm2snn.hardware.layout import layout_of
from ddm2snn.neuron import LIF, LoihiLIF

if TYPE_CHECKING:
    from types import ModuleType

    from jaxtyping import Float, Int

    from ddm2snn.hardware.device import Device
    from ddm2snn.network import SpikingNetwork

SURE = 1.0 + 1e-9  # a node's value of one must reach the threshold of its on neuron whatever rounding does


@dataclass
class Trial:
    """Nengo's objects of one trial."""

    neurons: nengo.Ensemble
    relay: nengo.Ensemble
    latent: nengo.Probe
    spikes: nengo.Probe | None


def build(
    network: SpikingNetwork,
    device: Device,
    nengo_loihi: ModuleType,
    *,
    trials: int,
    seed: int,
    amplitude: Float[np.ndarray, " rank"] | None,
    signs: Int[np.ndarray, "trial step rank"] | None,
    record_spikes: bool,
) -> tuple[nengo.Network, list[Trial]]:
    """One Nengo network of all trials, each with cores of its own; configured locally, never by Nengo's defaults."""
    layout = layout_of(network.neurons, network.rank, device.config)
    with nengo.Network(seed=seed) as model:
        nengo_loihi.add_params(model)
        made = []
        for trial in range(trials):
            neurons, relay = _population(network), _relay(device)
            _connect(network, device, neurons, relay)
            if amplitude is not None and signs is not None:
                _drive(device, amplitude, signs[trial], relay)
            for ensemble, parts in ((neurons, layout.population), (relay, layout.relay)):
                shape = nengo_loihi.BlockShape((parts[0].stop,), (ensemble.n_neurons,))
                model.config[ensemble].block_shape = shape
            made.append(
                Trial(
                    neurons, relay, nengo.Probe(relay.neurons[: network.rank], "input"),
                    nengo.Probe(neurons.neurons, "output") if record_spikes else None,
                )
            )  # fmt: skip
    return model, made


def _population(network: SpikingNetwork) -> nengo.Ensemble:
    neuron = network.neuron
    refractory_s = neuron.refractory_s if isinstance(neuron, LIF | LoihiLIF) else 0.0
    at_rest = {"voltage": nengo.dists.Choice([0])}
    return nengo.Ensemble(
        network.neurons, 1, neuron_type=nengo.LIF(neuron.tau_membrane_s, refractory_s, initial_state=at_rest),
        gain=np.ones(network.neurons), bias=network.bias, encoders=np.ones((network.neurons, 1)),
        eval_points=np.zeros((1, 1)),
    )  # fmt: skip


def _relay(device: Device) -> nengo.Ensemble:
    relay = device.relay
    at_rest = {"voltage": nengo.dists.Choice([0])}
    return nengo.Ensemble(
        relay.neurons, 1, neuron_type=nengo.SpikingRectifiedLinear(initial_state=at_rest),
        gain=np.full(relay.neurons, relay.swing_hz), bias=relay.bias_hz, encoders=np.ones((relay.neurons, 1)),
        eval_points=np.zeros((1, 1)),
    )  # fmt: skip


def _connect(network: SpikingNetwork, device: Device, neurons: nengo.Ensemble, relay: nengo.Ensemble) -> None:
    """Neurons -> D -> low-pass of the latents -> decode neurons -> E -> neurons."""
    of = device.relay
    decoders = network.decoders.T[:, of.latent] * (of.side / of.radius[of.latent])
    nengo.Connection(neurons.neurons, relay.neurons, transform=decoders.T, synapse=network.time_unit_s)
    filter_s = device.config.decode_neurons.filter_s
    nengo.Connection(
        relay.neurons, neurons.neurons, transform=network.encoders[:, of.latent] * of.output, synapse=filter_s or None
    )


def _drive(
    device: Device, amplitude: Float[np.ndarray, " rank"], signs: Int[np.ndarray, "step rank"], relay: nengo.Ensemble
) -> None:
    """Input from the host: plus or minus one for each latent, which nengo-loihi sends as one of a pair of spikes."""
    of, dt_s = device.relay, device.dt_s
    rank = signs.shape[1]

    def value(t: float) -> np.ndarray:
        step = round(t / dt_s) - 1
        return SURE * signs[step] if step < len(signs) else np.zeros(rank)

    size = of.side * amplitude[of.latent] / of.radius[of.latent]
    transform = np.equal.outer(of.latent, np.arange(rank)) * size[:, None]
    nengo.Connection(nengo.Node(value, size_out=rank), relay.neurons, transform=transform, synapse=None)
