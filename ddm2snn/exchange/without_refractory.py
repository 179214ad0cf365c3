"""Decoders solved again for neurons without a refractory period, since NIR and its readers have none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import check_seed
from ddm2snn.conversion import Calibrated, Ensemble
from ddm2snn.conversion.convert import assemble, check_convertible
from ddm2snn.conversion.decoders import Problem
from ddm2snn.conversion.trajectories import stationary_states
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
    """Network with the same encoders and biases, and decoders solved for neurons without a refractory period.

    Parameters
    ----------
    network, rate
        A network of LIF neurons, and the rate network that it was converted from.
    decoders
        How decoders are solved for; calibrated by default.
    seed, progress
        Seed of the trajectories; called with the finished share.

    Raises
    ------
    InputError
        Where neurons are no LIF, `network` comes from another rate network, or its latents have another origin.
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
            "This network's latents have another origin than the rate network's, as TrainedReadout gives it. "
            "Convert with Calibrated or Static decoders."
        )
    neuron = dataclasses.replace(network.neuron, refractory_s=0.0)
    ensemble = Ensemble.of(network)
    clock = dataclasses.replace(ensemble.clock, spike_timing="grid")
    ensemble = dataclasses.replace(ensemble, neuron=neuron, clock=clock)
    problem = Problem(rate, ensemble, to_internal(rate, stationary_states(rate, seed)), seed)
    chosen = decoders or Calibrated()
    solution = chosen.solve(problem, chosen.pilot(problem, progress), progress)
    solved = assemble(problem, solution, network.backend)
    provenance = {**network.provenance, "without_refractory": {"seed": seed, **solution.diagnostics}}
    return dataclasses.replace(solved, provenance=provenance, hardware=network.hardware)
