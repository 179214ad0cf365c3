r"""The contract between the core and the simulators that run spiking networks.

An adapter is a class with the members of `Backend`. An object of it can be passed as it is:
``simulate(network, backend=MyBackend())``. An entry point of an installed package gives it a name as well::

    [project.entry-points."ddm2snn.backends"]
    mine = "my_package:MyBackend"

`simulate` checks a run, asks the adapter once for what it lacks, hands it a `ddm2snn.schedule.Schedule` and makes a
recording of the `ddm2snn.schedule.Trace` that comes back. An adapter checks nothing itself.

A run
-----
Latents are in internal units, one row for each trial. Step n = 0, 1, ... goes from time n dt to (n + 1) dt, with
dt = ``schedule.dt_s``, and does the following in this order.

1. *Sample.* Where n is a multiple of ``schedule.stride``, the latents :math:`z_n` are the next sample. The first
   sample is therefore :math:`z_0` = ``schedule.initial_latent``.
2. *Neurons.* Each membrane advances by dt at the constant current

   .. math:: J_n = E z_n + \beta

   with E = ``network.encoders`` (neuron, rank) and beta = ``network.bias`` (neuron,). A neuron fires at most once in a
   step: :math:`s_n` (neuron,) is 1 for the neurons that fired in step n and 0 for the others. Their spikes are
   reported at the end of the step, (n + 1) dt, whatever the spike timing.
3. *Latents.* With D = ``network.decoders`` (rank, neuron; internal units per Hz), a = ``schedule.decay`` and
   c = ``schedule.rise_decay`` (0 where synapses rise at once, so that q is what the step's spikes decode),

   .. math:: q_{n+1} = c\, q_n + (1 - c)\,\frac{D s_n}{dt}, \qquad
       z_{n+1} = a z_n + (1 - a)\,(u_n + q_{n+1}) + F \chi_n, \qquad q_0 = \text{schedule.initial_decoded}.

   :math:`u_n` is row n of ``schedule.inputs()``: (trial, rank), or (1, rank) where all trials get the same.
   :math:`\xi_n` (rank,) holds standard normal numbers, independent for each step and trial, and :math:`\chi_n` is
   :math:`\xi_n` behind the filters of ``schedule.noise_sections``, one for each entry, which start at rest;
   :math:`\chi_n = \xi_n` where that is None. F = ``schedule.noise_factor`` (rank, rank) is scaled for the step already.
4. *State-dependent noise*, only where ``schedule.factor`` is not None. Spikes decode a second factor R (rank, rank)
   for each trial, whose entries are flattened by rows. With h = ``schedule.factor``, b = ``h.decay``,
   H = ``h.decoders`` and the same :math:`\xi_n`,

   .. math:: z_{n+1} \mathrel{+}= \text{noise_scale}\; R_n \xi_n, \qquad
       R_{n+1} = b R_n + (1 - b)\,\frac{H s_n}{dt}, \qquad R_0 = \text{h.start}.

   The noise of a step thus takes the factor from the spikes before it.

Membranes
---------
Voltages start at ``schedule.initial_voltage``, and no neuron is refractory at time zero. One step of `LIF` neurons with
"grid" timing is

.. math:: v \leftarrow \max\big(J + (v - J)\,e^{-dt/\tau_m},\; 0\big), \qquad
    v > 1 \Rightarrow \text{spike},\; v \leftarrow 0

with :math:`\tau_m` = ``neuron.tau_membrane_s``, a number or an array (neuron,). In the
``neuron.refractory_steps(dt)`` steps after a spike v stays 0 and the neuron is silent. With "interpolated" timing the
refractory period counts from the crossing of the threshold within the step, so that a membrane may charge for part of
a step. The docstrings of `ddm2snn.neuron` give the other models; an adapter declares those that it lacks.

Random numbers
--------------
Everything random comes from ``schedule.seed``; `ddm2snn.base.randomness.stream` makes a generator of a seed and names.
Two runs of one adapter with equal seeds give equal bytes. Adapters share initial latents and voltages, but each draws
its noise itself; compare spikes between adapters with diffusion_factor = 0 (and of one spike timing, without
``schedule.factor``). An adapter leaves global state (NumPy's generator, its simulator's preferences) as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ddm2snn.base.html import fields_table
from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.base.progress import Progress
    from ddm2snn.schedule import Network, OpenLoop, Schedule, Trace

GROUP = "ddm2snn.backends"
RATE = "rate"
"""Name for the rate network itself, which `simulate` integrates without an adapter."""


@dataclass(frozen=True)
class Unsupported:
    """A feature that a backend lacks, why, and what to do about it.

    Parameters
    ----------
    feature, reason, remedy
        What is lacking, why, and what to do about it: parts of one sentence each, without full stops.

    Examples
    --------
    >>> print(Unsupported("AdaptiveLIF neurons", "the board has one threshold", "Convert LIF neurons"))
    AdaptiveLIF neurons: the board has one threshold. Convert LIF neurons.
    """

    feature: str
    reason: str
    remedy: str

    _repr_html_ = fields_table

    def __str__(self) -> str:
        return f"{self.feature}: {self.reason}. {self.remedy}."


class Backend(Protocol):
    """A simulator of spiking networks; the text at the top of this module says what a run means.

    Options of an adapter are arguments of its constructor. `ddm2snn_backends.reference` is this contract in NumPy.

    Examples
    --------
    >>> backend = find_backend("brian2", mode="numpy")
    >>> backend.name, backend.spike_timing
    ('brian2', 'grid')
    """

    @property
    def name(self) -> str:
        """Name that recordings and converted networks carry: that of the entry point where there is one."""
        ...

    @property
    def spike_timing(self) -> SpikeTiming:
        """Membranes restart at the step's end ("grid") or at the crossing ("interpolated"); spikes count at its end."""
        ...

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Say what this backend lacks for a network at this step, before anything is built.

        The core has refused what no backend can do: another kind of network, and steps that the neuron model or the
        diffusion cannot take. An empty list promises that `run` and `drive` work.
        """
        ...

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate all trials; call `progress` with the finished share, from 0 to 1, now and then."""
        ...

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        r"""Drive the neurons of one trial along given latents and yield their filtered spikes in Hz.

        Row n is :math:`y_n = a y_{n-1} + (1 - a) x_n` with :math:`x_n = c x_{n-1} + (1 - c) s_n / dt`, where
        a = ``loop.decay``, c = ``loop.rise_decay`` and :math:`x_{-1} = y_{-1} = 0`. The current of step n is
        :math:`E z_n + \beta` with :math:`z_n` = ``loop.path[n]``, and voltages start at ``loop.initial_voltage``.
        Blocks of consecutive rows come in order and together cover the path; their lengths are up to the adapter.
        """
        ...


@runtime_checkable
class DeviceBackend(Backend, Protocol):
    """A backend that runs devices, for the option `hardware` of `convert` and the `target` of a `HardwareConfig`."""

    hardware: HardwareConfig | None
    """The device, as given to the constructor; None for the one that each network was converted for."""


def backend_names() -> list[str]:
    """Names that `simulate` takes as `backend`: those of the installed adapters, and "rate".

    Examples
    --------
    >>> "reference" in backend_names()
    True
    """
    return sorted({*_adapters(), RATE})


def find_backend(name: str, **options: Any) -> Backend:  # noqa: ANN401 - an adapter's own options
    """Make an installed backend by name, with options of its own.

    Parameters
    ----------
    name
        Name of an installed backend; see `backend_names`.
    options
        Options of this backend, which are arguments of its constructor.

    Returns
    -------
    Backend
        An object that `simulate` and `convert` take.

    Raises
    ------
    InputError
        Where no backend of this name is installed, or it has no such option.

    Examples
    --------
    >>> find_backend("reference", spike_timing="interpolated")
    ReferenceBackend(spike_timing='interpolated', spike_loss=0.0)
    """
    adapters = _adapters()
    if name in adapters:
        make = adapters[name].load()
        known = signature(make).parameters
        if any(option not in known for option in options) and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            raise InputError(
                f"Backend {name} has the options {', '.join(known) or 'none'}; got {', '.join(options)}. Use these."
            )
        return make(**options)
    if name == RATE:
        raise InputError(
            "Backend rate runs rate networks, which needs no simulator and takes no options. For spikes convert for "
            "brian2, nengo or reference."
        )
    raise InputError(
        f"There is no backend {name!r}; installed are {', '.join(backend_names())}. "
        "Choose one of these, or give the backend itself instead of its name."
    )


def distribution_of(name: str) -> str | None:
    """Name and version of the distribution that brings an installed backend; None where there is none."""
    point = _adapters().get(name)
    return None if point is None or point.dist is None else f"{point.dist.name} {point.dist.version}"


def backend_versions() -> dict[str, str]:
    """Versions of the distributions that bring the installed backends."""
    return {point.dist.name: point.dist.version for point in _adapters().values() if point.dist is not None}


def _adapters() -> dict[str, EntryPoint]:
    adapters: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        first = adapters.setdefault(point.name, point)
        if first.value != point.value:
            both = " and ".join(f"{p.value} of {p.dist.name if p.dist else 'no distribution'}" for p in (first, point))
            raise InputError(f"Two installed backends have the name {point.name!r}: {both}. Remove one of them.")
    return adapters


def gaps(
    backend: Backend, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None
) -> list[Unsupported]:
    """What keeps a backend from running a network: the limits of every backend, else what it declares itself."""
    if not isinstance(network, SpikingNetwork):
        return [Unsupported(type(network).__name__, "this backend runs a SpikingNetwork", 'Use backend="rate"')]
    step_s = network.dt_s if dt_s is None else dt_s
    return step_gaps(network, step_s, backend.spike_timing) or backend.unsupported(
        network, dt_s=step_s, stimulus=Stimulus() if stimulus is None else stimulus
    )


def refuse(backend: Backend, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None) -> None:
    """Raise UnsupportedError with the gaps of a backend, where there are any."""
    if declared := gaps(backend, network, dt_s=dt_s, stimulus=stimulus):
        raise UnsupportedError(f"Backend {backend.name} cannot run this network. {' '.join(map(str, declared))}")


def step_gaps(network: SpikingNetwork, dt_s: float, timing: SpikeTiming) -> list[Unsupported]:
    """Steps that the neuron model or the diffusion of a network cannot take, on any backend of this spike timing."""
    for limit_s, name in (
        (network.neuron.longest_step_s, "refractory period of"),
        (network.diffusion_filter_s, "filter of the diffusion factor,"),
    ):
        if limit_s is not None and dt_s > limit_s * (1 + 1e-9):
            reason = f"the step is longer than the {name} {limit_s:g} s"
            return [Unsupported(f"dt_s = {dt_s:g}", reason, f"Use dt_s <= {limit_s:g}")]
    if dt_s > 0:
        try:
            network.neuron.check_step(dt_s, network.neuron.timing_on(timing))
        except InputError as error:
            text = str(error).rstrip(".")
            field = text.split(" = ")[0]  # the message begins with what does not fit the step
            return [Unsupported(field, "spikes fall on the time grid", text)]
    return []
