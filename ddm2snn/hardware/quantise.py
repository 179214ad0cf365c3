"""The verb `quantise`: the spiking network that a device would run, and what rounding does to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.errors import InputError
from ddm2snn.hardware.device import Device, Machine, device_of, machine_of, per_compartment
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.registers import Block, Registers, Rounding, check_precision, loss_of, registers_of
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import LoihiLIF

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class RoundedWeights:
    """What rounding does to weights of one kind.

    The lowest of the `exponents`, to base 2 for each group of weights, shifts `bits_lost` out. `saturated_share` was
    clipped and `flushed_share` became zero. `relative_error` is the norm of the error over that of the weights.
    """

    bits_lost: int
    bits_left: int
    saturated_share: float
    flushed_share: float
    exponents: tuple[int, ...]
    relative_error: float


@dataclass(frozen=True)
class QuantisationDiagnostics:
    """What rounding does to a network; None where the device has no bits, and nothing was rounded.

    `bias_error` is relative, and the time constants are those of the rounded decays.
    """

    hardware: str
    rounding: Rounding | None = None
    encoders: RoundedWeights | None = None
    decoders: RoundedWeights | None = None
    bias_error: float | None = None
    tau_membrane_s: float | None = None
    time_unit_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        if self.rounding is None:
            return {"hardware": self.hardware, "rounding": None}
        content = asdict(self)
        for name in ("encoders", "decoders"):
            content[name]["exponents"] = list(content[name]["exponents"])
        bias = {"relative_error": content.pop("bias_error")}
        return content | {"bias": bias}


@dataclass(frozen=True)
class Quantisation:
    """A network in a device's numbers, and what rounding did to it."""

    network: SpikingNetwork
    diagnostics: QuantisationDiagnostics


def quantise(
    network: SpikingNetwork,
    config: HardwareConfig,
    *,
    rounding: Rounding = "deterministic",
    rng: np.random.Generator | None = None,
) -> Quantisation:
    r"""Round encoders, biases, decoders, thresholds and decays as a device does.

    Every block of the device has a power of two in common, every weight is a whole number of few bits times it. The
    result is in the units of `network`: encoders and biases in units of the rounded threshold, decoders per Hz, and
    time constants that have the rounded decays,

    .. math:: \tau = -dt / \ln(1 - \delta / 2^b).

    The decode neurons between latents and encoders, and their delay, are no part of a SpikingNetwork: the backend
    "quantised" runs them as well. For a device without bits the result is `network`.

    Parameters
    ----------
    rounding, rng
        "deterministic" rounds weights to the nearest, "stochastic" up or down by chance, right on average; the
        latter needs `rng`.

    Raises
    ------
    InputError
        Where the device cannot hold it.
    """
    if not network.neuron.runs_on_loihi or network.diffusion_decoders is not None:
        raise InputError(
            f"A device holds LIF neurons and constant diffusion, got {network.neuron.name}"
            f"{' and diffusion_decoders' if network.diffusion_decoders is not None else ''}. Convert to LIF neurons."
        )
    if not check_precision(config.precision):
        return Quantisation(network, QuantisationDiagnostics(config.name))
    device = device_of(network, config, network.dt_s)
    machine = machine_of(network, device, rounding=rounding, rng=rng)
    decay = machine.population[0].voltage_decay
    rounded = replace(
        network,
        **_rounded_arrays(network, machine),
        neuron=LoihiLIF(-network.dt_s / np.log(decay), network.neuron.refractory_s, config.precision.decay_bits or 12),
        time_unit_s=float(-network.dt_s / np.log(device.decay)),
        provenance={**network.provenance, "quantised": {"hardware": config.name, "rounding": rounding}},
    )
    return Quantisation(rounded, _diagnostics(network, rounded, machine, rounding))


def _rounded_arrays(network: SpikingNetwork, machine: Machine) -> dict[str, np.ndarray]:
    """Encoders, biases and decoders that a machine's registers stand for, in the units of the network."""
    decode, rank, dt_s = machine.device.decode_neurons, network.rank, network.dt_s
    # axons of the first on neurons, one for each latent, carry the encoders; other decode neurons carry the same
    threshold = per_compartment(machine.population, "threshold")
    share = per_compartment(machine.population, "per_voltage") / threshold  # of the threshold that was asked for
    encoders = np.zeros((network.neurons, rank))
    for group, first_on in enumerate(decode.first_on):  # each group's weights are rounded for themselves: their mean
        weights = np.concatenate([part.weights[group] / part.per_weight for part in machine.population], axis=1)
        encoders += (weights[:rank] * dt_s * (decode.share / decode.output)[first_on, None] * share).T
    bias = np.concatenate([part.bias / part.per_current for part in machine.population]) * share
    per_weight = per_compartment(machine.decode_neurons, "per_weight")
    scale = per_weight[decode.first_on] * decode.gain[decode.first_on] / dt_s
    decoders = [weights[:, :rank] / own for weights, own in zip(machine.decode_weights, scale, strict=True)]
    return {"encoders": encoders, "bias": bias, "decoders": np.concatenate(decoders).T}


def _diagnostics(
    network: SpikingNetwork, rounded: SpikingNetwork, machine: Machine, rounding: Rounding
) -> QuantisationDiagnostics:
    """Bits lost, shares of weights that were clipped or became zero, and relative errors."""
    config = machine.device.config
    bits = config.precision.weight_bits or 0

    def error(name: str) -> float:
        before, after = getattr(network, name), getattr(rounded, name)
        return float(np.linalg.norm(after - before) / max(np.linalg.norm(before), 1e-300))

    def of(parts: tuple[Registers, ...], name: str) -> RoundedWeights:
        exponents = tuple(exponent for part in parts for exponent in part.exponents)
        lost = max(_bits_lost(bits, exponent) for exponent in exponents)
        return RoundedWeights(
            bits_lost=lost,
            bits_left=bits - lost,
            saturated_share=float(np.mean([part.saturated for part in parts])),
            flushed_share=float(np.mean([part.flushed for part in parts])),
            exponents=exponents,
            relative_error=error(name),
        )

    return QuantisationDiagnostics(
        hardware=config.name,
        rounding=rounding,
        encoders=of(machine.population, "encoders"),
        decoders=of(machine.decode_neurons, "decoders"),
        bias_error=error("bias"),
        tau_membrane_s=rounded.neuron.single_tau_s,
        time_unit_s=rounded.time_unit_s,
    )


def _bits_lost(weight_bits: int, exponent: int) -> int:
    """Bits that an exponent shifts out of weights."""
    return max(0, -(9 - weight_bits + exponent))


def grid_of(decoders: Float[np.ndarray, "rank neuron"], device: Device) -> tuple[Float[np.ndarray, " rank"], float]:
    """Step of the grid of each latent's decoders, and the largest whole number of steps; an infinite one without bits.

    Input from the host with larger weights than any decoder makes the grid coarser than this; decoders that were
    rounded to this one gain nothing then.
    """
    precision, decode = device.config.precision, device.decode_neurons
    if precision.weight_bits is None:
        return np.zeros(len(decoders)), np.inf
    gain = np.abs(decode.gain[: len(decoders)])
    weights = (decoders.T * gain / device.dt_s).astype(np.float32)
    block = Block(
        "decoders", (weights,), np.full(len(decoders), np.abs(decode.bias_hz).max(), dtype=np.float32),
        1.0 / device.dt_s, loss_of(device.time_unit_s, device.dt_s), 0.0, 0, False,
    )  # fmt: skip
    registers = registers_of(block, precision)
    exponent = registers.exponents[0]
    unit = 2.0 ** (6 + max(0, 9 - precision.weight_bits + exponent))
    most = 2.0 ** (precision.weight_bits - 1 - _bits_lost(precision.weight_bits, exponent)) - 1.0
    return unit / registers.per_weight * device.dt_s / gain, most


def in_groups(neurons: int, rank: int, device: Device) -> bool:
    """Whether a device takes several groups of decode neurons for so many neurons."""
    return len(layout_of(neurons, rank, device.config).groups) > 1


def rounded_decoders(decoders: Float[np.ndarray, "rank neuron"], device: Device) -> Float[np.ndarray, "rank neuron"]:
    """Decoders, each rounded to the nearest that a device holds; one grid stands for those of its groups."""
    step, most = grid_of(decoders, device)
    if not step.all():
        return decoders
    return np.clip(np.round(decoders / step[:, None]), -most, most) * step[:, None]


def compensated(
    decoders: Float[np.ndarray, "rank neuron"], gram: Float[np.ndarray, "neuron neuron"], ridge: float, device: Device
) -> Float[np.ndarray, "rank neuron"]:
    r"""Round decoders one after the other, and move those still to come to where the error is smallest.

    With :math:`H^{-1} = U^\top U` of the regression's Gram matrix, decoder j rounded to q adds
    :math:`-(d_j - q) U_{ji} / U_{jj}` to each later decoder i (Hassibi, Stork, NIPS 1992; column by column as Frantar
    et al., GPTQ, ICLR 2023). Largest decoders come first, and the very largest stays: it sets the grid.
    """
    if in_groups(decoders.shape[1], len(decoders), device):
        return decoders  # the grid of each group follows from its decoders: it would move while they are rounded
    step, most = grid_of(decoders, device)
    if not step.all():
        return decoders
    scaled = decoders / step[:, None]
    order = np.argsort(-np.abs(scaled).max(axis=0), kind="stable")
    matrix = gram[np.ix_(order, order)].copy()
    matrix[np.diag_indices(len(order))] += ridge * np.trace(matrix) / len(order)
    upper = np.linalg.cholesky(np.linalg.inv(matrix)).T
    left, rounded = scaled[:, order].copy(), np.empty_like(scaled)
    for place, neuron in enumerate(order):
        rounded[:, neuron] = np.clip(np.round(left[:, place]), -most, most)
        error = (left[:, place] - rounded[:, neuron]) / upper[place, place]
        left[:, place + 1 :] -= error[:, None] * upper[place, place + 1 :]
    row, largest = np.unravel_index(np.abs(scaled).argmax(), scaled.shape)
    rounded[row, largest] = scaled[row, largest]  # rounds to the largest whole number again
    return rounded * step[:, None]
