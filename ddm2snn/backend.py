"""The contract between networks and the simulators that run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.frozen import as_count, check_positive
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal, to_system
from ddm2snn.neuron import SpikeTiming
from ddm2snn.randomness import check_seed, stream
from ddm2snn.recording import Recording, Spikes
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Float

Network = RateNetwork | SpikingNetwork
Progress = Callable[[float], None]
"""Called with the finished share of a run, from 0 to 1."""
Consume = Callable[["Float[np.ndarray, 'time neuron']"], None]
"""Called with consecutive blocks of filtered spikes in Hz."""
GROUP = "ddm2snn.backends"


def no_progress(share: float) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Unsupported:
    """A feature that a backend lacks, why, and what to do about it."""

    feature: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.feature}: {self.reason}. {self.remedy}."


@dataclass(frozen=True)
class Record:
    """What to keep of a run.

    Parameters
    ----------
    every
        Sampling interval of the latents in rate time units.
    spikes
        Whether to keep the spikes as well.
    spike_window
        First and last moment of the spikes that are kept, in rate time units; all by default.
    spike_neurons
        Neurons whose spikes are kept; all by default.
    """

    every: float = 0.02
    spikes: bool = False
    spike_window: tuple[float, float] | None = None
    spike_neurons: Sequence[int] | None = None

    def __post_init__(self) -> None:
        check_positive("Record", every=self.every)
        window = self.spike_window
        if window is not None and not (len(window) == 2 and 0 <= window[0] < window[1]):
            raise InputError(f"Record.spike_window must be (first, last) with 0 <= first < last, got {window}.")
        if not self.spikes and (window is not None or self.spike_neurons is not None):
            raise InputError("Record says which spikes to keep, but not to keep spikes. Set spikes=True.")

    def check_neurons(self, neurons: int) -> None:
        """Refuse neurons that a network of so many has not."""
        asked = np.asarray(() if self.spike_neurons is None else self.spike_neurons)
        if self.spike_neurons is not None and (asked.ndim != 1 or not asked.size or asked.dtype.kind not in "iu"):
            raise InputError(f"Record.spike_neurons must be a list of neurons, got {self.spike_neurons!r}.")
        if asked.size and not (asked.min() >= 0 and asked.max() < neurons):
            raise InputError(
                f"Record.spike_neurons asks for neurons {asked.min()} to {asked.max()}; the network has 0 to "
                f"{neurons - 1}."
            )

    def kept(self, spikes: Spikes, time_unit_s: float) -> Spikes:
        """The spikes that are asked for, both ends of the window included."""
        if self.spike_window is None and self.spike_neurons is None:
            return spikes
        keep = np.ones(len(spikes.time_s), dtype=bool)
        if self.spike_window is not None:
            first, last = self.spike_window
            slack = 1e-9 * last  # times are sums of steps
            keep &= (spikes.time_s >= (first - slack) * time_unit_s) & (spikes.time_s <= (last + slack) * time_unit_s)
        if self.spike_neurons is not None:
            keep &= np.isin(spikes.neuron, np.asarray(self.spike_neurons))
        return spikes if keep.all() else Spikes(spikes.time_s[keep], spikes.neuron[keep], spikes.trial[keep])


class Backend(Protocol):
    """A simulator. Adapters are found through the entry-point group ``ddm2snn.backends``."""

    name: str
    spike_timing: SpikeTiming

    def unsupported(
        self, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None
    ) -> list[Unsupported]:
        """Say what this backend cannot do for `network`, before anything is built."""
        ...

    def run(
        self,
        network: Network,
        *,
        duration: float,
        trials: int,
        seed: int,
        dt_s: float | None = None,
        stimulus: Stimulus | None = None,
        initial_latent: Float[np.ndarray, "trial rank"] | None = None,
        record: Record | None = None,
        progress: Progress = no_progress,
    ) -> Recording:
        """Simulate `trials` independent trials together for `duration` rate time units."""
        ...

    def drive(
        self,
        network: Network,
        latent_path: Float[np.ndarray, "time rank"],
        *,
        seed: int,
        dt_s: float | None = None,
        consume: Consume,
    ) -> None:
        """Open loop: feed z(t), one row of system units per step, and stream filtered spikes in Hz."""
        ...


def backend_names() -> list[str]:
    """Names of the installed backends."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def find_backend(name: str, **options: Any) -> Backend:  # noqa: ANN401 - an adapter's own options
    """Load an installed backend by name.

    Raises
    ------
    InputError
        Where no backend of this name is installed.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise InputError(f"There is no backend {name!r}; installed are {', '.join(sorted(points))}.")
    return points[name].load()(**options)


def refuse(backend: Backend, network: Network, *, dt_s: float | None, stimulus: Stimulus | None) -> None:
    """Raise what the backend declares it cannot do, in its own words."""
    gaps = backend.unsupported(network, dt_s=dt_s, stimulus=stimulus)
    if gaps:
        raise UnsupportedError(f"Backend {backend.name} cannot run this network. {' '.join(map(str, gaps))}")


def refuse_unless_spiking(
    backend: Backend, network: Network, *, dt_s: float | None, stimulus: Stimulus | None
) -> SpikingNetwork:
    """Refuse as `refuse` does, and return what is left: a SpikingNetwork."""
    refuse(backend, network, dt_s=dt_s, stimulus=stimulus)
    if not isinstance(network, SpikingNetwork):
        raise UnsupportedError(f"Backend {backend.name} runs a SpikingNetwork, got a {type(network).__name__}.")
    return network


def common_gaps(
    network: Network, expected: type[Network], dt_s: float | None, timing: SpikeTiming
) -> list[Unsupported]:
    """Gaps of every backend: the wrong kind of network, a step that neuron model or diffusion cannot take."""
    if not isinstance(network, expected):
        other = "rate" if isinstance(network, RateNetwork) else "brian2 or nengo"
        found = type(network).__name__
        return [Unsupported(found, f"this backend runs a {expected.__name__}", f"Use --backend {other}")]
    if isinstance(network, SpikingNetwork):
        step = network.dt_s if dt_s is None else dt_s
        neuron, limit = network.neuron, network.neuron.longest_step_s
        if step > limit * (1 + 1e-9):
            return [
                Unsupported(
                    f"dt_s = {step:g}",
                    f"the step is longer than the refractory period of {limit:g} s",
                    f"Use dt_s <= {limit:g}",
                )
            ]
        if network.diffusion_filter_s is not None and step > network.diffusion_filter_s * (1 + 1e-9):
            return [
                Unsupported(
                    f"dt_s = {step:g}",
                    f"the step is longer than the filter of the diffusion factor, {network.diffusion_filter_s:g} s",
                    f"Use dt_s <= {network.diffusion_filter_s:g}",
                )
            ]
        if step > 0:
            try:
                neuron.check_step(step, neuron.timing_on(timing))
            except InputError as error:
                text = str(error).rstrip(".")
                field = text.split(" = ")[0]  # what does not fit the step comes first
                return [Unsupported(field, "spikes fall on the time grid", text)]
    return []


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
    from ddm2snn import __version__

    return {
        "backend": backend,
        "options": dict(options or {}),
        "versions": {"ddm2snn": __version__, **versions},
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
