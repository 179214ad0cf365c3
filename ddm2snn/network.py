"""The two networks: low-rank rate units, and spiking neurons with the same latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ddm2snn.base.arrays import check_positive, check_provenance, freeze_arrays
from ddm2snn.base.html import Plotted, html_table
from ddm2snn.base.low_rank import LowRank
from ddm2snn.base.stored import Origin, Stored, read_entries
from ddm2snn.errors import InputError
from ddm2snn.neuron import NEURON_MODELS, NeuronModel, SpikeTiming
from ddm2snn.neuron.activation import Activation, activate

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.base.hardware_config import HardwareConfig


def to_internal(
    network: RateNetwork | SpikingNetwork, latent: Float[np.ndarray, "... rank"]
) -> Float[np.ndarray, "... rank"]:
    """Map latent states from system units to a network's internal ones."""
    return (np.asarray(latent, dtype=np.float64) - network.latent_offset) / network.latent_scale


def to_system(
    network: RateNetwork | SpikingNetwork, latent: Float[np.ndarray, "... rank"]
) -> Float[np.ndarray, "... rank"]:
    """Map latent states from a network's internal units to the system's."""
    return latent * network.latent_scale + network.latent_offset


@dataclass(frozen=True, eq=False, kw_only=True)
class _Network(Stored):
    """What both networks have."""

    diffusion_factor: Float[np.ndarray, "rank rank"]
    input_map: Float[np.ndarray, "rank input"]
    latent_offset: Float[np.ndarray, " rank"]
    latent_scale: Float[np.ndarray, " rank"]
    initial_latent: Float[np.ndarray, "sample rank"]
    time_scale: float = field(default=1.0, metadata={"optional": True})
    output_bias: Float[np.ndarray, " output"] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """Rank k of the recurrent matrix."""
        return len(self.latent_offset)

    @property
    def outputs(self) -> int:
        """Number of outputs that a task reads."""
        return 0 if self.output_bias is None else len(self.output_bias)

    @property
    def origin(self) -> Origin:
        """What the package reads of the provenance."""
        return read_entries(Origin, self.provenance)


@dataclass(frozen=True, eq=False)
class RateNetwork(_Network):
    r"""Low-rank rate network :math:`W = \Gamma W_s` trained by drift-diffusion matching (arXiv 2602.14885).

    .. math::
        dx = (-x + W\phi(x) + b + \Gamma u)\,dt + \Gamma G\,dw, \qquad x = \Gamma z + b, \\
        dz = (-z + W_s\phi(\Gamma z + b) + u)\,dt + G(z)\,dw, \qquad
        G(z) = G_0 + \textstyle\sum_i R_i\,\phi(\Gamma_i z + b_i),

    in the sense of Ito, with time in units of the leak and z in internal coordinates: system units are
    ``latent_offset + latent_scale * z``. Methods take and return system units, except those named internal.

    Parameters
    ----------
    left_vectors, right_vectors
        :math:`\Gamma` and :math:`W_s^\top`, shape (unit, rank).
    bias
        b, shape (unit,).
    activation
        Pointwise :math:`\phi`; see `ddm2snn.neuron.activation.activate`.
    diffusion_factor
        :math:`G_0`, shape (rank, rank), internal units: the whole factor where it is constant.
    diffusion_readout
        R, shape (unit, rank, rank), internal units; None where the diffusion does not depend on the state.
    input_map
        Stimulus to internal latent input u, shape (rank, input).
    latent_offset, latent_scale
        Internal origin and unit in system units, shape (rank,).
    initial_latent
        Stationary states from which runs start by default, shape (sample, rank), system units.
    time_scale
        Units of the system's time in one rate time unit. `drift` and `diffusion` are per unit of the system's time;
        runs, recordings and stimuli count rate time units.
    output_vectors, output_bias
        :math:`C^\top` (unit, output) and d (output,) of a task's outputs :math:`y = C\phi(x) + d`; None without.
    provenance
        How the network was made: JSON values, which are no part of the fingerprint.

    Examples
    --------
    >>> import numpy as np
    >>> rate = RateNetwork(
    ...     left_vectors=np.array([[1.0], [0.5]]), right_vectors=np.array([[2.0], [-1.0]]), bias=np.array([0.0, 1.0]),
    ...     diffusion_factor=np.array([[0.1]]), input_map=np.array([[1.0]]), latent_offset=np.array([0.0]),
    ...     latent_scale=np.array([2.0]), initial_latent=np.array([[0.0]]),
    ... )
    >>> rate
    RateNetwork(units=2, rank=1, activation='tanh', diffusion=constant)
    >>> rate.drift(np.array([[0.0], [1.0]])).round(3)
    array([[-1.523],
           [-0.848]])
    >>> rate.recurrent
    LowRank(shape=(2, 2), rank=1)
    """

    left_vectors: Float[np.ndarray, "unit rank"]
    right_vectors: Float[np.ndarray, "unit rank"]
    bias: Float[np.ndarray, " unit"]
    activation: Activation = "tanh"
    diffusion_readout: Float[np.ndarray, "unit rank rank"] | None = None
    output_vectors: Float[np.ndarray, "unit output"] | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        _check_together(self, "output_vectors", "output_bias")
        if self.activation not in get_args(Activation):
            raise InputError(
                f"RateNetwork.activation is {self.activation!r}; known are {', '.join(get_args(Activation))}."
            )

    def __repr__(self) -> str:
        return f"RateNetwork({', '.join(f'{name}={value}' for name, value in self._summary().items())})"

    def _repr_html_(self) -> str:
        return _html(self, self._summary())

    def _summary(self) -> dict[str, object]:
        diffusion = "constant" if self.diffusion_readout is None else "by state"
        own = {"units": self.units, "rank": self.rank, "activation": repr(self.activation), "diffusion": diffusion}
        return {**own, **({"outputs": self.outputs} if self.outputs else {})}

    @property
    def units(self) -> int:
        """Number n of rate units."""
        return self.left_vectors.shape[0]

    @property
    def recurrent(self) -> LowRank:
        r"""The recurrent matrix :math:`W = \Gamma W_s`, shape (unit, unit)."""
        return LowRank(self.left_vectors, self.right_vectors)

    def hidden(self, z: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... unit"]:
        r"""Outputs :math:`\phi(\Gamma z + b)` of the units at internal latents."""
        return activate(self.activation, z @ self.left_vectors.T + self.bias)

    def internal_readout(self, z: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank"]:
        r""":math:`W_s\phi(\Gamma z + b)` in internal units: what the spikes of a converted network decode."""
        return self.hidden(z) @ self.right_vectors

    def internal_factor(self, z: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        """Diffusion factor G at internal latents, internal units."""
        shape = (*np.shape(z), self.rank)
        if self.diffusion_readout is None:
            return np.broadcast_to(self.diffusion_factor, shape)
        return self.diffusion_factor + (self.hidden(z) @ self.diffusion_readout.reshape(self.units, -1)).reshape(shape)

    def output(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... output"]:
        r"""Outputs :math:`C\phi(\Gamma z + b) + d` at `latent`, in system units; of no columns without a read-out."""
        if self.output_vectors is None:
            return np.zeros((*np.shape(latent)[:-1], 0))
        return self.hidden(to_internal(self, latent)) @ self.output_vectors + self.output_bias

    def drift(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank"]:
        """Autonomous drift at `latent`, in system units per unit of the system's time, shape (..., rank)."""
        z = to_internal(self, latent)
        return (self.internal_readout(z) - z) * (self.latent_scale / self.time_scale)

    def diffusion(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        """Diffusion tensor G G^T at `latent`, in system units squared per unit of time, shape (..., rank, rank)."""
        z = to_internal(self, latent)
        factor = (self.latent_scale / np.sqrt(self.time_scale))[:, None] * self.internal_factor(z)
        return factor @ np.swapaxes(factor, -1, -2)

    @property
    def in_rate_time(self) -> RateNetwork:
        """The same network with drift and diffusion per rate time unit."""
        return self if self.time_scale == 1.0 else replace(self, time_scale=1.0)


@dataclass(frozen=True, eq=False)
class SpikingNetwork(_Network, Plotted):
    r"""Spiking neurons that are coupled through k latents: their recurrent matrix E D has rank k.

    .. math::
        J_j = E_j \cdot z + \beta_j, \qquad
        T \dot z = -z + q + u + \sqrt{T}\, G\,\xi(t), \qquad \tau_r \dot q = -q + \textstyle\sum_j D_j s_j(t), \\
        G = G_0 C + \textstyle\sum_j H_j r_j(t), \qquad \tau \dot r_j = -r_j + s_j(t),

    with s_j the spike train in Hz, T = `time_unit_s` (one rate time unit is the time in which a synapse decays),
    :math:`\tau_r` = `rise_s` (that in which it rises; at 0 q is the spikes themselves), and z in internal coordinates
    (system units are ``latent_offset + latent_scale * z``). The noise is Ito's: the increment of a step takes the
    factor from the spikes before it. Without `diffusion_decoders` G is constant. C colours the noise, each source c by

    .. math:: C_c(s) = \frac{\gamma_c s^2 + \alpha_c s + \omega_c^2}{s^2 + \beta_c s + \omega_c^2},

    s per rate time unit; without `noise_colour` it is one: white noise.

    Parameters
    ----------
    encoders
        E, shape (neuron, rank): rows of Gamma times a factor each.
    bias
        beta, shape (neuron,), in units of the threshold current.
    decoders
        D, shape (rank, neuron), internal latent units per Hz.
    unit
        Rate unit that each neuron belongs to, shape (neuron,).
    rate_left_vectors
        Gamma of the rate network, shape (unit, rank): what the encoders are held to.
    diffusion_factor
        :math:`G_0`, shape (rank, rank), internal units: the whole of the injected noise where it is constant.
    input_map, latent_offset, latent_scale, initial_latent, time_scale
        As in `RateNetwork`.
    neuron, time_unit_s
        Neuron model, and seconds per rate time unit.
    dt_s, spike_timing, backend
        Time step, timing of spikes and name of the backend whose f-I curve the decoders were solved for.
    rate_fingerprint
        Fingerprint of the rate network this came from.
    provenance
        How it was converted: JSON values, which are no part of the fingerprint.
    diffusion_decoders
        H, shape (rank, rank, neuron), internal units per Hz; None where the diffusion does not depend on the state.
    diffusion_filter_s
        tau, the time constant of the exponential filter behind these decoders; None without them.
    rise_s
        :math:`\tau_r`, the time constant with which synapses rise; 0 for those that rise at once.
    noise_colour
        :math:`\alpha, \beta, \omega, \gamma` of each noise source, shape (rank, 4); None for white noise.
    hardware
        The device that the network was converted for, whose arithmetic a device backend uses unless it is told
        another; None where there is none.
    output_decoders, output_map, output_bias, output_filter_s
        D_o (output, neuron) in output units per Hz, L (output, rank) and d (output,) of a task's outputs
        y = D_o r + L z + d, the spikes r behind the latents' rise and a filter of this time constant, or theirs (None).

    Examples
    --------
    >>> import numpy as np
    >>> from ddm2snn import LIF, find_hardware
    >>> snn = SpikingNetwork(
    ...     encoders=np.array([[1.0], [-1.0]]), bias=np.array([1.5, 1.5]), decoders=np.array([[0.01, -0.01]]),
    ...     unit=np.array([0, 0]), rate_left_vectors=np.array([[1.0]]), diffusion_factor=np.array([[0.1]]),
    ...     input_map=np.array([[1.0]]), latent_offset=np.array([0.0]), latent_scale=np.array([1.0]),
    ...     initial_latent=np.array([[0.0]]), neuron=LIF(), time_unit_s=0.1, dt_s=0.001, spike_timing="grid",
    ...     backend="brian2", rate_fingerprint="made by hand", hardware=find_hardware("loihi1-emulator"),
    ... )
    >>> snn
    SpikingNetwork(neurons=2, rank=1, neuron=lif, time_unit_s=0.1, dt_s=0.001,
                   backend='brian2', diffusion=constant, hardware=loihi1-emulator)
    >>> snn.recurrent.dense()
    array([[ 0.01, -0.01],
           [-0.01,  0.01]])
    """

    encoders: Float[np.ndarray, "neuron rank"]
    bias: Float[np.ndarray, " neuron"]
    decoders: Float[np.ndarray, "rank neuron"]
    unit: Int[np.ndarray, " neuron"]
    rate_left_vectors: Float[np.ndarray, "unit rank"]
    neuron: NeuronModel
    time_unit_s: float
    dt_s: float
    spike_timing: SpikeTiming
    backend: str
    rate_fingerprint: str
    diffusion_decoders: Float[np.ndarray, "rank rank neuron"] | None = None
    diffusion_filter_s: float | None = None
    hardware: HardwareConfig | None = None
    rise_s: float = field(default=0.0, metadata={"optional": True})
    noise_colour: Float[np.ndarray, "rank coefficient"] | None = None
    output_decoders: Float[np.ndarray, "output neuron"] | None = None
    output_map: Float[np.ndarray, "output rank"] | None = None
    output_filter_s: float | None = None
    plot_tuning = Plotted.plot

    def __post_init__(self) -> None:
        _check_common(self)
        filters = {"diffusion_filter_s": self.diffusion_filter_s, "output_filter_s": self.output_filter_s}
        given = {name: filter_s for name, filter_s in filters.items() if filter_s is not None}
        check_positive("SpikingNetwork", time_unit_s=self.time_unit_s, dt_s=self.dt_s, **given)
        self._check_synapses()
        _check_together(self, "diffusion_decoders", "diffusion_filter_s")
        _check_together(self, "output_decoders", "output_map", "output_bias")
        if type(self.neuron) not in NEURON_MODELS.values():
            raise InputError(f"SpikingNetwork.neuron is {self.neuron!r}; known models are {', '.join(NEURON_MODELS)}.")
        object.__setattr__(self, "neuron", self.neuron.for_neurons(self.neurons))
        if self.spike_timing not in get_args(SpikeTiming):
            raise InputError(
                f"SpikingNetwork.spike_timing is {self.spike_timing!r}; known are {', '.join(get_args(SpikeTiming))}."
            )
        for name in ("backend", "rate_fingerprint"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"SpikingNetwork.{name} must be a text, got {getattr(self, name)!r}.")
        if self.hardware is not None:
            from ddm2snn.base.hardware_config import HardwareConfig  # slow: pydantic

            object.__setattr__(self, "hardware", HardwareConfig.of(self.hardware))
        units = len(self.rate_left_vectors)
        if self.unit.size and not (self.unit.min() >= 0 and self.unit.max() < units):
            raise InputError(f"SpikingNetwork.unit must lie in 0 to {units - 1}; found one outside.")

    def _check_synapses(self) -> None:
        rise_s, colour = self.rise_s, self.noise_colour
        if not (isinstance(rise_s, float | int) and 0 <= rise_s < self.time_unit_s):
            raise InputError(
                f"SpikingNetwork.rise_s must be 0 or a time below time_unit_s = {self.time_unit_s:g}, got {rise_s!r}."
            )
        if colour is not None and not (colour.shape == (self.rank, 4) and (colour > 0).all()):
            raise InputError(
                f"SpikingNetwork.noise_colour must be positive and of shape ({self.rank}, 4), got {colour.tolist()}."
            )

    def __repr__(self) -> str:
        figures = [f"{name}={value}" for name, value in self._summary().items()]
        return f"SpikingNetwork({', '.join(figures[:5])},\n               {', '.join(figures[5:])})"

    def _repr_html_(self) -> str:
        return _html(self, self._summary())

    def _summary(self) -> dict[str, object]:
        return {
            "neurons": self.neurons, "rank": self.rank, "neuron": self.neuron.name,
            "time_unit_s": f"{self.time_unit_s:g}", "dt_s": f"{self.dt_s:g}", "backend": repr(self.backend),
            "diffusion": "constant" if self.diffusion_decoders is None else "by state",
            "hardware": None if self.hardware is None else self.hardware.name,
            **({"outputs": self.outputs} if self.outputs else {}),
        }  # fmt: skip

    @property
    def neurons(self) -> int:
        """Number N of spiking neurons."""
        return self.encoders.shape[0]

    @property
    def recurrent(self) -> LowRank:
        """The recurrent matrix E D, shape (neuron, neuron), in current per Hz."""
        return LowRank(self.encoders, self.decoders.T)

    def internal_factor(self, z: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        """Injected factor G at internal latents, internal units; where spikes decode it, from their steady rates."""
        shape = (*np.shape(z), self.rank)
        if self.diffusion_decoders is None:
            return np.broadcast_to(self.diffusion_factor, shape)
        entries = self.steady_rates_hz(z) @ self.diffusion_decoders.reshape(-1, self.neurons).T
        return self.diffusion_factor + entries.reshape(shape)

    def steady_rates_hz(self, z: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... neuron"]:
        """Firing rates in Hz at internal latents that stand still."""
        timing = self.neuron.timing_on(self.spike_timing)
        return self.neuron.rate_hz(z @ self.encoders.T + self.bias, timing=timing, dt_s=self.dt_s)


def _check_together(network: RateNetwork | SpikingNetwork, *names: str) -> None:
    """Refuse some of the fields without the others."""
    missing = [name for name in names if getattr(network, name) is None]
    if 0 < len(missing) < len(names):
        owner = f"{type(network).__name__} needs {', '.join(names)} together, or neither"
        raise InputError(f"{owner}, but {missing[0]} is None. Give all.")


def _html(network: RateNetwork | SpikingNetwork, summary: Mapping[str, object]) -> str:
    title = "Rate network" if isinstance(network, RateNetwork) else "Spiking network"
    more = {
        "inputs": network.input_map.shape[1],
        "largest singular values": ", ".join(f"{v:.3g}" for v in network.recurrent.singular_values()[:5]),
        "system": network.origin.system or "unknown",
        "fingerprint": network.fingerprint,
    }
    return html_table(title, {**summary, **more})


def _check_common(network: RateNetwork | SpikingNetwork) -> None:
    owner = type(network).__name__
    freeze_arrays(network)
    check_provenance(owner, network.provenance)
    check_positive(owner, time_scale=network.time_scale)
    if not (network.latent_scale > 0).all():
        raise InputError(f"{owner}.latent_scale must be above zero in every dimension.")
    if not network.rank or not network.bias.size:
        raise InputError(f"{owner} has rank {network.rank} and {network.bias.size} entries of bias; it needs both.")
    if network.initial_latent.shape[0] == 0:
        raise InputError(f"{owner}.initial_latent needs at least one state to start from.")
