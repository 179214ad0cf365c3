"""A run from the request to the result: `Run`, the `Schedule` that an adapter gets, the `Trace` that it returns.

`OpenLoop` is to an open-loop drive what `Schedule` is to a run. `ddm2snn.backend.Backend` says what an adapter does
with both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.noise_colour import digital_sections
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal
from ddm2snn.recording import Spikes
from ddm2snn.stimulus import Stimulus, TrialInput

if TYPE_CHECKING:
    from jaxtyping import Float

Network = RateNetwork | SpikingNetwork
_MOST_STEPS = 2**53  # whole numbers above are no floats


@dataclass(frozen=True)
class SpikeSelection:
    """Which spikes a recording keeps.

    Parameters
    ----------
    window
        First and last moment in rate time units, both included; None for all.
    neurons
        Numbers of the neurons; None for all.

    Examples
    --------
    >>> SpikeSelection(window=(2.0, 3.0), neurons=[0, 7])
    SpikeSelection(window=(2.0, 3.0), neurons=[0, 7])
    """

    window: tuple[float, float] | None = None
    neurons: Sequence[int] | None = None

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        window = self.window
        if window is not None and not (len(window) == 2 and 0 <= window[0] < window[1]):
            raise InputError(f"SpikeSelection.window must be (first, last) with 0 <= first < last, got {window}.")
        if self.neurons is None:
            return
        asked = np.asarray(self.neurons)
        if asked.ndim != 1 or not asked.size or asked.dtype.kind not in "iu" or asked.min() < 0:
            raise InputError(f"SpikeSelection.neurons must be a list of neurons, got {self.neurons!r}.")

    def of(self, spikes: Spikes, time_unit_s: float) -> Spikes:
        """Spikes of `neurons` within `window`."""
        if self.window is None and self.neurons is None:
            return spikes
        chosen = np.ones(len(spikes.time_s), dtype=bool)
        if self.window is not None:
            first, last = self.window
            slack = 1e-9 * last  # times are sums of steps
            chosen &= (spikes.time_s >= (first - slack) * time_unit_s) & (spikes.time_s <= (last + slack) * time_unit_s)
        if self.neurons is not None:
            chosen &= np.isin(spikes.neuron, np.asarray(self.neurons))
        return spikes if chosen.all() else Spikes(spikes.time_s[chosen], spikes.neuron[chosen], spikes.trial[chosen])


@dataclass(frozen=True, eq=False)
class Run:
    """What `simulate` is asked for, with its arguments as fields; it is checked when it is made.

    The step `dt_s` counts rate time units for a rate network, and is the network's own where it is None. `spikes` says
    which spikes to record, None for none.
    """

    network: Network
    duration: float
    trials: int
    seed: int
    dt_s: float | None = None
    stimulus: Stimulus = field(default_factory=Stimulus)
    initial_latent: Float[np.ndarray, "trial rank"] | None = None
    every: float = 0.02
    spikes: SpikeSelection | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.network, RateNetwork | SpikingNetwork):
            raise InputError(
                f"simulate needs a RateNetwork or a SpikingNetwork, got {type(self.network).__name__}. "
                "Read a file with ddm2snn.load, and give the network of a Conversion."
            )
        check_positive("run", duration=self.duration, every=self.every)
        if self.dt_s is not None:
            check_positive("run", dt_s=self.dt_s)
        as_count("trials", self.trials)
        check_seed(self.seed)
        if self.spikes is not None:
            if not isinstance(self.network, SpikingNetwork):
                raise InputError("A rate network has no spikes to record. Convert it first, or leave spikes out.")
            asked, neurons = self.spikes.neurons, self.network.neurons
            if asked is not None and (last := max(asked)) >= neurons:
                raise InputError(
                    f"SpikeSelection.neurons asks for neuron {last}; the network has neurons 0 to {neurons - 1}."
                )
        if self.stimulus.trials not in (None, self.trials):
            raise InputError(
                f"The stimulus has inputs of {self.stimulus.trials} trials, and {self.trials} are asked for. "
                f"Give trials = {self.stimulus.trials}, or a stimulus without an axis of trials."
            )
        if self.initial_latent is None:
            return
        initial = np.asarray(self.initial_latent, dtype=np.float64)
        if initial.shape != (self.trials, self.network.rank):
            raise InputError(
                f"initial_latent must have shape ({self.trials}, {self.network.rank}), got {initial.shape}."
            )
        if not np.isfinite(initial).all():
            raise InputError("initial_latent holds NaN or infinity; every entry must be finite.")

    def __repr__(self) -> str:
        asked = f"duration={self.duration:g}, trials={self.trials}, seed={self.seed}, dt_s={self.dt_s}"
        return f"Run({type(self.network).__name__} of rank {self.network.rank}, {asked})"

    def initial_states(self) -> Float[np.ndarray, "trial rank"]:
        """Latents at time zero in internal units: those asked for, or drawn from `network.initial_latent`."""
        initial = self.initial_latent
        if initial is None:
            pool = self.network.initial_latent
            initial = pool[stream(self.seed, "run", "initial latent").integers(len(pool), size=self.trials)]
        return to_internal(self.network, initial)


@dataclass(frozen=True, eq=False)
class DecodedFactor:
    """The part of the diffusion factor that spikes decode, flattened by rows: entry = row * rank + column.

    The `decoders` H are in internal units per Hz. Behind them is an exponential filter of time constant `filter_s`, in
    seconds; `decay` = exp(-dt/filter_s) is the share of a filtered entry that is left after one step, and `start` holds
    the filtered entries at time zero, from the steady rates at the initial latents.
    """

    decoders: Float[np.ndarray, "entry neuron"]
    filter_s: float
    decay: float
    start: Float[np.ndarray, "trial entry"]


class _Clock:
    """What is left after one step of a run, or of an open-loop drive, of a spiking network."""

    network: SpikingNetwork
    dt_s: float

    @cached_property
    def decay(self) -> float:
        """exp(-dt/T) with T = `network.time_unit_s`: the share of a latent that is left after one step."""
        return float(np.exp(-self.dt_s / self.network.time_unit_s))

    @property
    def rise_decay(self) -> float:
        """exp(-dt/`network.rise_s`): the share of what spikes decode that is left after one step; 0 without a rise."""
        return float(np.exp(-self.dt_s / self.network.rise_s)) if self.network.rise_s else 0.0


@dataclass(frozen=True, eq=False)
class Schedule(_Clock):
    """A run of a spiking network in the numbers that every adapter shares: checked, in steps, in internal units.

    `ddm2snn.backend.Backend` gives the equations in which they stand.

    There are `stride` steps between two samples. The seed is that of all that an adapter draws, such as its noise, and
    `inputs` has the values of the stimulus at the steps. `spikes` says which spikes to record, None for none; an
    adapter may return all of them.
    """

    network: SpikingNetwork
    dt_s: float
    steps: int
    stride: int
    trials: int
    seed: int
    stimulus: Stimulus
    initial_latent: Float[np.ndarray, "trial rank"]
    spikes: SpikeSelection | None = None

    @classmethod
    def of(cls, run: Run) -> Schedule:
        """Put a run of a spiking network into steps, a whole number of them in each sampling interval."""
        network = run.network
        if not isinstance(network, SpikingNetwork):
            raise InputError("Only runs of a SpikingNetwork have a schedule, got a RateNetwork. Convert it first.")
        dt_s = network.dt_s if run.dt_s is None else run.dt_s
        return cls(
            network=network,
            dt_s=dt_s,
            steps=step_count(run.duration * network.time_unit_s, dt_s),
            stride=whole_steps(run.every * network.time_unit_s, dt_s, "the sampling interval `every`"),
            trials=int(run.trials),
            seed=int(run.seed),
            stimulus=run.stimulus,
            initial_latent=run.initial_states(),
            spikes=run.spikes,
        )

    def __repr__(self) -> str:
        clock = f"{self.steps} steps of {self.dt_s:g} s, a sample every {self.stride}"
        return f"Schedule({self.network.neurons} neurons, rank {self.network.rank}, {self.trials} trials, {clock})"

    @property
    def samples(self) -> int:
        """Number of samples: one at steps 0, stride, 2 stride and so on below `steps`."""
        return -(-self.steps // self.stride)

    @cached_property
    def initial_decoded(self) -> Float[np.ndarray, "trial rank"]:
        """What spikes decode behind the rise at time zero: that of steady rates; zeros without a rise."""
        network = self.network
        if not network.rise_s:
            return np.zeros_like(self.initial_latent)
        return network.steady_rates_hz(self.initial_latent) @ network.decoders.T

    @cached_property
    def noise_sections(self) -> Float[np.ndarray, "rank coefficient"] | None:
        """Filters that colour the noise of each source; see `ddm2snn.base.noise_colour`. None for white noise."""
        colour = self.network.noise_colour
        return None if colour is None else digital_sections(colour, self.dt_s / self.network.time_unit_s)

    @property
    def noise_scale(self) -> float:
        """sqrt((1 - decay^2) / 2): standard deviation of a step's noise where the diffusion factor G is one."""
        return float(np.sqrt((1.0 - self.decay**2) / 2.0))

    @cached_property
    def noise_factor(self) -> Float[np.ndarray, "rank rank"]:
        """F = noise_scale G: its product with standard normal numbers is a step's noise, exact for the linear leak."""
        return self.network.diffusion_factor * self.noise_scale

    @cached_property
    def factor(self) -> DecodedFactor | None:
        """What spikes add to the diffusion factor; None where it is constant."""
        network = self.network
        if network.diffusion_decoders is None or network.diffusion_filter_s is None:
            return None
        start = network.internal_factor(self.initial_latent) - network.diffusion_factor
        return DecodedFactor(
            decoders=network.diffusion_decoders.reshape(-1, network.neurons),
            filter_s=network.diffusion_filter_s,
            decay=float(np.exp(-self.dt_s / network.diffusion_filter_s)),
            start=start.reshape(self.trials, -1),
        )

    @cached_property
    def initial_voltage(self) -> Float[np.ndarray, "trial neuron"]:
        """Membrane voltages at time zero, uniform between reset (0) and threshold (1)."""
        return stream(self.seed, "run", "voltage").random((self.trials, self.network.neurons))

    def inputs(self) -> TrialInput:
        """Latent input u at the beginning of each step, of each trial, or of one where all get the same."""
        times = np.arange(self.steps) * (self.dt_s / self.network.time_unit_s)
        return self.stimulus.of_each(times, self.network.input_map)


@dataclass(frozen=True, eq=False)
class OpenLoop(_Clock):
    """An open-loop drive of one trial: latents are given for every step, and what spikes decode goes nowhere.

    `path` holds the latents z during each step, in internal units. The other fields are those of `Schedule`.
    """

    network: SpikingNetwork
    path: Float[np.ndarray, "step rank"]
    dt_s: float
    seed: int

    @classmethod
    def of(
        cls, network: SpikingNetwork, latent_path: Float[np.ndarray, "step rank"], *, seed: int, dt_s: float | None
    ) -> OpenLoop:
        """Check a drive along a path in system units; raises InputError as `Run` does."""
        step_s = network.dt_s if dt_s is None else dt_s
        check_positive("drive", dt_s=step_s)
        return cls(network, internal_path(network, latent_path), step_s, check_seed(seed))

    def __repr__(self) -> str:
        return f"OpenLoop({self.network.neurons} neurons, {len(self.path)} steps of {self.dt_s:g} s)"

    @property
    def initial_voltage(self) -> Float[np.ndarray, " neuron"]:
        """Membrane voltages at the start, uniform between reset (0) and threshold (1)."""
        return stream(self.seed, "drive", "voltage").random(self.network.neurons)


@dataclass(frozen=True, eq=False)
class Trace:
    """What an adapter returns of a run.

    Parameters
    ----------
    latent
        Latents in internal units, shape (trial, sample, rank): sample m is z at the beginning of step m * stride, so
        that the first is `Schedule.initial_latent`. `simulate` may change this array in place.
    spikes
        All spikes, or those that `Schedule.spikes` selects, made with `Spikes.sorted`, whose order enters fingerprints;
        None where `Schedule.spikes` is None. A spike of step n (counted from 0) has the time (n + 1) dt.
    versions
        Versions of the packages that the numbers depend on.
    options
        Options of the adapter, as JSON values.
    """

    latent: Float[np.ndarray, "trial sample rank"]
    spikes: Spikes | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        spikes = "none" if self.spikes is None else len(self.spikes.time_s)
        return f"Trace(latent of shape {self.latent.shape}, spikes={spikes}, options={dict(self.options)})"


def internal_path(network: Network, latent_path: Float[np.ndarray, "step rank"]) -> Float[np.ndarray, "step rank"]:
    """Check an open-loop path in system units and return it in internal units."""
    path = np.asarray(latent_path, dtype=np.float64)
    if path.ndim != 2 or path.shape[1] != network.rank or len(path) == 0:
        raise InputError(f"latent_path must have shape (time, {network.rank}), got {path.shape}.")
    if not np.isfinite(path).all():
        raise InputError("latent_path holds NaN or infinity; every entry must be finite.")
    return to_internal(network, path)


def step_count(length: float, step: float) -> int:
    """Number of steps in a length of the same unit, at least one.

    >>> step_count(1.0, 1e-300)
    Traceback (most recent call last):
    ddm2snn.errors.InputError: A run of 1 in steps of 1e-300 has 1e+300 steps; 9e+15 are the most. Use a longer dt_s.
    """
    count = length / step
    if not count < _MOST_STEPS:
        raise InputError(
            f"A run of {length:g} in steps of {step:g} has {count:.0e} steps; {_MOST_STEPS:.0e} are the most. "
            "Use a longer dt_s."
        )
    return max(1, round(count))


def whole_steps(interval: float, step: float, what: str, unit: str = "s") -> int:
    """Number of steps in an interval, or a refusal where it is no whole number."""
    count = round(interval / step)
    if count < 1 or abs(count * step - interval) > 1e-6 * interval:
        better = interval / max(1, count)
        raise InputError(
            f"{what} lasts {interval:g} {unit}, which is no whole number of steps of dt_s = {step:g}. "
            f"Use dt_s = {better:g} or another interval."
        )
    return count


def blocks(steps: int, size: int) -> Sequence[range]:
    """Consecutive ranges of at most `size` steps that cover `steps`."""
    return [range(start, min(start + size, steps)) for start in range(0, steps, size)]
