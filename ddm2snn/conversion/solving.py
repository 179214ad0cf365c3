"""Decoders found in any of the ways that there are, and the network that they make."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.conversion.calibration import Calibrated, calibrate
from ddm2snn.conversion.decoded import Decoded, curve_error, noise_found, with_constant
from ddm2snn.conversion.decoders import Clockwork, Static, decode_static, regression_target
from ddm2snn.conversion.diffusion_factor import calibrate_factor, spikes_by_state, static_factor
from ddm2snn.conversion.direct import Direct, decode_direct
from ddm2snn.conversion.kept import Kept, decode_kept
from ddm2snn.conversion.noise_budget import NoiseBudget, louder, measure_budget
from ddm2snn.conversion.placing import around
from ddm2snn.conversion.population import Encoding, Population
from ddm2snn.hardware.quantise import compensated
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.neuron import NeuronModel

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.base.progress import Progress
    from ddm2snn.conversion.kinds import Decoders


def decode(
    rate: RateNetwork,
    encoding: Encoding,
    population: Population,
    clockwork: Clockwork,
    decoders: Decoders,
    cloud: Float[np.ndarray, "sample rank"],
    seed: int,
    progress: Progress,
    heard: NoiseBudget | None = None,
    rng: np.random.Generator | None = None,
) -> Decoded:
    """Decoders, the noise to inject besides, and what was found on the way.

    Calibrated decoders take what `listen` heard, and its source of random numbers, or listen for themselves.
    """
    neuron = population.neuron
    if isinstance(decoders, Kept):
        z, rng = around(cloud, seed), stream(seed, "conversion", "kept")
        return decode_kept(rate, encoding, neuron, clockwork, decoders, z, cloud, rng)
    if isinstance(decoders, Direct):
        return decode_direct(rate, clockwork, cloud, stream(seed, "conversion", "direct"))
    if isinstance(decoders, Static):
        z = around(cloud, seed)
        solved, decoded = decode_static(rate, encoding, neuron, clockwork, decoders, z, cloud)
        velocity = rate.internal_readout(cloud) - cloud
        error = curve_error(decoded, regression_target(rate, cloud, clockwork), velocity)
        found = {"drift_error": error}
        if rate.diffusion_readout is None:
            return Decoded(solved, rate.diffusion_factor, found)
        rng = stream(seed, "conversion", "diffusion")
        factor = static_factor(rate, encoding, neuron, clockwork, z, cloud, decoders, rng)
        return Decoded(solved, factor.constant, {**found, "diffusion": factor.found}, factor=factor)
    rng = rng or stream(seed, "conversion", "calibration")
    population_of = (encoding, neuron, clockwork)
    if heard is None:
        heard = listen(rate, encoding, neuron, clockwork, decoders, cloud, rng, progress)
    noisy = louder(rate, heard)
    found = calibrate(
        noisy, *population_of, cloud, decoders, rng, lambda share: progress(0.2 + 0.7 * share), heard.injected_factor
    )
    if clockwork.device is not None and len(found.gram) == len(encoding.bias):
        rounded = compensated(found.decoders, found.gram, found.ridge, clockwork.device)
        found = dataclasses.replace(found, decoders=rounded)
    budget = measure_budget(rate, *population_of, found.decoders, cloud, rng)
    diagnostics = {
        "drift_error": budget.drift_bias.tolist(),
        "calibration": found.as_json(),
        "noise": noise_found(budget),
    }
    if rate.diffusion_readout is None:
        progress(1.0)
        return Decoded(found.decoders, budget.injected_factor, diagnostics)
    spikes = spikes_by_state(rate, *population_of, found.decoders, cloud, rng)
    factor = calibrate_factor(rate, noisy, *population_of, cloud, spikes, decoders, rng)
    progress(1.0)
    return Decoded(found.decoders, factor.constant, {**diagnostics, "diffusion": factor.found}, factor=factor)


def listen(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    decoders: Calibrated,
    cloud: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
    progress: Progress,
) -> NoiseBudget:
    """Tell how loud the spikes are that neurons hear in the closed loop: a first, shorter calibration."""
    length = max(500.0, decoders.duration_for(len(encoding.bias)) / 4)
    pilot = dataclasses.replace(decoders, duration=length, rounds=0)
    population_of = (encoding, neuron, clockwork)
    first = calibrate(rate, *population_of, cloud, pilot, rng, lambda share: progress(0.2 * share))
    return measure_budget(rate, *population_of, first.decoders, cloud, rng, duration=12.0)


def assemble(
    rate: RateNetwork,
    encoding: Encoding,
    decoded: Decoded,
    population: Population,
    clockwork: Clockwork,
    backend: str,
) -> SpikingNetwork:
    """Put neurons and decoders together with what the rate network hands down unchanged."""
    network = SpikingNetwork(
        encoders=encoding.encoders,
        bias=encoding.bias,
        decoders=decoded.decoders,
        unit=encoding.unit,
        rate_left_vectors=rate.left_vectors,
        diffusion_factor=decoded.diffusion_factor,
        input_map=rate.input_map,
        latent_offset=rate.latent_offset,
        latent_scale=rate.latent_scale,
        initial_latent=rate.initial_latent,
        neuron=population.neuron,
        time_unit_s=float(clockwork.time_unit_s),
        dt_s=float(clockwork.dt_s),
        spike_timing=clockwork.timing,
        backend=backend,
        rate_fingerprint=rate.fingerprint,
        diffusion_decoders=None if decoded.factor is None else decoded.factor.decoders,
        diffusion_filter_s=None if decoded.factor is None else decoded.factor.filter_s,
    )
    return network if decoded.constant is None else with_constant(network, decoded.constant)
