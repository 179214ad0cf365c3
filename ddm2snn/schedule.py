"""Checked runs and drives of spiking networks, in the steps and numbers that every adapter shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Backend, Network, Record, refuse_unless_spiking
from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.version import package_version
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork, to_internal, to_system
from ddm2snn.recording import Recording, Spikes
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class DecodedFactor:
    """The part of the diffusion factor that spikes decode, its rows one after the other: entry = row * rank + column.

    Parameters
    ----------
    decoders
        Shape (entry, neuron), internal units per Hz.
    filter_s, decay
        Time constant of the exponential filter, and what remains after one step.
    start
        Filtered entries at the start, those of steady rates at the initial latents, shape (trial, entry).
    """

    decoders: Float[np.ndarray, "entry neuron"]
    filter_s: float
    decay: float
    start: Float[np.ndarray, "trial entry"]


@dataclass(frozen=True)
class Schedule:
    """A checked run of a spiking network in numbers that every adapter shares, internal units throughout."""

    network: SpikingNetwork
    dt_s: float
    steps: int
    stride: int
    trials: int
    seed: int
    stimulus: Stimulus
    initial_latent: Float[np.ndarray, "trial rank"]
    record: Record

    @cached_property
    def decay(self) -> float:
        """exp(-dt/T): what remains of a latent after one step."""
        return float(np.exp(-self.dt_s / self.network.time_unit_s))

    @cached_property
    def noise_factor(self) -> Float[np.ndarray, "rank rank"]:
        """Factor of the Gaussian increment of one step: G sqrt((1 - decay^2) / 2), exact for the linear leak."""
        return self.network.diffusion_factor * self.noise_scale

    @property
    def noise_scale(self) -> float:
        """Standard deviation of the increment of one step where G is one."""
        return float(np.sqrt((1.0 - self.decay**2) / 2.0))

    @cached_property
    def factor(self) -> DecodedFactor | None:
        """What the spikes add to the diffusion factor; None where it is constant."""
        snn = self.network
        if snn.diffusion_decoders is None or snn.diffusion_filter_s is None:
            return None
        start = snn.internal_factor(self.initial_latent) - snn.diffusion_factor
        return DecodedFactor(
            decoders=snn.diffusion_decoders.reshape(-1, snn.neurons),
            filter_s=snn.diffusion_filter_s,
            decay=float(np.exp(-self.dt_s / snn.diffusion_filter_s)),
            start=start.reshape(self.trials, -1),
        )

    @cached_property
    def initial_voltage(self) -> Float[np.ndarray, "trial neuron"]:
        """Membrane voltages at the start, uniform between reset and threshold."""
        return stream(self.seed, "run", "voltage").random((self.trials, self.network.neurons))

    @property
    def samples(self) -> int:
        """Number of recorded samples."""
        return -(-self.steps // self.stride)

    def inputs(self) -> Float[np.ndarray, "step rank"]:
        """Latent input u at the start of each step."""
        times = np.arange(self.steps) * (self.dt_s / self.network.time_unit_s)
        return self.stimulus.at(times, self.network.input_map.shape[1]) @ self.network.input_map.T

    def recording(
        self,
        latent: Float[np.ndarray, "trial time rank"],
        spikes: Spikes | None,
        *,
        backend: str,
        versions: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
    ) -> Recording:
        """Turn internal latents into a Recording in system units, with its provenance."""
        if latent.dtype == np.float64 and latent.flags.writeable:  # the backend's own: no second array of its size
            latent *= self.network.latent_scale
            latent += self.network.latent_offset
        else:
            latent = to_system(self.network, latent)
        latent.setflags(write=False)
        return Recording.from_arrays(
            latent,
            every=self.record.every,
            time_unit_s=self.network.time_unit_s,
            spikes=None if spikes is None else self.record.kept(spikes, self.network.time_unit_s),
            provenance=run_provenance(
                self.network,
                backend,
                self.seed,
                self.dt_s,
                self.network.time_unit_s,
                self.stimulus,
                versions,
                options,
            ),
        )


def run_provenance(
    network: Network,
    backend: str,
    seed: int,
    dt_s: float,
    time_unit_s: float,
    stimulus: Stimulus,
    versions: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Where a recording came from, without anything that differs between two equal runs."""
    return {
        "backend": backend,
        "options": dict(options or {}),
        "versions": {"ddm2snn": package_version(), **versions},
        "network": network.fingerprint,
        "network_type": type(network).__name__,
        "stimulus": None if stimulus.empty else stimulus.fingerprint,
        "seed": seed,
        "dt_s": dt_s,
        "time_unit_s": time_unit_s,
        "device": "cpu",
    }


def check_run(
    network: Network,
    *,
    duration: float,
    trials: int,
    seed: int,
    initial_latent: Float[np.ndarray, "trial rank"] | None,
) -> Float[np.ndarray, "trial rank"]:
    """Check what every `run` is given and return the initial latents in internal units.

    Without `initial_latent`, trials start from states drawn from `network.initial_latent`.
    """
    check_positive("run", duration=duration)
    as_count("trials", trials)
    check_seed(seed)
    if initial_latent is None:
        pool = network.initial_latent
        initial_latent = pool[stream(seed, "run", "initial latent").integers(len(pool), size=trials)]
    initial = np.asarray(initial_latent, dtype=np.float64)
    if initial.shape != (trials, network.rank):
        raise InputError(f"initial_latent must have shape ({trials}, {network.rank}), got {initial.shape}.")
    if not np.isfinite(initial).all():
        raise InputError("initial_latent holds NaN or infinity; every entry must be finite.")
    return to_internal(network, initial)


def schedule(
    backend: Backend,
    network: Network,
    *,
    duration: float,
    trials: int,
    seed: int,
    dt_s: float | None,
    stimulus: Stimulus | None,
    initial_latent: Float[np.ndarray, "trial rank"] | None,
    record: Record | None,
) -> Schedule:
    """Check a run of a spiking network on `backend` and put it into steps.

    Raises
    ------
    InputError
        Where durations, trials, seed or states make no sense, or the sampling interval is no whole
        number of steps.
    UnsupportedError
        Where the backend declares a gap.
    """
    network = refuse_unless_spiking(backend, network, dt_s=dt_s, stimulus=stimulus)
    record = record or Record()
    record.check_neurons(network.neurons)
    step_s = network.dt_s if dt_s is None else dt_s
    check_positive("run", dt_s=step_s)
    initial = check_run(network, duration=duration, trials=trials, seed=seed, initial_latent=initial_latent)
    stride = whole_steps(record.every * network.time_unit_s, step_s, "the sampling interval `every`")
    return Schedule(
        network=network,
        dt_s=step_s,
        steps=max(1, round(duration * network.time_unit_s / step_s)),
        stride=stride,
        trials=int(trials),
        seed=int(seed),
        stimulus=stimulus or Stimulus(),
        initial_latent=initial,
        record=record,
    )


def whole_steps(interval_s: float, dt_s: float, what: str, unit: str = "s") -> int:
    """Number of steps in an interval that must be a whole multiple of the step."""
    steps = round(interval_s / dt_s)
    if steps < 1 or abs(steps * dt_s - interval_s) > 1e-6 * interval_s:
        better = interval_s / max(1, round(interval_s / dt_s))
        raise InputError(
            f"{what} lasts {interval_s:g} {unit}, which is no whole number of steps of dt_s = {dt_s:g}. "
            f"Use dt_s = {better:g} or another interval."
        )
    return steps


@dataclass(frozen=True)
class OpenLoop:
    """A checked open-loop drive of a spiking network, internal units throughout."""

    network: SpikingNetwork
    path: Float[np.ndarray, "time rank"]
    dt_s: float
    seed: int

    @property
    def decay(self) -> float:
        """exp(-dt/T): what remains of a filtered spike train after one step."""
        return float(np.exp(-self.dt_s / self.network.time_unit_s))

    @property
    def initial_voltage(self) -> Float[np.ndarray, " neuron"]:
        """Membrane voltages at the start, uniform between reset and threshold."""
        return stream(self.seed, "drive", "voltage").random(self.network.neurons)


def open_loop(
    backend: Backend,
    network: Network,
    latent_path: Float[np.ndarray, "time rank"],
    *,
    seed: int,
    dt_s: float | None,
) -> OpenLoop:
    """Check an open-loop drive of a spiking network on `backend`; raises as `schedule` does."""
    network = refuse_unless_spiking(backend, network, dt_s=dt_s, stimulus=None)
    step_s = network.dt_s if dt_s is None else dt_s
    check_positive("drive", dt_s=step_s)
    return OpenLoop(network, check_path(network, latent_path), step_s, check_seed(seed))


def check_path(network: Network, latent_path: Float[np.ndarray, "time rank"]) -> Float[np.ndarray, "time rank"]:
    """Check an open-loop path in system units and return it in internal units."""
    path = np.asarray(latent_path, dtype=np.float64)
    if path.ndim != 2 or path.shape[1] != network.rank or len(path) == 0:
        raise InputError(f"latent_path must have shape (time, {network.rank}), got {path.shape}.")
    if not np.isfinite(path).all():
        raise InputError("latent_path holds NaN or infinity; every entry must be finite.")
    return to_internal(network, path)


def blocks(steps: int, size: int) -> Sequence[range]:
    """Consecutive ranges of at most `size` steps that cover `steps`."""
    return [range(start, min(start + size, steps)) for start in range(0, steps, size)]
