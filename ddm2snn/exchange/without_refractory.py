"""Decoders solved again for neurons without a refractory period, which NIR and its readers do not have."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import check_seed
from ddm2snn.conversion import Calibrated, Population
from ddm2snn.conversion.decoders import Clockwork
from ddm2snn.conversion.placing import stationary_states
from ddm2snn.conversion.population import Encoding
from ddm2snn.conversion.requests import check_convertible
from ddm2snn.conversion.solving import assemble, decode
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal

if TYPE_CHECKING:
    from ddm2snn.conversion import Static


def without_refractory(
    network: SpikingNetwork,
    rate: RateNetwork,
    *,
    decoders: Calibrated | Static | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> SpikingNetwork:
    """Network with the same encoders and biases whose neurons have no refractory period, decoders solved for that.

    Parameters
    ----------
    network
        A network of LIF neurons.
    rate
        The rate network that it was converted from.
    decoders
        How decoders are found; calibrated by default.
    seed
        Seed of the trajectories.
    progress
        Called with the finished share.

    Raises
    ------
    InputError
        Where neurons are no LIF, or `network` comes from another rate network or has another origin of its latents.
    """
    check_seed(seed)
    check_convertible(rate)
    if not network.neuron.plain_lif:
        raise InputError(
            f"Only LIF neurons have a refractory period to leave out, got {type(network.neuron).__name__}. "
            "Convert with LIF neurons."
        )
    if network.rate_fingerprint != rate.fingerprint:
        raise InputError(
            f"This spiking network comes from the rate network {network.rate_fingerprint}, "
            f"not from {rate.fingerprint}. Give the one that it was converted from."
        )
    if not np.array_equal(network.latent_offset, rate.latent_offset):
        raise InputError(
            "This network's latents have another origin than the rate network's, as Kept decoders give it. "
            "Convert with Calibrated or Static decoders."
        )
    neuron = dataclasses.replace(network.neuron, refractory_s=0.0)
    encoding = Encoding(network.encoders, network.bias, network.unit)
    clockwork = Clockwork(network.time_unit_s, network.dt_s, "grid")
    population = Population(neuron=neuron)
    cloud = to_internal(rate, stationary_states(rate, seed))
    decoded = decode(rate, encoding, population, clockwork, decoders or Calibrated(), cloud, seed, progress)
    made = assemble(rate, encoding, decoded, population, clockwork, network.backend)
    provenance = {**network.provenance, "without_refractory": {"seed": seed, **decoded.found}}
    return dataclasses.replace(made, provenance=provenance, hardware=network.hardware)
