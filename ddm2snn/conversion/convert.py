"""The verb: a rate network in, a spiking network and what was learned about it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ddm2snn.backend import Backend, Progress, Record, find_backend, no_progress
from ddm2snn.conversion.audit import audit, singular_values
from ddm2snn.conversion.calibration import Calibrated, calibrate
from ddm2snn.conversion.decoded import Decoded, curve_error, noise_found, with_constant
from ddm2snn.conversion.decoders import Clockwork, Static, decode_static, rates_along_flow, regression_target
from ddm2snn.conversion.diffusion_factor import calibrate_factor, spikes_by_state, static_factor
from ddm2snn.conversion.direct import Direct, decode_direct, direct_encoding, direct_population
from ddm2snn.conversion.kept import Kept, decode_kept, tune_units
from ddm2snn.conversion.lag import measure_lag
from ddm2snn.conversion.noise_budget import NoiseBudget, louder, measure_budget
from ddm2snn.conversion.population import Encoding, Population, encode
from ddm2snn.conversion.time_unit import NOISE_BY_TIME, natural_time_unit_s, stretch, two_digits
from ddm2snn.conversion.tuning import FEWEST_POINTS, MOST_NEURONS, POINTS_PER_NEURON, Tunable, tune
from ddm2snn.errors import InputError
from ddm2snn.frozen import check_positive
from ddm2snn.hardware.compensate import compensated
from ddm2snn.hardware.config import HardwareConfig, find_hardware
from ddm2snn.hardware.device import device_for
from ddm2snn.hardware.limits import longest_decay_s
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal
from ddm2snn.neuron import HeterogeneousLIF, NeuronModel, SpikeTiming, part_of
from ddm2snn.randomness import check_seed, child_seed, stream
from ddm2snn.training.sampling import widened

if TYPE_CHECKING:
    from jaxtyping import Float

_TRIALS, _DURATION, _EVERY = 128, 20.0, 0.5
_SMEAR = 0.15

Decoders = Calibrated | Static | Kept | Direct
"""Any way of finding decoders: a closed union."""


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
        as long, which the diagnostics tell. Never longer than the decays of `hardware` allow.
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
    _check_kinds(rate, population, decoders)
    decoders = decoders or Calibrated()
    population = _population(rate, population, decoders)
    config = find_hardware(hardware) if isinstance(hardware, str) else hardware
    target = _target(backend, config, decoders)
    if target.name == "rate":
        raise InputError("Backend rate runs rate networks; convert for brian2, nengo or reference.")
    timing = population.neuron.timing_on(target.spike_timing)
    population.neuron.check_step(dt_s, timing)
    cloud = to_internal(rate, stationary_states(rate, seed))
    given, longest_s = time_unit_s is not None, np.inf if config is None else longest_decay_s(config, dt_s)
    if time_unit_s is None:
        time_unit_s = two_digits(natural_time_unit_s(rate, cloud, population.neurons_per_unit), longest_s)
    check_positive("convert", time_unit_s=time_unit_s)
    z = _around(cloud, seed)
    encoding, tuning = place(rate, population, decoders, cloud, seed)
    clockwork = _clockwork(rate, config, time_unit_s, dt_s, timing)
    heard, rng, chosen = None, stream(seed, "conversion", "calibration"), {}
    if isinstance(decoders, Calibrated):
        heard = listen(rate, encoding, population.neuron, clockwork, decoders, cloud, rng, progress)
        longer_s = time_unit_s if given else two_digits(time_unit_s * stretch(heard), longest_s)
        if longer_s > time_unit_s:
            chosen = {"time_unit": {"first_s": time_unit_s, "spikes_over_target": heard.excess}}
            clockwork = _clockwork(rate, config, longer_s, dt_s, timing)
            heard = dataclasses.replace(heard, spikes=heard.spikes / (longer_s / time_unit_s) ** NOISE_BY_TIME)
    decoded = decode(rate, encoding, population, clockwork, decoders, z, cloud, seed, progress, heard, rng)
    network = assemble(rate, encoding, decoded, population, clockwork, target.name)
    lag = {}
    if clockwork.device is None:  # rates along the flow know nothing of decode neurons
        rng = stream(seed, "conversion", "lag")
        found = measure_lag(rate, encoding, population.neuron, clockwork, decoded.decoders, cloud, rng)
        lag = {"lag": found.as_json()}
    diagnostics = {
        "rank_audit": dataclasses.asdict(audit(network)),
        "rate_singular_values": singular_values(rate.left_vectors, rate.right_vectors.T).tolist(),
        **chosen,
        **lag,
        **_activity(rate, network, encoding, cloud, clockwork),
        "tuning": tuning,
        **decoded.found,
    }
    provenance = _provenance(rate, seed, population, decoders, diagnostics)
    if config is not None:
        provenance["hardware"] = config.as_json()
    return Conversion(dataclasses.replace(network, provenance=provenance), diagnostics)


def _population(rate: RateNetwork, population: Population | None, decoders: Decoders) -> Population:
    if not isinstance(decoders, Direct):
        return population or Population()
    if population is not None:
        raise InputError(
            f"Direct makes one neuron of each unit by itself, but a population was given: {population!r}. "
            "Leave the population out, or choose other decoders."
        )
    return direct_population(rate)


def _target(backend: str | Backend | None, config: HardwareConfig | None, decoders: Decoders) -> Backend:
    """Simulator to convert for; refused where it does not run the device, or decoders cannot be in its loop."""
    if config is None:
        return find_backend(backend or "brian2") if backend is None or isinstance(backend, str) else backend
    if not isinstance(decoders, Calibrated) or decoders.rounds:
        raise InputError(
            f"Only calibrated decoders without rounds are solved in the loop of a device, got {decoders!r}. "
            "Choose Calibrated(rounds=0), or leave hardware out."
        )
    name = config.target if backend is None else backend if isinstance(backend, str) else backend.name
    if name not in ("nengo-loihi", "quantised"):
        raise InputError(f"Backend {name} does not run {config.name}. Leave backend out, or choose {config.target}.")
    return find_backend(name, hardware=config) if backend is None or isinstance(backend, str) else backend


def _around(cloud: Float[np.ndarray, "sample rank"], seed: int) -> Float[np.ndarray, "sample rank"]:
    """Stationary states, widened: the points that neurons cover."""
    return widened(cloud, stream(seed, "conversion", "points"), spread=_SMEAR, reach=1.25)


def place(
    rate: RateNetwork, population: Population, decoders: Decoders, cloud: Float[np.ndarray, "sample rank"], seed: int
) -> tuple[Encoding, dict[str, float]]:
    """Encoders and biases around stationary states, tuned for what the decoders will decode, and what tuning found."""
    if isinstance(decoders, Direct):
        return direct_encoding(rate), {}
    z = _around(cloud, seed)
    encoding = encode(rate, population, z, stream(seed, "conversion", "encoders"))
    if population.tuned and isinstance(decoders, Kept):
        rng = stream(seed, "conversion", "units")
        return tune_units(rate, encoding, population.neuron, z, decoders, rng), {}
    # tuning smooths the curve of LIF neurons, which only theirs follow
    if population.tuned and isinstance(population.neuron, Tunable) and len(encoding.bias) <= MOST_NEURONS:
        return tune(rate, encoding, population.neuron, _tuning_points(cloud, len(encoding.bias), seed))
    return encoding, {}


def _check_kinds(rate: object, population: object, decoders: object) -> None:
    """Refuse what is of the wrong kind."""
    for name, given, kinds in (
        ("rate", rate, (RateNetwork,)),
        ("population", population, (Population,)),
        ("decoders", decoders, get_args(Decoders)),
    ):
        if given is not None and not isinstance(given, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(f"convert needs a {wanted} as {name}, got a {type(given).__name__}.")
    check_convertible(rate)
    if isinstance(decoders, Kept) and isinstance(getattr(population, "neuron", None), HeterogeneousLIF):
        raise InputError(
            "Kept decoders place the neurons of each unit by one curve, which HeterogeneousLIF neurons do not share. "
            "Convert LIF neurons, or with Calibrated or Static decoders."
        )
    if not isinstance(rate, RateNetwork) or rate.diffusion_readout is None:
        return
    if isinstance(decoders, Kept | Direct):
        raise InputError(
            f"This rate network's diffusion depends on the state, which {type(decoders).__name__} decoders cannot "
            "carry: they decode the activations as they were trained. Convert with Calibrated or Static decoders."
        )
    if isinstance(decoders, Calibrated) and decoders.rounds:
        raise InputError(
            f"This rate network's diffusion depends on the state, which closed-loop rounds do not inject; rounds is "
            f"{decoders.rounds}. Convert with Calibrated(rounds=0)."
        )


def check_convertible(rate: object) -> None:
    """Refuse what is no rate network."""
    if not isinstance(rate, RateNetwork):
        raise InputError(f"Conversion needs a RateNetwork, got a {type(rate).__name__}.")


def decode(
    rate: RateNetwork,
    encoding: Encoding,
    population: Population,
    clockwork: Clockwork,
    decoders: Decoders,
    z: Float[np.ndarray, "sample rank"],
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
        return decode_kept(rate, encoding, neuron, clockwork, decoders, z, cloud, stream(seed, "conversion", "kept"))
    if isinstance(decoders, Direct):
        return decode_direct(rate, clockwork, cloud, stream(seed, "conversion", "direct"))
    if isinstance(decoders, Static):
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


def _clockwork(
    rate: RateNetwork, config: HardwareConfig | None, time_unit_s: float, dt_s: float, timing: SpikeTiming
) -> Clockwork:
    """Time scales, and the device in the loop."""
    device = None if config is None else device_for(config, to_internal(rate, rate.initial_latent), time_unit_s, dt_s)
    return Clockwork(time_unit_s, dt_s, timing, device)


def _tuning_points(cloud: Float[np.ndarray, "sample rank"], neurons: int, seed: int) -> Float[np.ndarray, "point rank"]:
    """Widened stationary states, as many as the population needs, some twice where there are too few."""
    count = max(FEWEST_POINTS, POINTS_PER_NEURON * neurons)
    rng = stream(seed, "conversion", "tuning points")
    return widened(cloud[np.resize(rng.permutation(len(cloud)), count)], rng, spread=_SMEAR, reach=1.25)


def stationary_states(rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"]:
    """States of the rate network itself, in system units, after it has forgotten where it started."""
    run = find_backend("rate").run(
        rate,
        duration=_DURATION,
        trials=_TRIALS,
        seed=child_seed(seed, "conversion", "states"),
        record=Record(every=_EVERY),
    )
    return run.samples[:, run.samples.shape[1] // 4 :].reshape(-1, rate.rank)


def _activity(
    rate: RateNetwork,
    network: SpikingNetwork,
    encoding: Encoding,
    z: Float[np.ndarray, "sample rank"],
    clockwork: Clockwork,
) -> dict[str, Any]:
    """Rates of the neurons on the stationary cloud."""
    mean_hz, highest_hz = np.empty(network.neurons), np.empty(network.neurons)
    for part, some in encoding.parts(len(z)):
        neuron = part_of(network.neuron, part)
        rates_hz = rates_along_flow(rate, some, neuron, z, clockwork, compensate_lag=False)
        mean_hz[part], highest_hz[part] = rates_hz.mean(axis=0), rates_hz.max(axis=0)
    return {
        "mean_rate_hz": float(mean_hz.mean()),
        "highest_rate_hz": float(highest_hz.max()),
        "silent_share": float((highest_hz == 0).mean()),
        "spikes_per_time_unit": float(mean_hz.sum() * network.time_unit_s),
    }


def _provenance(
    rate: RateNetwork, seed: int, population: Population, decoders: Decoders, diagnostics: Mapping[str, Any]
) -> dict[str, Any]:
    from ddm2snn import __version__

    return {
        "system": rate.provenance.get("system"),
        "seed": seed,
        "neurons_per_unit": population.neurons_per_unit,
        "max_rates_hz": list(population.max_rates_hz),
        "tuned": population.tuned,
        "decoders": {"kind": type(decoders).__name__.lower(), **dataclasses.asdict(decoders)},
        "versions": {"ddm2snn": __version__, "numpy": np.__version__},
        "diagnostics": dict(diagnostics),
    }
