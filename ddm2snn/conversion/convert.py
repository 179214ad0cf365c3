"""The verb: a rate network in, a spiking network and what was learned about it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Backend, Record, find_backend
from ddm2snn.conversion.audit import audit
from ddm2snn.conversion.decoders import Clockwork, Static, rates_along_flow, regression_target, solve_static
from ddm2snn.conversion.population import Encoding, Population, encode
from ddm2snn.errors import InputError
from ddm2snn.frozen import check_positive
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal
from ddm2snn.randomness import check_seed, child_seed, stream
from ddm2snn.training.sampling import widened

if TYPE_CHECKING:
    from jaxtyping import Float

_DECORRELATION_S = 0.07  # membranes of 20 ms follow latents that stay put for several of them
_TRIALS, _DURATION, _EVERY = 128, 20.0, 0.5
_SMEAR = 0.15


@dataclass(frozen=True)
class Conversion:
    """A network and what the conversion learned about itself (JSON values)."""

    network: SpikingNetwork
    diagnostics: Mapping[str, Any]


def convert(
    rate: RateNetwork,
    *,
    population: Population | None = None,
    decoders: Static | None = None,
    backend: str | Backend = "brian2",
    time_unit_s: float | None = None,
    dt_s: float = 5e-4,
    seed: int = 0,
) -> Conversion:
    """Convert a rate network into a population of spiking neurons that keeps its low-rank factors.

    Parameters
    ----------
    rate
        The trained network.
    population
        Neurons per unit, their rates and their model.
    decoders
        How decoders are found.
    backend
        The simulator, or its name, whose f-I curve and time grid the decoders are solved for.
    time_unit_s
        Seconds per rate time unit, which is the synaptic time constant; by default such that the
        fastest latent changes little within a membrane time constant.
    dt_s
        Time step of the simulation in seconds.
    seed
        Seed of thresholds and rates; networks for two backends from one seed have the same neurons.

    Raises
    ------
    InputError
        Where a setting makes no sense, such as a step longer than the refractory period.
    """
    check_seed(seed)
    check_positive("convert", dt_s=dt_s)
    for name, given, kind in (
        ("rate", rate, RateNetwork), ("population", population, Population), ("decoders", decoders, Static)
    ):  # fmt: skip
        if given is not None and not isinstance(given, kind):
            raise InputError(f"convert needs a {kind.__name__} as {name}, got a {type(given).__name__}.")
    population, decoders = population or Population(), decoders or Static()
    target = find_backend(backend) if isinstance(backend, str) else backend
    if target.name == "rate":
        raise InputError("Backend rate runs rate networks; convert for brian2, nengo or reference.")
    population.neuron.check_step(dt_s, target.spike_timing)
    cloud = to_internal(rate, _stationary_states(rate, seed))
    if time_unit_s is None:
        time_unit_s = natural_time_unit_s(rate, cloud)
    check_positive("convert", time_unit_s=time_unit_s)
    z = widened(cloud, stream(seed, "conversion", "points"), spread=_SMEAR, reach=1.25)
    encoding = encode(rate, population, z, stream(seed, "conversion", "encoders"))
    clockwork = Clockwork(time_unit_s, dt_s, target.spike_timing)
    rates_hz = rates_along_flow(rate, encoding, population.neuron, z, clockwork, compensate_lag=decoders.compensate_lag)
    solved = solve_static(rates_hz, regression_target(rate, z, clockwork), decoders.ridge)
    network = _assemble(rate, encoding, solved, population, clockwork, target.name)
    diagnostics = {
        "rank_audit": dataclasses.asdict(audit(network)),
        **_decoding(rate, network, encoding, cloud, clockwork, decoders),
    }
    provenance = _provenance(rate, seed, population, decoders, diagnostics)
    return Conversion(dataclasses.replace(network, provenance=provenance), diagnostics)


def _assemble(
    rate: RateNetwork,
    encoding: Encoding,
    decoders: Float[np.ndarray, "rank neuron"],
    population: Population,
    clockwork: Clockwork,
    backend: str,
) -> SpikingNetwork:
    """Put neurons and decoders together with what the rate network hands down unchanged."""
    return SpikingNetwork(
        encoders=encoding.encoders,
        bias=encoding.bias,
        decoders=decoders,
        unit=encoding.unit,
        rate_left_vectors=rate.left_vectors,
        diffusion_factor=rate.diffusion_factor,
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
    )


def natural_time_unit_s(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> float:
    """Seconds per rate time unit in which the fastest latent needs 70 ms to change by its own spread.

    Rounded to 1, 2 or 5 times a power of ten.
    """
    velocity = rate.internal_readout(z) - z
    fastest = float(np.max(np.sqrt((velocity**2).mean(axis=0)) / z.std(axis=0)))
    steps = np.array([m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5)])
    return float(steps[np.argmin(np.abs(np.log(steps / (_DECORRELATION_S * fastest))))])


def _stationary_states(rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"]:
    """States of the rate network itself, in system units, after it has forgotten where it started."""
    run = find_backend("rate").run(
        rate,
        duration=_DURATION,
        trials=_TRIALS,
        seed=child_seed(seed, "conversion", "states"),
        record=Record(every=_EVERY),
    )
    return run.samples[:, run.samples.shape[1] // 4 :].reshape(-1, rate.rank)


def _decoding(
    rate: RateNetwork,
    network: SpikingNetwork,
    encoding: Encoding,
    z: Float[np.ndarray, "sample rank"],
    clockwork: Clockwork,
    decoders: Static,
) -> dict[str, Any]:
    """Drift error and activity on the stationary cloud itself, without smear."""
    rates_hz = rates_along_flow(rate, encoding, network.neuron, z, clockwork, compensate_lag=decoders.compensate_lag)
    truth = rate.internal_readout(z) - z
    miss = rates_hz @ network.decoders.T - regression_target(rate, z, clockwork)
    return {
        "drift_error": (np.sqrt((miss**2).mean(axis=0) / (truth**2).mean(axis=0))).tolist(),
        "mean_rate_hz": float(rates_hz.mean()),
        "highest_rate_hz": float(rates_hz.max()),
        "silent_share": float((rates_hz.max(axis=0) == 0).mean()),
        "spikes_per_time_unit": float(rates_hz.sum(axis=1).mean() * network.time_unit_s),
    }


def _provenance(
    rate: RateNetwork, seed: int, population: Population, decoders: Static, diagnostics: Mapping[str, Any]
) -> dict[str, Any]:
    from ddm2snn import __version__

    return {
        "system": rate.provenance.get("system"),
        "seed": seed,
        "neurons_per_unit": population.neurons_per_unit,
        "max_rates_hz": list(population.max_rates_hz),
        "decoders": {"kind": type(decoders).__name__.lower(), **dataclasses.asdict(decoders)},
        "versions": {"ddm2snn": __version__, "numpy": np.__version__},
        "diagnostics": dict(diagnostics),
    }
