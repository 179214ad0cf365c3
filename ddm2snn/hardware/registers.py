"""Registers of a device: the arithmetic of nengo-loihi's discretisation, for any number of bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ddm2snn.base.hardware_config import Precision
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

Rounding = Literal["deterministic", "stochastic"]
_REAL_EXPONENT = 6  # a weight of exponent 0 counts 2^6: nengo_loihi.block.SynapseConfig.get_real_weight_exp
_FULL_BITS = 8  # exponents refer to weights of 8 bits, whatever fewer there are
_LOWEST_SHIFT = -6  # nengo_loihi.builder.discretize.discretize_synapse
_LOSS = 0.494  # what rounding down loses in a step: nengo_loihi.builder.discretize.decay_magnitude
_IMPULSE = 2**21  # size of the impulse whose sum of decays is scaled to one, as there


@dataclass(frozen=True, eq=False)
class Block:
    r"""Compartments of one core in continuous numbers, of 32 bits as the builder of nengo-loihi has them.

    .. math:: u' = (1 - \delta_u) u + \delta_u \textstyle\sum w, \qquad
        v' = (1 - \delta_v) v + \sigma (u' + \beta), \qquad \sigma = \delta_v \text{ or } 1

    The losses :math:`\delta` are shares that are lost in one step. Groups of weights may have exponents of their own. A
    compartment fires above the threshold, and its voltage is then held at zero for the refractory steps. Where it is
    leaky, :math:`\sigma = \delta_v`.
    """

    name: str
    synapses: tuple[Float[np.ndarray, "axon compartment"], ...]
    bias: Float[np.ndarray, " compartment"]
    threshold: float
    current_loss: float
    voltage_loss: float
    refractory_steps: int
    leaky: bool


@dataclass(frozen=True, eq=False)
class Registers:
    """A block as a device computes with it; whole numbers, or floating point where the device has no bits.

    `weights` and `exponents`, to base 2, are those of each group of synapses. Decays are shares that are left after one
    step. `per_current`, `per_voltage` and `per_weight` are register units for one unit. Sums of weights wrap around at
    `input_limit`, states at `state_limit`, and voltages stop at `voltage_limit`; all are infinite without bits.
    `saturated` is the share of weights that were clipped, `flushed` that of weights that became zero.
    """

    weights: tuple[Float[np.ndarray, "axon compartment"], ...]
    exponents: tuple[int, ...]
    bias: Float[np.ndarray, " compartment"]
    threshold: float
    current_decay: float
    voltage_decay: float
    refractory_steps: int
    per_current: float
    per_weight: float
    per_voltage: float = 1.0
    input_limit: float = np.inf
    state_limit: float = np.inf
    voltage_limit: float = np.inf
    saturated: float = 0.0
    flushed: float = 0.0

    def __repr__(self) -> str:
        arithmetic = "whole numbers" if self.whole else "floating point"
        return f"Registers({len(self.bias)} compartments, {arithmetic}, exponents={self.exponents})"

    @property
    def whole(self) -> bool:
        """Whether the device rounds."""
        return np.isfinite(self.state_limit)


def check_precision(precision: Precision) -> bool:
    """Whether a device has bits; refused where it has some, but not all of them."""
    bits = {name: value for name, value in precision.model_dump().items() if value is not None}
    missing = [name for name in type(precision).model_fields if name not in bits]
    if bits and missing:
        raise InputError(
            f"A quantised device needs every number of [precision]; {', '.join(missing)} are missing. "
            "Give them, or none for floating point."
        )
    return bool(bits)


def loss_of(tau_s: float, dt_s: float) -> float:
    """Share that is lost in one step: 1 - exp(-dt / tau), and all of it where tau is zero, in 32 bits.

    >>> loss_of(tau_s=0.02, dt_s=0.001)
    0.04877057671546936
    """
    return float(np.float32(1.0 if tau_s == 0 else -np.expm1(-dt_s / tau_s)))


def latent_decay(precision: Precision, loss: float) -> float:
    """Share of a current that is left after one step, as the device rounds it.

    >>> from ddm2snn import find_hardware
    >>> latent_decay(find_hardware("loihi1-emulator").precision, loss=0.01)
    0.989990234375
    """
    if precision.decay_bits is None:
        return 1.0 - loss
    return (2**precision.decay_bits - 1 - _current_register(loss, precision.decay_bits)) / 2**precision.decay_bits


def registers_of(
    block: Block,
    precision: Precision,
    rounding: Rounding = "deterministic",
    rng: np.random.Generator | None = None,
) -> Registers:
    """Put a block into registers; stochastic rounding of weights needs `rng`.

    Refused are missing bits, and thresholds, biases or weights of very different size that no exponent lets fit.
    """
    if not check_precision(precision):
        return _in_floating_point(block)
    bits = _Bits(precision)
    voltage_register = int(np.round(np.float32(block.voltage_loss) * np.float32(bits.levels - 1)))
    current_register = _current_register(block.current_loss, bits.decay)
    per_u = 1.0 / _summed_decay(current_register, bits.decay, offset=1)
    per_v = 1.0 / _summed_decay(voltage_register, bits.decay) if block.leaky else 1.0
    largest = [np.abs(group).max() if group.size else np.float32(0) for group in block.synapses]
    w_scale, exponent, v_scale = _scales(block, bits, max(largest, default=np.float32(0)), per_u, per_v)
    weights, exponents, counts = [], [], np.zeros(3)
    for group, most in zip(block.synapses, largest, strict=True):
        apart = int(np.floor(np.log2(max(largest) / most))) if most > 1e-16 else exponent - _LOWEST_SHIFT
        own = max(exponent - apart, _LOWEST_SHIFT)
        if own > exponent - apart and most > 1e-16:
            raise InputError(
                f"{block.name}: some synapses have weights of {most:g} at most, others of {max(largest):g}; they need "
                f"exponent {exponent - apart}, and the lowest is {own}: they would come out "
                f"{2 ** (own - exponent + apart)} times too large. Use a larger stimulus or noise, or none."
            )
        scaled = group * w_scale * 2**apart
        whole, clipped = _weights(scaled, own, bits, rounding, rng)
        counts += (clipped, ((whole == 0) & (group != 0)).sum(), max(group.size, 1))
        weights.append(whole)
        exponents.append(own)
    threshold = np.round(np.round(block.threshold * v_scale) / bits.threshold_unit) * bits.threshold_unit
    return Registers(
        weights=tuple(weights),
        exponents=tuple(exponents),
        bias=_biases(block, v_scale * per_v, bits),
        threshold=float(threshold),
        current_decay=(bits.levels - 1 - current_register) / bits.levels,
        voltage_decay=(bits.levels - voltage_register) / bits.levels,
        refractory_steps=block.refractory_steps,
        per_current=float(v_scale * per_v),
        per_voltage=float(v_scale),
        per_weight=float(w_scale) * 2.0 ** (_REAL_EXPONENT + exponent),
        input_limit=2.0**bits.input,
        state_limit=2.0**bits.state,
        voltage_limit=2.0**bits.state - 1.0,
        saturated=float(counts[0] / counts[2]),
        flushed=float(counts[1] / counts[2]),
    )


class _Bits:
    """The numbers of a precision in which nothing is missing."""

    def __init__(self, precision: Precision) -> None:
        values = {name: int(value) for name, value in precision.model_dump().items() if value is not None}
        self.decay, self.input, self.state = values["decay_bits"], values["input_bits"], values["state_bits"]
        self.levels = 2**self.decay
        self.lowest_exponent = values["weight_exponent_lowest"]
        self.largest_weight = 2 ** (values["weight_bits"] - 1) - 1
        self.weight_shift = _FULL_BITS - values["weight_bits"] + 1  # weights of either sign give up a bit
        self.threshold_unit = 2 ** values["threshold_exponent"]
        self.largest_threshold = (2 ** values["threshold_bits"] - 1) * self.threshold_unit
        self.largest_bias_mantissa = 2 ** values["bias_bits"] - 1
        self.largest_bias = self.largest_bias_mantissa * 2 ** (2 ** values["bias_exponent_bits"] - 1)


def _current_register(loss: float, bits: int) -> int:
    """Register of the share that a current loses in a step: the chip adds one to it."""
    most = np.float32(2**bits - 1)
    return int(np.round(np.clip(np.float32(loss) * most - np.float32(1), 0, most)))


def _summed_decay(register: int, bits: int, offset: int = 0) -> float:
    r"""Sum of :math:`x_{i+1} = \lfloor r x_i \rfloor` over an impulse, relative to it, with the mean loss of a floor.

    .. math:: y_n = r^n x_0 - q \frac{1 - r^n}{1 - r}, \qquad r = 1 - (d + o)/2^b,

    summed until y reaches zero (nengo_loihi.builder.discretize.decay_magnitude).
    """
    decay = (2**bits - offset - register) / 2**bits
    last = -np.log1p(_IMPULSE * (1 - decay) / _LOSS) / np.log(decay)
    geometric = (1 - decay ** (last + 1)) / (1 - decay)
    rounded_off = _LOSS / ((1 - decay) * _IMPULSE) * (last + 1 - geometric)
    return geometric - rounded_off


def _scales(
    block: Block, bits: _Bits, largest: np.float32, per_u: float, per_v: float
) -> tuple[np.float32 | float, int, float]:
    """Scale of weights, shared exponent, and register units of one unit of voltage."""

    def fits(v_scale: float) -> bool:
        biases = np.abs(np.round(block.bias.astype(np.float64) * (v_scale * per_v)))
        return bool(np.round(block.threshold * v_scale) <= bits.largest_threshold and biases.max() <= bits.largest_bias)

    if largest > 1e-8:
        w_scale = np.float32(255.0) / largest
        unit = 1.0 / (per_u * per_v) * float(w_scale)
        for exponent in range(0, bits.lowest_exponent - 1, -1):
            v_scale = unit * 2.0 ** (_REAL_EXPONENT + exponent)
            if fits(v_scale):
                return w_scale, exponent, v_scale
        raise _out_of_range(block, bits, unit * 2.0 ** (_REAL_EXPONENT + bits.lowest_exponent), per_v)
    largest_bias = float(np.abs(block.bias).max())
    b_scale = bits.largest_bias / largest_bias if largest_bias > 1e-8 else 0.0
    while b_scale * largest_bias > 1:
        v_scale = b_scale / per_v
        if np.round(block.threshold * v_scale) <= bits.largest_threshold:
            return b_scale * per_u / 2.0**_REAL_EXPONENT, 0, v_scale
        b_scale /= 2.0
    raise InputError(f"{block.name} has neither weights nor biases that a device could hold. Nothing would ever spike.")


def _weights(
    scaled: np.ndarray, exponent: int, bits: _Bits, rounding: Rounding, rng: np.random.Generator | None
) -> tuple[np.ndarray, int]:
    """Whole weights times 2^(6 + exponent), and how many were clipped."""
    most, shift = bits.largest_weight, bits.weight_shift
    rounded = _round(scaled / np.float32(2.0**shift), rounding, rng)
    mantissas = np.clip(rounded, -most, most)
    beyond = shift + exponent
    if beyond < 0:  # the chip shifts to the right before it shifts to the left: these bits are lost
        mantissas = np.trunc(np.clip(_round(mantissas * 2.0**beyond, rounding, rng) / 2.0**beyond, -most, most))
    whole = np.floor(mantissas * 2.0**beyond) * 2.0**_REAL_EXPONENT
    return whole.astype(np.float64), int((np.abs(rounded) > most).sum())


def _out_of_range(block: Block, bits: _Bits, v_scale: float, per_v: float) -> InputError:
    """What threshold and biases need in registers at the lowest exponent of weights."""
    threshold, bias = block.threshold * v_scale, float(np.abs(block.bias).max()) * v_scale * per_v
    factor = max(threshold / bits.largest_threshold, bias / bits.largest_bias)
    return InputError(
        f"{block.name}: no exponent of weights lets threshold and biases fit. At the lowest, {bits.lowest_exponent}, "
        f"the threshold needs {threshold:.0f} of {bits.largest_threshold} register units and the largest bias "
        f"{bias:.0f} of {bits.largest_bias}. Use weights that are {factor:.4g} times as large: for neurons by fewer "
        f"decode_neurons.pairs_per_latent, for decode neurons by a larger decode_neurons.swing_hz."
    )


def _round(values: np.ndarray, rounding: Rounding, rng: np.random.Generator | None) -> np.ndarray:
    if rounding == "deterministic":
        return np.round(values)
    if rng is None:
        raise InputError("Stochastic rounding draws random numbers, but no rng was given. Give one.")
    return np.floor(values + rng.random(values.shape, dtype=np.float32))


def _biases(block: Block, b_scale: float, bits: _Bits) -> Float[np.ndarray, " compartment"]:
    """Biases as mantissa times a power of two."""
    whole = np.round(block.bias.astype(np.float64) * b_scale)
    power = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(whole) / bits.largest_bias_mantissa, 1.0)))
    return np.round(whole / power) * power


def _in_floating_point(block: Block) -> Registers:
    """The same dynamics without bits; scales of current and voltage go into weights and biases."""
    per_current = block.voltage_loss if block.leaky else 1.0
    return Registers(
        weights=tuple(group.astype(np.float64) * block.current_loss * per_current for group in block.synapses),
        exponents=(0,) * len(block.synapses),
        bias=block.bias.astype(np.float64) * per_current,
        threshold=block.threshold,
        current_decay=1.0 - block.current_loss,
        voltage_decay=1.0 - block.voltage_loss,
        refractory_steps=block.refractory_steps,
        per_current=per_current,
        per_weight=block.current_loss * per_current,
    )
