"""The verb simulate: a network in, a recording out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Backend, Network, Record, find_backend, refuse
from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording
from ddm2snn.stimulus import Stimulus
from ddm2snn.systems.integration import integrate, stable_step
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float

_LONGEST_STEP = 0.01  # of a target SDE, in rate time units


def simulate(
    network: Network,
    *,
    backend: str | Backend | None = None,
    duration: float = 60.0,
    trials: int = 16,
    seed: int = 0,
    every: float = 0.02,
    dt_s: float | None = None,
    stimulus: Stimulus | None = None,
    initial_latent: Float[np.ndarray, "trial rank"] | None = None,
    spikes: bool = False,
    spike_window: tuple[float, float] | None = None,
    spike_neurons: Sequence[int] | None = None,
    progress: Progress = no_progress,
) -> Recording:
    """Simulate independent trials of a network.

    Parameters
    ----------
    network
        A RateNetwork or a SpikingNetwork.
    backend
        Backend or its name; by default the rate model for a rate network, and for a spiking network the
        backend that it was converted for.
    duration, every
        Length and sampling interval in rate time units.
    trials
        Number of trials.
    seed
        Seed of initial states and noise.
    dt_s
        Time step in seconds; by default the one that the network was converted for.
    stimulus
        Input over time.
    initial_latent
        Initial states in system units, shape (trial, rank); by default drawn from the stationary states
        that the network carries.
    spikes
        Whether to keep the spikes.
    spike_window, spike_neurons
        Which spikes to keep: first and last moment in rate time units, and neurons; all by default.
    progress
        Called with the finished share.

    Warns
    -----
    UserWarning
        Where spike timing or step differ from those the decoders were solved for.
    """
    if not isinstance(network, RateNetwork | SpikingNetwork):
        raise InputError(
            f"simulate needs a RateNetwork or a SpikingNetwork, got {type(network).__name__}. "
            "Load files with ddm2snn.load."
        )
    if spikes and isinstance(network, RateNetwork):
        raise InputError("A rate network has no spikes to record. Convert it first, or leave spikes out.")
    if backend is None:
        backend = "rate" if isinstance(network, RateNetwork) else network.backend
    chosen = find_backend(backend) if isinstance(backend, str) else backend
    if dt_s is not None:
        check_positive("run", dt_s=dt_s)
    refuse(chosen, network, dt_s=dt_s, stimulus=stimulus)
    if isinstance(network, SpikingNetwork):
        _warn_of_mismatch(network, chosen, dt_s)
    return chosen.run(
        network,
        duration=duration,
        trials=trials,
        seed=seed,
        dt_s=dt_s,
        stimulus=stimulus,
        initial_latent=initial_latent,
        record=Record(every, spikes, spike_window, spike_neurons),
        progress=progress,
    )


def record_system(
    system: System,
    starts: Float[np.ndarray, "sample rank"],
    *,
    duration: float,
    every: float,
    trials: int,
    seed: int,
    progress: Progress = no_progress,
) -> Recording:
    """Integrate the SDE itself, sampled as a network would be; a rate time unit is taken as one second.

    Parameters
    ----------
    system
        Target SDE.
    starts
        Stationary states from which initial ones are drawn.
    duration, every
        Length and sampling interval in rate time units.
    trials
        Independent trials.
    seed
        Of initial states and noise.
    progress
        Called with the finished share.
    """
    check_positive("record_system", duration=duration, every=every)
    trials = as_count("trials", trials)
    rng = stream(seed, "target", system.name)
    initial = starts[rng.integers(len(starts), size=trials)]
    longest = min(_LONGEST_STEP, stable_step(system.checked_drift, starts))
    stride = int(np.ceil(every / longest - 1e-9))
    step = every / stride
    latent = integrate(
        system.checked_drift, system.noise, initial, dt=step, steps=max(1, round(duration / step)), stride=stride,
        rng=rng, progress=progress,
    )  # fmt: skip
    provenance = {"backend": "target SDE", "system": system.name, "seed": seed, "step": step, "numpy": np.__version__}
    return Recording.from_arrays(latent, every=every, time_unit_s=1.0, provenance=provenance)


def _warn_of_mismatch(network: SpikingNetwork, backend: Backend, dt_s: float | None) -> None:
    if backend.name != "rate" and network.neuron.timing_on(backend.spike_timing) != network.spike_timing:
        warnings.warn(
            f"The decoders were solved for {network.backend}, which times spikes by {network.spike_timing}; "
            f"{backend.name} times them by {backend.spike_timing}. Rates will be biased: convert for {backend.name}.",
            stacklevel=3,
        )
    if dt_s is not None and dt_s != network.dt_s:
        warnings.warn(
            f"The decoders were solved for dt_s = {network.dt_s:g}, not {dt_s:g}. "
            f"Rates and lag will be biased: convert with dt_s = {dt_s:g}.",
            stacklevel=3,
        )
