"""Decoders solved again for the neurons that a network has: damaged ones, or those without a refractory period."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import check_seed
from ddm2snn.base.threads import one_thread
from ddm2snn.conversion.convert import assemble, check_convertible
from ddm2snn.conversion.decoders import Calibrated, Problem
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.conversion.decoders import Static
    from ddm2snn.network import RateNetwork, SpikingNetwork


def without_refractory(
    network: SpikingNetwork,
    rate: RateNetwork,
    *,
    decoders: Calibrated | Static | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> SpikingNetwork:
    """Network with the same encoders and biases, and decoders solved for neurons without a refractory period.

    NIR and its readers have no refractory period. Decoders are calibrated by default.

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
    check_source(rate, network)
    neuron = dataclasses.replace(network.neuron, refractory_s=0.0)
    free = dataclasses.replace(network, neuron=neuron, spike_timing="grid")
    return _solved_again(rate, free, decoders or Calibrated(), "without_refractory", seed, progress)


def solve_again(
    network: SpikingNetwork,
    rate: RateNetwork,
    *,
    decoders: Calibrated | Static | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> SpikingNetwork:
    """Network with the same neurons and synapses, and decoders and injected noise solved for them as they are now.

    Of a network that nothing was done to this gives, with the seed and the decoders of its conversion, the network
    itself. Decoders are calibrated by default.

    Raises
    ------
    InputError
        Where `network` comes from another rate network, its latents have another origin, or it runs on a device.

    Examples
    --------
    >>> from ddm2snn import Population, Static, Training, convert, damaged, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> network = convert(rate, population=Population(2, tuned=False), decoders=Static(), time_unit_s=0.1).network
    >>> solve_again(network, rate, decoders=Static()).fingerprint == network.fingerprint
    True
    >>> solve_again(damaged(network, "neurons", 0.25), rate, decoders=Static()).neurons
    12
    """
    check_seed(seed)
    check_solvable(rate, network)
    return _solved_again(rate, network, decoders or Calibrated(), "solved_again", seed, progress)


def check_solvable(rate: RateNetwork, network: SpikingNetwork) -> None:
    """Refuse a network whose decoders `solve_again` cannot solve for."""
    check_convertible(rate)
    check_source(rate, network)
    if network.hardware is not None:
        raise InputError(
            f"This network was converted for {network.hardware.name}, in whose loop decoders are not solved again. "
            "Convert without hardware."
        )


def _solved_again(
    rate: RateNetwork, network: SpikingNetwork, decoders: Calibrated | Static, name: str, seed: int, progress: Progress
) -> SpikingNetwork:
    """Solve for the decoders of a network; `name` is that of the diagnostics in its provenance."""
    with one_thread():
        problem = Problem(rate, Ensemble.of(network), decoders.visited(rate, seed), seed)
        solution = decoders.solve(problem, progress)
    solved = assemble(problem, solution, network.backend)
    provenance = {**network.provenance, name: {"seed": seed, **solution.diagnostics}}
    return dataclasses.replace(solved, provenance=provenance, hardware=network.hardware)


def check_source(rate: RateNetwork, network: SpikingNetwork) -> None:
    """Refuse a network that was not converted from a rate network, or whose latents have another origin."""
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
