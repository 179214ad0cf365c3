"""`convert`: a rate network in, a spiking network and what was learned about it out."""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Backend, DeviceBackend, find_backend
from ddm2snn.base import package_version
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.progress import Progress, reported
from ddm2snn.base.randomness import check_seed
from ddm2snn.base.threads import one_thread
from ddm2snn.conversion.clock import Clock, natural_time_unit_s, stretch, whole_hundredths
from ddm2snn.conversion.decoders import Calibrated, Decoders, Problem, Solution, find_decoders
from ddm2snn.conversion.diagnostics import Diagnostics, audit
from ddm2snn.conversion.lost_runs import lost_runs
from ddm2snn.conversion.noise_budget import NoiseBudget, measure_lag
from ddm2snn.conversion.outputs import output_decoders
from ddm2snn.conversion.population import Population
from ddm2snn.conversion.trajectories import comes_to_rest, latents_of
from ddm2snn.errors import InputError, MissedWarning
from ddm2snn.hardware import HardwareConfig, find_hardware
from ddm2snn.hardware.device import device_for, longest_decay_s
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal, to_system

if TYPE_CHECKING:
    from jaxtyping import Float

_LARGEST_ERROR = 0.1  # of the drift, relative, in a latent; beyond it the dynamics are another's [choice]


@dataclass(frozen=True)
class Conversion:
    """A spiking network and what its conversion learned about itself.

    Parameters
    ----------
    network
        The spiking network.
    diagnostics
        What was learned; the network carries it in its provenance too.

    Examples
    --------
    >>> from ddm2snn import Static, Training, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> conversion = convert(rate, population=Population(2, tuned=False), decoders=Static(), time_unit_s=0.1)
    >>> conversion.network.neurons, conversion.diagnostics.rank_audit.rank
    (16, 2)
    >>> Diagnostics.of(conversion.network) == conversion.diagnostics
    True
    """

    network: SpikingNetwork
    diagnostics: Diagnostics

    _repr_html_ = fields_table


def convert(
    rate: RateNetwork,
    *,
    population: Population | float | None = None,
    decoders: Decoders | str | None = None,
    backend: str | Backend | None = None,
    hardware: str | HardwareConfig | None = None,
    time_unit_s: float | None = None,
    dt_s: float = 1e-3,
    seed: int = 0,
    progress: Progress | bool = False,
) -> Conversion:
    """Convert a rate network into spiking neurons that keep its low-rank factors.

    Parameters
    ----------
    rate
        The trained network.
    population
        Neurons per unit, their rates and their model, or their number alone; none with `Direct`.
    decoders
        How decoders are found, or a name in `ddm2snn.conversion.decoders.DECODERS`; calibrated by default.
    backend
        Simulator, or its name, whose spike timing the decoders are solved for: "brian2", or what runs `hardware`.
    hardware
        A device, the name of one or the path of its configuration, to have in the loop of calibrated decoders: the
        neurons are driven in its arithmetic, its decode neurons and their delay included.
    time_unit_s
        Seconds per rate time unit, which is the synaptic time constant. By default it is natural to the motion, or up
        to four times that where a pilot's spikes are loud, in hundreds of time steps unless `hardware` allows less.
    dt_s, seed
        Time step in seconds, and seed of everything random here, that of the neurons too, whatever the backend.
    progress
        Called with the finished share; True shows a bar.

    Returns
    -------
    Conversion
        The spiking network, and what was learned about it.

    Raises
    ------
    InputError
        Where a setting makes no sense, and where the decoders cannot convert this network.

    Warns
    -----
    MissedWarning
        Where drift or noise is far off, or runs from far outside do not come back; also in ``provenance``.

    Examples
    --------
    >>> from ddm2snn import Static, Training, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> conversion = convert(rate, decoders=Static(), time_unit_s=0.1)
    >>> conversion.network.neurons, conversion.diagnostics.rank_audit.rank
    (32, 2)
    """
    check_seed(seed)
    check_positive("convert", dt_s=dt_s, **({} if time_unit_s is None else {"time_unit_s": time_unit_s}))
    check_convertible(rate)
    decoders, population = _checked_decoders(decoders), _checked_population(population)
    config = find_hardware(hardware) if isinstance(hardware, str) else hardware
    population = decoders.check(rate, population, in_loop=config is not None)  # None becomes a default
    simulator = _simulator(backend, config)
    timing = population.neuron.timing_on(simulator.spike_timing)
    population.neuron.check_step(dt_s, timing)
    with one_thread(), reported(progress, "convert") as report:
        visited = decoders.visited(rate, seed)
        states = latents_of(visited)
        longest_s = np.inf if config is None else longest_decay_s(config, dt_s)
        first_s = time_unit_s or whole_hundredths(
            natural_time_unit_s(rate, states, population.neurons_per_unit), dt_s, longest_s
        )
        clock = Clock(first_s, dt_s, timing, rise_s=0.0 if config is not None else decoders.rise(rate, states, first_s))
        ensemble, tuning = decoders.place(rate, population, clock, states, seed)
        problem, lengthened = _timed(Problem(rate, ensemble, visited, seed), clock, config), None
        if time_unit_s is None and (pilot := decoders.pilot(problem, report)) is not None:
            problem, lengthened = _lengthened(problem, decoders, pilot, longest_s, config)
        solution = decoders.solve(problem, report)
        network = assemble(problem, solution, simulator.name)
        learned = {"time_unit": lengthened, "tuning": tuning or None, **solution.diagnostics}
        diagnostics = Diagnostics.model_validate({**_measured(network, problem), **learned})
        lost = lost_runs(replace(network, hardware=config), rate, states, seed)
    per_unit = None if decoders.name == "direct" else network.neurons / rate.units
    missed = _missed(diagnostics, network.time_unit_s, longest_s, per_unit, lost) + _at_rest(problem)
    provenance = _provenance(problem, population, decoders, diagnostics) | ({"missed": missed} if missed else {})
    for sentence in missed:
        warnings.warn(sentence, MissedWarning, stacklevel=2)
    return Conversion(replace(network, provenance=provenance, hardware=config), diagnostics)


def _missed(
    diagnostics: Diagnostics, time_unit_s: float, longest_s: float, neurons_per_unit: float | None, lost: str
) -> list[str]:
    """Sentences on what makes a conversion unfit for use, with what helps."""
    missed, error = [], diagnostics.drift_error
    if max(error) > _LARGEST_ERROR:
        missed.append(
            f"The drift error of latent {int(np.argmax(error))} is {max(error):.2g} after conversion. More neurons per "
            f"unit, or another time unit than time_unit_s = {time_unit_s:g}, may help."
        )
    ratio = None if diagnostics.noise is None else diagnostics.noise.spikes_over_target
    if ratio is not None and ratio > 1:
        missed.append(noisy_spikes(ratio, time_unit_s, longest_s, neurons_per_unit))
    return [*missed, lost] if lost else missed


def _at_rest(problem: Problem) -> list[str]:
    """A sentence on an imported network with inputs that was converted around its resting state; none of another."""
    rate, alone = problem.rate, isinstance(problem.visited, np.ndarray)
    if not (alone and rate.origin.imported and rate.input_map.any() and comes_to_rest(rate, problem.seed)):
        return []
    return [
        "Without noise and input this network comes to rest in one state, and its neurons were calibrated around it. "
        "Give the stimulus of its trials, or the range of its inputs: Calibrated(stimulus=...)."
    ]


def noisy_spikes(ratio: float, time_unit_s: float, longest_s: float, neurons_per_unit: float | None) -> str:
    """Say that spikes are noisier than the rate network, with remedies; no time unit is longer than `longest_s`."""
    longer_s, more = math.ceil(ratio) * time_unit_s, math.ceil(ratio * (neurons_per_unit or 0.0))
    remedies = [] if neurons_per_unit is None else [f"about neurons_per_unit = {more}"]
    if longer_s <= longest_s:
        remedies.append(f"time_unit_s = {longer_s:g}")
    no_room = "the device has no room for the time unit that it takes"
    remedy = f"{' or '.join(remedies)} would meet it" if remedies else no_room
    return f"In one direction the spikes are {ratio:.3g} times as noisy as the rate network; {remedy}."


def _lengthened(
    problem: Problem, decoders: Decoders, pilot: NoiseBudget, longest_s: float, config: HardwareConfig | None
) -> tuple[Problem, dict[str, Any] | None]:
    """The problem in a longer time unit, and why; unchanged and None if a pilot's noise is quiet enough."""
    clock = replace(problem.ensemble.clock, rounded_decay=None)
    longer_s = whole_hundredths(clock.time_unit_s * stretch(pilot), clock.dt_s, longest_s)
    if longer_s <= clock.time_unit_s:
        return problem, None
    reason = {"first_s": clock.time_unit_s, "spikes_over_target": pilot.spike_noise_ratio}
    rise_s = decoders.rise(problem.rate, problem.states, longer_s) if clock.rise_s else 0.0
    return _timed(problem, replace(clock, time_unit_s=longer_s, rise_s=rise_s), config), reason


def assemble(problem: Problem, solution: Solution, backend: str) -> SpikingNetwork:
    """Put neurons and decoders together with what the rate network hands down unchanged."""
    rate, ensemble, factor = problem.rate, problem.ensemble, solution.factor
    outputs, linear, filter_s = output_decoders(problem) if rate.outputs else (None, None, None)
    network = SpikingNetwork(
        encoders=ensemble.encoders,
        bias=ensemble.bias,
        decoders=solution.decoders,
        unit=ensemble.unit,
        rate_left_vectors=rate.left_vectors,
        diffusion_factor=solution.diffusion_factor,
        input_map=rate.input_map,
        latent_offset=rate.latent_offset,
        latent_scale=rate.latent_scale,
        time_scale=rate.time_scale,
        initial_latent=rate.initial_latent,
        neuron=ensemble.neuron,
        time_unit_s=float(ensemble.clock.time_unit_s),
        dt_s=float(ensemble.clock.dt_s),
        spike_timing=ensemble.clock.spike_timing,
        backend=backend,
        rate_fingerprint=rate.fingerprint,
        diffusion_decoders=None if factor is None else factor.decoders,
        diffusion_filter_s=None if factor is None else factor.filter_s,
        rise_s=float(ensemble.clock.rise_s),
        noise_colour=solution.noise_colour,
        output_decoders=outputs,
        output_map=linear,
        output_bias=rate.output_bias,
        output_filter_s=filter_s,
    )
    return network if solution.constant is None else with_constant(network, solution.constant)


def with_constant(network: SpikingNetwork, constant: Float[np.ndarray, " rank"]) -> SpikingNetwork:
    r"""Add a constant c to what the spikes decode, without a spike.

    With :math:`z = z' + c` the equation :math:`T\dot z = -z + D s + c + \dots` becomes
    :math:`T\dot z' = -z' + D s + \dots`: biases grow by E c, and the origin of the latents moves by c.
    """
    return replace(
        network,
        bias=network.bias + network.encoders @ constant,
        latent_offset=network.latent_offset + network.latent_scale * constant,
    )


def check_convertible(rate: object) -> None:
    """Refuse what is no rate network."""
    if not isinstance(rate, RateNetwork):
        name = type(rate).__name__
        raise InputError(f"Conversion needs a RateNetwork, got a {name}. Read a file with ddm2snn.load.")


def _checked_population(population: Population | float | None) -> Population | None:
    """A population as given, or of so many neurons per unit."""
    if isinstance(population, float | int) and not isinstance(population, bool):
        return Population(population)
    if population is not None and not isinstance(population, Population):
        raise InputError(f"convert needs a Population as population, got a {type(population).__name__}.")
    return population


def _checked_decoders(decoders: Decoders | str | None) -> Decoders:
    """Decoders as given, by name or by default."""
    if decoders is None:
        return Calibrated()
    if isinstance(decoders, str):
        return find_decoders(decoders)
    if isinstance(decoders, type) or not isinstance(decoders, Decoders):
        what = (
            f"the class {decoders.__name__}: call it" if isinstance(decoders, type) else f"a {type(decoders).__name__}"
        )
        raise InputError(f"convert needs decoders such as Calibrated() or the name of some, got {what}.")
    return decoders


def _simulator(backend: str | Backend | None, config: HardwareConfig | None) -> Backend:
    """Simulator to convert for; refused where it does not run the device."""
    if config is None:
        return find_backend(backend or "brian2") if backend is None or isinstance(backend, str) else backend
    asked = config.target if backend is None else backend
    simulator = find_backend(asked) if isinstance(asked, str) else asked
    if not isinstance(simulator, DeviceBackend):
        raise InputError(
            f"Backend {simulator.name} does not run {config.name}. Leave backend out, or choose {config.target}."
        )
    return find_backend(asked, hardware=config) if isinstance(asked, str) else simulator


def _timed(problem: Problem, clock: Clock, config: HardwareConfig | None) -> Problem:
    """The problem in other time scales, on the device where there is one."""
    device = None
    if config is not None:
        device = device_for(
            config, to_internal(problem.rate, problem.rate.initial_latent), clock.time_unit_s, clock.dt_s
        )
        clock = replace(clock, rounded_decay=device.decay)
    return replace(problem, ensemble=problem.ensemble.timed(clock, device))


def _measured(network: SpikingNetwork, problem: Problem) -> dict[str, Any]:
    """Connectivity, rates of the neurons on the stationary states and, without a device, the residual lag."""
    rate, ensemble, states = problem.rate, problem.ensemble, problem.states
    mean_hz, highest_hz = np.empty(network.neurons), np.empty(network.neurons)
    for part, some in ensemble.parts(len(states)):
        rates_hz = some.rates_hz(states)
        mean_hz[part], highest_hz[part] = rates_hz.mean(axis=0), rates_hz.max(axis=0)
    measured = {
        "rank_audit": audit(network),
        "rate_singular_values": rate.recurrent.singular_values().tolist(),
        "mean_rate_hz": float(mean_hz.mean()),
        "highest_rate_hz": float(highest_hz.max()),
        "silent_share": float((highest_hz == 0).mean()),
        "spikes_per_time_unit": float(mean_hz.sum() * network.time_unit_s),
    }
    if ensemble.device is None:  # never reported on a device, though `driven` takes its decode neurons along
        lag_s, error_s = measure_lag(rate, ensemble, network.decoders, problem.visited, problem.rng("lag"))
        measured["lag"] = {"lag_s": lag_s.tolist(), "standard_error_s": error_s.tolist()}
    return measured


def _provenance(
    problem: Problem, population: Population, decoders: Decoders, diagnostics: Diagnostics
) -> dict[str, Any]:
    fields = dataclasses.fields(decoders) if dataclasses.is_dataclass(decoders) else ()
    settings = {field.name: getattr(decoders, field.name) for field in fields}
    if (stimulus := settings.pop("stimulus", None)) is not None:
        settings["stimulus"] = stimulus.fingerprint
    return {
        "system": problem.rate.origin.system,
        "latent_names": list(problem.rate.origin.latent_names),
        "seed": problem.seed,
        "neurons_per_unit": population.neurons_per_unit,
        "max_rates_hz": list(population.max_rates_hz),
        "tuned": population.tuned,
        "decoders": {"kind": decoders.name, **settings},
        "versions": {"ddm2snn": package_version(), "numpy": np.__version__},
        "diagnostics": diagnostics.as_json(),
        "covered": [end(to_system(problem.rate, problem.states), axis=0).tolist() for end in (np.min, np.max)],
    }
