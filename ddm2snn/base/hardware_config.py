"""Settings and limits of one target device: numbers only, since a network carries them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from ddm2snn.base.settings import Count, NotNegative, Positive, Settings, explain
from ddm2snn.errors import InputError

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Precision(Settings):
    """Bits of what a device stores; None where it computes in floating point.

    Parameters
    ----------
    weight_bits
        Bits of a weight with its sign.
    weight_exponent_lowest
        Lowest exponent, to base 2, that synapses of a core share.
    input_bits
        Bits of the sum of weights that arrive in one step, sign not counted.
    state_bits
        Bits of currents and voltages, sign not counted.
    bias_bits, bias_exponent_bits
        Mantissa and exponent of a bias.
    decay_bits
        Bits of the share of current or voltage that is lost in one step.
    threshold_bits, threshold_exponent
        Mantissa of a threshold and its fixed exponent to base 2.
    longest_refractory_steps
        Largest value of the register of the refractory period, which counts whole steps and the spike's own.
    """

    weight_bits: Annotated[int, Field(ge=2, le=16)] | None = None
    weight_exponent_lowest: int | None = None
    input_bits: Count | None = None
    state_bits: Count | None = None
    bias_bits: Count | None = None
    bias_exponent_bits: Count | None = None
    decay_bits: Count | None = None
    threshold_bits: Count | None = None
    threshold_exponent: Annotated[int, Field(ge=0)] | None = None
    longest_refractory_steps: Count | None = None


class Capacity(Settings):
    """What fits where; None where there is no limit.

    The last two, kinds of compartments and thresholds that a core tells apart, are limits that only the board checks:
    an emulator runs what exceeds them.
    """

    compartments_per_core: Count | None = None
    input_axons_per_core: Count | None = None
    output_axons_per_core: Count | None = None
    synapse_bits_per_core: Count | None = None
    cores_per_chip: Count | None = None
    chips: Count | None = None
    compartment_configs_per_core: Count | None = None
    thresholds_per_core: Count | None = None


class DecodeNeuronSettings(Settings):
    """The spiking neurons that carry latents from decoders to encoders; see `ddm2snn.hardware.decode_neurons`.

    Parameters
    ----------
    pairs_per_latent
        Pairs of an on and an off neuron for each latent.
    bias_hz
        Lowest and highest current of decode neurons at latent zero, in Hz; the pairs spread over it. Registers of
        biases are small: large biases leave few bits for decoders.
    swing_hz
        Change of the current from latent zero to the radius.
    filter_s
        Time constant of the synapse behind them, NengoLoihi's `decode_tau`; 0 is none.
    radius_quantile, radius_margin
        The radius, beyond which a latent saturates, is this margin times this quantile of the latents' size.
    """

    pairs_per_latent: Count = 10
    bias_hz: tuple[_Finite, _Finite] = (-50.0, 50.0)
    swing_hz: Positive = 300.0
    filter_s: NotNegative = 0.005
    radius_quantile: Annotated[float, Field(gt=0, le=1)] = 0.999
    radius_margin: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.1


class PlacementSettings(Settings):
    """Where things go.

    Parameters
    ----------
    block_compartments
        Neurons of one population on a core; by default as many as fit.
    allocator
        NengoLoihi's allocator of cores to chips: fill a chip before the next, or take turns.
    inputs, noise
        Where stimuli and latent noise are made; the host sends both as spikes.
    """

    block_compartments: Count | None = None
    allocator: Literal["greedy", "round-robin"] = "greedy"
    inputs: Literal["host"] = "host"
    noise: Literal["host"] = "host"

    @field_validator("noise", mode="before")
    @classmethod
    def _from_the_host(cls, value: object) -> object:
        if value == "chip":
            raise ValueError(
                "noise of compartments is not offered: nengo-loihi 1.1.0 refuses ensemble.noise, its builder for the "
                "board leaves noise unset, and each decode neuron would have noise of its own; use 'host'"
            )
        return value


class EnergySettings(Settings):
    """Published energy of one operation in picojoule.

    Parameters
    ----------
    synaptic_operation_pj
        One weight read and added.
    active_update_pj, inactive_update_pj
        Update of a compartment in a step in which it fires, and in any other.
    spike_within_tile_pj
        Way of a message to a core of the same tile.
    message_pj
        One message for each core that a spike goes to; None where nobody has published it.
    hop_x_pj, hop_y_pj
        Way of a message to the next tile of its row, and of its column; likewise.
    """

    synaptic_operation_pj: NotNegative
    active_update_pj: NotNegative
    inactive_update_pj: NotNegative
    spike_within_tile_pj: NotNegative
    message_pj: NotNegative | None = None
    hop_x_pj: NotNegative | None = None
    hop_y_pj: NotNegative | None = None


class TimeSettings(Settings):
    """Published time of one operation in nanoseconds.

    Parameters
    ----------
    synaptic_operation_ns, update_ns, spike_ns
        One weight read and added; update of a compartment; what a spike takes on top.
    message_out_ns, message_in_ns
        A message at the core that sends it, and at the core that receives it.
    hop_x_ns, hop_y_ns
        Way to the next tile of a row, and of a column.
    barrier_ns
        Pairs of a number of tiles and the time in which so many agree that a step is over, in rising order. Of the
        pairs with no more tiles than are in use, the last counts.
    """

    synaptic_operation_ns: NotNegative
    update_ns: NotNegative
    spike_ns: NotNegative
    message_out_ns: NotNegative
    message_in_ns: NotNegative
    hop_x_ns: NotNegative
    hop_y_ns: NotNegative
    barrier_ns: Annotated[tuple[tuple[Count, NotNegative], ...], Field(min_length=1)]


class MeshSettings(Settings):
    """Tiles of a chip: some cores each, in rows and columns, numbered column by column."""

    cores_per_tile: Count
    columns: Count
    rows: Count


class HardwareConfig(Settings):
    """One target device.

    Parameters
    ----------
    name, summary, source
        Stable name, one line, and where the numbers come from.
    target
        Name of the backend that runs it: "nengo-loihi" (its emulator or the board), "quantised", this project's own
        arithmetic, or that of another adapter.
    step_s
        Time step in seconds where the device fixes it.
    precision
        Bits of weights, states, biases and decays.
    capacity
        Compartments, axons and synapse memory per core, cores and chips.
    decode_neurons
        How latents travel from decoders to encoders.
    placement
        Blocks, allocator, and where inputs and noise are made.
    energy, time
        Energy and time of each operation, where they were published.
    mesh
        How cores lie on tiles, and tiles on a chip.

    Examples
    --------
    >>> device = HardwareConfig(name="mine", summary="a chip", source="a data sheet", precision={"weight_bits": 4})
    >>> device
    HardwareConfig('mine', target='quantised', weight_bits=4, compartments_per_core=None, chips=None)
    >>> device.unrounded.precision.weight_bits is None
    True
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    summary: str
    source: str
    target: Annotated[str, Field(min_length=1)] = "quantised"
    step_s: Positive | None = None
    precision: Precision = Precision()
    capacity: Capacity = Capacity()
    decode_neurons: DecodeNeuronSettings = DecodeNeuronSettings()
    placement: PlacementSettings = PlacementSettings()
    energy: EnergySettings | None = None
    time: TimeSettings | None = None
    mesh: MeshSettings | None = None

    def __repr__(self) -> str:
        capacity = self.capacity
        return (
            f"HardwareConfig({self.name!r}, target={self.target!r}, weight_bits={self.precision.weight_bits}, "
            f"compartments_per_core={capacity.compartments_per_core}, chips={capacity.chips})"
        )

    @property
    def unrounded(self) -> HardwareConfig:
        """The same device in floating point: no number of bits."""
        return self.model_copy(update={"precision": Precision()})

    def computes_as(self, other: HardwareConfig | None) -> bool:
        """Whether a network computes alike on both, so that one converted for the other needs no new decoders."""
        alike = ("step_s", "precision", "decode_neurons", "placement")
        size = {"chips": None, "cores_per_chip": None}
        return (
            other is not None
            and all(getattr(self, name) == getattr(other, name) for name in alike)
            and self.capacity.model_copy(update=size) == other.capacity.model_copy(update=size)
        )

    def as_json(self) -> dict[str, Any]:
        """Every setting, as JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def of(cls, value: object) -> HardwareConfig:
        """Configuration as it is, or of what `as_json` gave; what is None may be missing there.

        Raises
        ------
        InputError
            Where it is none.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise InputError(f"hardware must be a HardwareConfig or None, got {value!r}. Use find_hardware.")
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InputError(f"hardware is no configuration: {explain(error, cls)}") from error
