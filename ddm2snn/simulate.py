"""The verb simulate: a network in, a recording out. The rate network and the target itself run here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import RATE, Backend, find_backend, refuse
from ddm2snn.base import package_version
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.progress import Progress, reported
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.threads import one_thread
from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.outputs import split_outputs, with_outputs
from ddm2snn.recording import Recording
from ddm2snn.schedule import (
    Network,
    OpenLoop,
    Run,
    Schedule,
    SpikeSelection,
    Trace,
    blocks,
    internal_path,
    step_count,
    whole_steps,
)
from ddm2snn.stimulus import Stimulus
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift

_LONGEST_STEP = 0.01  # of a rate network or a target SDE, in rate time units
_TIME_UNIT_S = 1.0  # a rate network has no clock: one rate time unit is taken as one second
_BLOCK = 512
_TRIALS, _DURATION = 16, 60.0
_BESIDE, _MOST_BESIDE = 0.1, 0.05  # of the calibrated range, and of the time, beyond which a run is elsewhere [choice]
_LOOKED_AT = 1000  # samples of a trial [cost]


def simulate(
    network: Network,
    *,
    backend: str | Backend | None = None,
    duration: float | None = None,
    trials: int | None = None,
    seed: int = 0,
    every: float = 0.02,
    dt_s: float | None = None,
    stimulus: Stimulus | None = None,
    initial_latent: Float[np.ndarray, "trial rank"] | None = None,
    spikes: bool | SpikeSelection = False,
    progress: Progress | bool = False,
) -> Recording:
    """Simulate independent trials of a network; a rate network by the stochastic Heun scheme.

    Parameters
    ----------
    network
        A RateNetwork or a SpikingNetwork.
    backend
        Simulator of a spiking network, or its name; by default the one that it was converted for.
    duration, every
        Length, by default that of the stimulus or 60, and sampling interval, in rate time units.
    trials, seed
        Number of trials, by default those of the stimulus or 16, and seed of initial states and noise.
    dt_s
        Time step in seconds, of a rate network in rate time units; by default the one that it was converted for.
    stimulus
        Input over time, the same in all trials or one for each, by the names of conditions where it has some.
    initial_latent
        Initial states in system units, shape (trial, rank); by default those of the stimulus, or some of the network's.
    spikes
        Whether to record the spikes, or which of them.
    progress
        Called with the finished share; True shows a bar.

    Returns
    -------
    Recording
        Latents of all trials in system units, with the spikes that were asked for.

    Raises
    ------
    InputError, UnsupportedError
        Where an argument makes no sense, and where the backend cannot run the network, in its words.

    Warns
    -----
    UserWarning
        Where spike timing or step are not those of the conversion, or inputs lead where no neuron was calibrated.

    Examples
    --------
    A network that does nothing but leak: its latent is exp(-t).

    >>> from ddm2snn import RateNetwork, simulate
    >>> one, none = [[1.0]], [[0.0]]
    >>> leak = RateNetwork(
    ...     left_vectors=one, right_vectors=none, bias=[0.0], diffusion_factor=none, input_map=one,
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=[[-1.0], [1.0]],
    ... )
    >>> simulate(leak, duration=3, every=1, trials=1, initial_latent=one).samples.ravel().round(3).tolist()
    [1.0, 0.368, 0.135]
    """
    _check_kinds(stimulus, spikes)
    given = stimulus or Stimulus()
    selection = (SpikeSelection() if spikes else None) if isinstance(spikes, bool) else spikes
    count = (given.trials or _TRIALS) if trials is None else trials
    length = (given.duration or _DURATION) if duration is None else duration
    start = given.starts if initial_latent is None else initial_latent
    run = Run(network, length, count, seed, dt_s, given, start, every, selection)
    if isinstance(network, RateNetwork):
        _refuse_simulator(network, backend)
        with reported(progress, "simulate on rate") as report:
            return _record_rate(run, network, report)
    adapter = _adapter_for(network, backend)
    refuse(adapter, network, dt_s=dt_s, stimulus=stimulus)
    asked = Schedule.of(run)
    schedule = with_outputs(asked)
    _warn_of_mismatch(schedule, adapter)
    with one_thread(solving=False), reported(progress, f"simulate on {adapter.name}") as report:
        trace = adapter.run(schedule, report)
    _check(trace, schedule, adapter.name)
    latent, output = split_outputs(_in_system_units(trace.latent, schedule.network), network, schedule, asked)
    outside = None if given.empty else _outside(network, latent)
    return _recording(run, trace, adapter.name, latent, output, schedule.dt_s, network.time_unit_s, outside)


def drive(
    network: Network,
    latent_path: Float[np.ndarray, "time rank"],
    *,
    backend: str | Backend | None = None,
    seed: int = 0,
    dt_s: float | None = None,
) -> Iterator[Float[np.ndarray, "time neuron"]]:
    """Open loop: hold the latents at z(t) and stream what the neurons fire, in blocks of consecutive steps.

    Parameters
    ----------
    network, backend, seed, dt_s
        As in `simulate`.
    latent_path
        Latents in system units, one row for each step.

    Returns
    -------
    Iterator
        Blocks of spikes in Hz, filtered with the time constant of the latents, one row for each step. Of a rate network
        the outputs of its units take the place of the spikes.

    Raises
    ------
    InputError, UnsupportedError
        As `simulate`, at the call and not at the first block.

    Examples
    --------
    >>> from ddm2snn import RateNetwork
    >>> one, none = [[1.0]], [[0.0]]
    >>> unit = RateNetwork(
    ...     left_vectors=one, right_vectors=none, bias=[0.0], diffusion_factor=none, input_map=one,
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=one,
    ... )
    >>> (block,) = drive(unit, [[1.0]] * 500)  # five time units at z = 1
    >>> block.shape, bool(abs(block[-1, 0] - np.tanh(1)) < 0.01)
    ((500, 1), True)
    """
    if isinstance(network, RateNetwork):
        _refuse_simulator(network, backend)
        check_seed(seed)
        step = _LONGEST_STEP if dt_s is None else dt_s
        check_positive("drive", dt_s=step)
        return _drive_rate(network, internal_path(network, latent_path), step)
    adapter = _adapter_for(network, backend)
    loop = OpenLoop.of(network, latent_path, seed=seed, dt_s=dt_s)
    refuse(adapter, network, dt_s=dt_s)
    return adapter.drive(loop)


def _check_kinds(stimulus: object, spikes: object) -> None:
    """Refuse what is neither a stimulus nor a selection of spikes."""
    for name, value, kind in (("stimulus", stimulus, Stimulus), ("spikes", spikes, SpikeSelection)):
        if not (isinstance(value, kind | None) or (name == "spikes" and isinstance(value, bool))):
            raise InputError(
                f"simulate needs a {kind.__name__} as {name}, got a {type(value).__name__}. Make one of it."
            )


def _record_rate(run: Run, rate: RateNetwork, progress: Progress) -> Recording:
    """Integrate dz = (-z + W_s phi(Gamma z + b) + u) dt + G dw, in internal units."""
    every = run.every
    if run.dt_s is None:
        stride = sampling_stride(every, rate.in_rate_time.drift, rate.initial_latent)
        step = every / stride
    else:
        step = run.dt_s
        stride = whole_steps(every, step, "the sampling interval `every`", "rate time units")
    steps = step_count(run.duration, step)
    forcing, noise = None, rate.diffusion_factor if rate.diffusion_readout is None else rate.internal_factor
    if not run.stimulus.empty:
        forcing = run.stimulus.of_each(np.arange(steps) * step, rate.input_map).__getitem__
    with one_thread(solving=False):
        latent = integrate(
            lambda z: rate.internal_readout(z) - z, noise, run.initial_states(), dt=step, steps=steps,
            stride=stride, rng=stream(run.seed, "rate", "noise"), forcing=forcing, progress=progress,
        )  # fmt: skip
    trace, latent = Trace(latent, versions={"numpy": np.__version__}), _in_system_units(latent, rate)
    output = rate.output(latent) if rate.outputs else None
    return _recording(run, trace, RATE, latent, output, step, _TIME_UNIT_S)


def _drive_rate(
    rate: RateNetwork, path: Float[np.ndarray, "step rank"], step: float
) -> Iterator[Float[np.ndarray, "time unit"]]:
    """Outputs phi(Gamma z + b) along internal latents, filtered with the leak."""
    decay, filtered = np.exp(-step / _TIME_UNIT_S), np.zeros(rate.units)
    for block in blocks(len(path), _BLOCK):
        outputs = rate.hidden(path[block.start : block.stop])
        for row, output in enumerate(outputs):
            filtered = decay * filtered + (1 - decay) * output
            outputs[row] = filtered
        yield outputs


def sampling_stride(every: float, drift: Drift, points: Float[np.ndarray, "sample rank"]) -> int:
    """Steps between two samples: as few as keep the step stable and within the limit."""
    return max(1, int(np.ceil(every / min(_LONGEST_STEP, stable_step(drift, points)) - 1e-9)))


def _adapter_for(network: SpikingNetwork, backend: str | Backend | None) -> Backend:
    chosen = network.backend if backend is None else backend
    if chosen == RATE:
        raise UnsupportedError(
            "Backend rate cannot run this network. SpikingNetwork: this backend runs a RateNetwork. "
            'Use backend="brian2" or backend="nengo".'
        )
    if isinstance(chosen, str):
        return find_backend(chosen)
    if isinstance(chosen, type) or not hasattr(chosen, "unsupported"):
        raise InputError(
            f"A backend is a name such as 'brian2' or an object with the methods of Backend, got {chosen!r}."
        )
    return chosen


def _refuse_simulator(rate: RateNetwork, backend: str | Backend | None) -> None:
    """Refuse every backend of a rate network but its own."""
    if backend is not None and backend != RATE:
        refuse(find_backend(backend) if isinstance(backend, str) else backend, rate)


def _warn_of_mismatch(schedule: Schedule, backend: Backend) -> None:
    """Warn of spike timing or a step that the decoders were not solved for; called by `simulate` itself."""
    network, dt_s = schedule.network, schedule.dt_s
    if network.neuron.timing_on(backend.spike_timing) != network.spike_timing:
        warnings.warn(
            f"The decoders were solved for {network.backend}, which times spikes by {network.spike_timing}; "
            f"{backend.name} times them by {backend.spike_timing}. Rates will be biased: convert for {backend.name}.",
            stacklevel=3,
        )
    if dt_s != network.dt_s:
        warnings.warn(
            f"The decoders were solved for dt_s = {network.dt_s:g}, not {dt_s:g}. "
            f"Rates and lag will be biased: convert with dt_s = {dt_s:g}.",
            stacklevel=3,
        )


def _outside(network: SpikingNetwork, latent: Float[np.ndarray, "trial time rank"]) -> float | None:
    """Share of time beside the states that the neurons were converted for; warns where it is large, for `simulate`."""
    covered = network.origin.covered
    if covered is None:
        return None
    low, high = np.asarray(covered)
    latent = latent[:, :: max(1, latent.shape[1] // _LOOKED_AT)]
    beside = (latent < low - _BESIDE * (high - low)) | (latent > high + _BESIDE * (high - low))
    share = float(beside.any(axis=-1).mean())
    if share > _MOST_BESIDE:
        worst = int(beside.mean(axis=(0, 1)).argmax())
        warnings.warn(
            f"For {100 * share:.2g} % of its time this run is where no neuron was calibrated: latent {worst} goes from "
            f"{latent[..., worst].min():.3g} to {latent[..., worst].max():.3g}, and was calibrated from "
            f"{low[worst]:.3g} to {high[worst]:.3g}. Convert with the stimulus of the trials: "
            "Calibrated(stimulus=...), or train with the System's domain.",
            stacklevel=3,
        )
    return share


def _check(trace: Trace, schedule: Schedule, backend: str) -> None:
    """Refuse what does not answer the schedule, before it becomes a recording."""
    expected = (schedule.trials, schedule.samples, schedule.network.rank)
    if trace.latent.shape != expected:
        raise InputError(f"Backend {backend} returned latents of shape {trace.latent.shape}; {expected} was due.")
    if schedule.spikes is None:
        return
    if trace.spikes is None:
        raise InputError(f"Backend {backend} returned no spikes, which schedule.spikes asks for.")
    if not trace.spikes.in_order:
        raise InputError(f"Backend {backend} returned spikes out of order. Make them with Spikes.sorted.")


def _in_system_units(latent: Float[np.ndarray, "trial time rank"], network: Network) -> np.ndarray:
    """Latents in system units, in place: no second array of this size."""
    if latent.dtype != np.float64 or not latent.flags.writeable:
        latent = np.array(latent, dtype=np.float64)
    latent *= network.latent_scale
    latent += network.latent_offset
    return latent


def _recording(
    run: Run,
    trace: Trace,
    backend: str,
    latent: Float[np.ndarray, "trial time rank"],
    output: Float[np.ndarray, "trial time output"] | None,
    dt_s: float,
    time_unit_s: float,
    outside: float | None = None,
) -> Recording:
    """Put a recording together, with all that two equal runs have in common as provenance."""
    network = run.network
    latent.setflags(write=False)
    return Recording.from_arrays(
        latent,
        output=output,
        every=run.every,
        time_unit_s=time_unit_s,
        time_scale=network.time_scale,
        spikes=None if run.spikes is None or trace.spikes is None else run.spikes.of(trace.spikes, time_unit_s),
        provenance={
            "backend": backend,
            "options": dict(trace.options),
            "versions": {"ddm2snn": package_version(), **trace.versions},
            "network": network.fingerprint,
            "network_type": type(network).__name__,
            "stimulus": None if run.stimulus.empty else run.stimulus.fingerprint,
            **({"conditions": list(run.stimulus.conditions)} if run.stimulus.conditions else {}),
            **({} if outside is None else {"outside_calibrated": outside}),
            **({"latent_names": list(network.origin.latent_names)} if network.origin.latent_names else {}),
            "seed": int(run.seed),
            "dt_s": dt_s,
            "time_unit_s": time_unit_s,
            "device": trace.options.get("device", "cpu"),
        },
    )
