"""The verb: a rate network in, a spiking network and what was learned about it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Backend
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.version import package_version
from ddm2snn.conversion.audit import audit, singular_values
from ddm2snn.conversion.calibration import Calibrated
from ddm2snn.conversion.decoders import Clockwork, rates_along_flow
from ddm2snn.conversion.kinds import Decoders
from ddm2snn.conversion.lag import measure_lag
from ddm2snn.conversion.placing import place, stationary_states
from ddm2snn.conversion.population import Encoding, Population
from ddm2snn.conversion.requests import check_kinds, population_for, simulator_for
from ddm2snn.conversion.solving import assemble, decode, listen
from ddm2snn.conversion.time_unit import NOISE_BY_TIME, natural_time_unit_s, stretch, whole_hundredths
from ddm2snn.hardware.config import HardwareConfig, find_hardware
from ddm2snn.hardware.device import device_for
from ddm2snn.hardware.limits import longest_decay_s
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal
from ddm2snn.neuron import SpikeTiming

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Conversion:
    """A network and what the conversion learned about itself (JSON values)."""

    network: SpikingNetwork
    diagnostics: Mapping[str, Any]


def convert(
    rate: RateNetwork,
    *,
    population: Population | None = None,
    decoders: Decoders | None = None,
    backend: str | Backend | None = None,
    hardware: str | HardwareConfig | None = None,
    time_unit_s: float | None = None,
    dt_s: float = 1e-3,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Conversion:
    """Convert a rate network into a population of spiking neurons that keeps its low-rank factors.

    Parameters
    ----------
    rate
        The trained network.
    population
        Neurons per unit, their rates and their model; none with `Direct`, which makes one neuron of each unit.
    decoders
        How decoders are found; calibrated by default. The noise of the spikes is measured, and only the rest of
        the rate network's diffusion is injected; static decoders inject all of it. Where it depends on the state, its
        factor is decoded from the spikes as well, by calibrated and static decoders only.
    backend
        The simulator, or its name, whose spike timing and time grid the decoders are solved for; by default
        "brian2", or what runs `hardware`.
    hardware
        A device, the name of one or the path of its configuration, to have in the loop of calibrated decoders: the
        neurons are driven in its arithmetic, its decode neurons and their delay included.
    time_unit_s
        Seconds per rate time unit, which is the synaptic time constant; by default such that the
        fastest latent changes little within a membrane time constant, and longer where there are few neurons. Where
        calibrated decoders then hear spikes that would take the total diffusion beyond the target's, up to four times
        as long, which the diagnostics tell. In whole hundreds of time steps, so that samples every 0.01 or 0.02 rate
        time units are whole steps. Never longer than the decays of `hardware` allow.
    dt_s
        Time step of the simulation in seconds.
    seed
        Seed of thresholds and rates; networks for two backends from one seed have the same neurons.
    progress
        Called with the finished share.

    Raises
    ------
    InputError
        Where a setting makes no sense, such as a step longer than the refractory period, and where the diffusion
        depends on the state and the decoders cannot carry that.
    """
    check_seed(seed)
    check_positive("convert", dt_s=dt_s)
    check_kinds(rate, population, decoders)
    decoders = decoders or Calibrated()
    population = population_for(rate, population, decoders)
    config = find_hardware(hardware) if isinstance(hardware, str) else hardware
    target = simulator_for(backend, config, decoders)
    timing = population.neuron.timing_on(target.spike_timing)
    population.neuron.check_step(dt_s, timing)
    cloud = to_internal(rate, stationary_states(rate, seed))
    longest_s = np.inf if config is None else longest_decay_s(config, dt_s)
    first_s = time_unit_s
    if first_s is None:
        natural_s = natural_time_unit_s(rate, cloud, population.neurons_per_unit)
        first_s = whole_hundredths(natural_s, dt_s, longest_s)
    check_positive("convert", time_unit_s=first_s)
    encoding, tuning = place(rate, population, decoders, cloud, seed)
    population = dataclasses.replace(population, neuron=population.neuron.for_neurons(len(encoding.bias)))
    clockwork = _clockwork(rate, config, first_s, dt_s, timing)
    heard, rng, lengthened = None, stream(seed, "conversion", "calibration"), {}
    if isinstance(decoders, Calibrated):
        heard = listen(rate, encoding, population.neuron, clockwork, decoders, cloud, rng, progress)
        longer_s = whole_hundredths(first_s * stretch(heard), dt_s, longest_s)
        if time_unit_s is None and longer_s > first_s:
            lengthened = {"time_unit": {"first_s": first_s, "spikes_over_target": heard.excess}}
            clockwork = _clockwork(rate, config, longer_s, dt_s, timing)
            heard = dataclasses.replace(heard, spikes=heard.spikes / (longer_s / first_s) ** NOISE_BY_TIME)
    decoded = decode(rate, encoding, population, clockwork, decoders, cloud, seed, progress, heard, rng)
    network = assemble(rate, encoding, decoded, population, clockwork, target.name)
    measured = _measured(rate, network, encoding, clockwork, cloud, seed)
    diagnostics = {**measured, **lengthened, "tuning": tuning, **decoded.found}
    provenance = _provenance(rate, seed, population, decoders, diagnostics)
    return Conversion(dataclasses.replace(network, provenance=provenance, hardware=config), diagnostics)


def _clockwork(
    rate: RateNetwork, config: HardwareConfig | None, time_unit_s: float, dt_s: float, timing: SpikeTiming
) -> Clockwork:
    """Time scales, and the device in the loop."""
    device = None if config is None else device_for(config, to_internal(rate, rate.initial_latent), time_unit_s, dt_s)
    return Clockwork(time_unit_s, dt_s, timing, device)


def _measured(
    rate: RateNetwork,
    network: SpikingNetwork,
    encoding: Encoding,
    clockwork: Clockwork,
    z: Float[np.ndarray, "sample rank"],
    seed: int,
) -> dict[str, Any]:
    """Connectivity, rates of the neurons on the stationary states z and, without a device, the residual lag."""
    mean_hz, highest_hz = np.empty(network.neurons), np.empty(network.neurons)
    for part, some in encoding.parts(len(z)):
        neuron = network.neuron.part(part)
        rates_hz = rates_along_flow(rate, some, neuron, z, clockwork, compensate_lag=False)
        mean_hz[part], highest_hz[part] = rates_hz.mean(axis=0), rates_hz.max(axis=0)
    found = {
        "rank_audit": dataclasses.asdict(audit(network)),
        "rate_singular_values": singular_values(rate.left_vectors, rate.right_vectors.T).tolist(),
        "mean_rate_hz": float(mean_hz.mean()),
        "highest_rate_hz": float(highest_hz.max()),
        "silent_share": float((highest_hz == 0).mean()),
        "spikes_per_time_unit": float(mean_hz.sum() * network.time_unit_s),
    }
    if clockwork.device is None:  # rates along the flow know nothing of decode neurons
        rng = stream(seed, "conversion", "lag")
        lag = measure_lag(rate, encoding, network.neuron, clockwork, network.decoders, z, rng)
        found["lag"] = lag.as_json()
    return found


def _provenance(
    rate: RateNetwork, seed: int, population: Population, decoders: Decoders, diagnostics: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "system": rate.provenance.get("system"),
        "seed": seed,
        "neurons_per_unit": population.neurons_per_unit,
        "max_rates_hz": list(population.max_rates_hz),
        "tuned": population.tuned,
        "decoders": {"kind": type(decoders).__name__.lower(), **dataclasses.asdict(decoders)},
        "versions": {"ddm2snn": package_version(), "numpy": np.__version__},
        "diagnostics": dict(diagnostics),
    }
