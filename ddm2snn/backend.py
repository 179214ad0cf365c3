"""The contract between networks and the simulators that run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Recording, Spikes
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Float

Network = RateNetwork | SpikingNetwork
Consume = Callable[["Float[np.ndarray, 'time neuron']"], None]
"""Called with consecutive blocks of filtered spikes in Hz."""
GROUP = "ddm2snn.backends"


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
