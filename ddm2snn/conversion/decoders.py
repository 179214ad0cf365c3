"""Decoders: what each spike adds to the latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jaxtyping import Float

    from ddm2snn.conversion.population import Encoding
    from ddm2snn.hardware.device import Device
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import NeuronModel, SpikeTiming


@dataclass(frozen=True)
class Static:
    """Regularised least squares on the f-I curve of the simulator that will run the network.

    Parameters
    ----------
    ridge
        Regularisation as a share of the highest rate, as in the Neural Engineering Framework
        (Eliasmith, Anderson, Neural Engineering, 2003): rates are treated as if they carried noise of
        this size.
    compensate_lag
        Whether to regress against the rates that neurons have while the latent moves along the flow.
    """

    ridge: float = 0.01
    compensate_lag: bool = True

    def __post_init__(self) -> None:
        check_positive("Static", ridge=self.ridge)


@dataclass(frozen=True)
class Clockwork:
    """The time scales and spike timing that decoders are solved for, and the device, if one is in the loop."""

    time_unit_s: float
    dt_s: float
    timing: SpikeTiming
    device: Device | None = None

    @property
    def decay(self) -> float:
        """What remains of a latent after one step: exp(-dt/T), or what a device makes of it."""
        return float(np.exp(-self.dt_s / self.time_unit_s)) if self.device is None else self.device.kept


def flow(rate: RateNetwork, z: Float[np.ndarray, "sample rank"], step: float) -> Float[np.ndarray, "sample rank"]:
    """Noise-free state one `step` (rate time units) later, by one classical Runge-Kutta step, internal units."""

    def drift(state: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank"]:
        return rate.internal_readout(state) - state

    k1 = drift(z)
    k2 = drift(z + 0.5 * step * k1)
    k3 = drift(z + 0.5 * step * k2)
    k4 = drift(z + step * k3)
    return z + step / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)


def regression_target(
    rate: RateNetwork, z: Float[np.ndarray, "sample rank"], clockwork: Clockwork
) -> Float[np.ndarray, "sample rank"]:
    r"""What the decoded spikes of one step must be for the latent to follow the flow exactly.

    The loop computes :math:`z' = a z + (1-a) y` with :math:`a = e^{-dt/T}`, so
    :math:`y = (\varphi_{dt}(z) - a z) / (1-a)`. In the limit of a short step y is
    :math:`W_s\phi(\Gamma z + b)`; at a finite step this removes the lag of half a step.
    """
    step, decay = clockwork.dt_s / clockwork.time_unit_s, clockwork.decay
    return (flow(rate, z, step) - decay * z) / (1.0 - decay)


def rates_along_flow(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    z: Float[np.ndarray, "sample rank"],
    clockwork: Clockwork,
    *,
    compensate_lag: bool,
) -> Float[np.ndarray, "sample neuron"]:
    """Rates in Hz at latents that move with the flow, F(J + lead dJ/dt), or that stand still, F(J)."""
    current = encoding.currents(z)
    if compensate_lag:
        speed_per_s = (rate.internal_readout(z) - z) / clockwork.time_unit_s
        lead_s = np.clip(neuron.lead_s(current), 0.0, neuron.longest_lead_s)
        current = current + lead_s * (speed_per_s @ encoding.encoders.T)
    return neuron.rate_hz(current, timing=clockwork.timing, dt_s=clockwork.dt_s)


def decode_static(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    settings: Static,
    z: Float[np.ndarray, "sample rank"],
    judged: Float[np.ndarray, "sample rank"],
) -> tuple[Float[np.ndarray, "rank neuron"], Float[np.ndarray, "sample rank"]]:
    """Decoders solved for at the states `z`, and what they decode at the states `judged`.

    Memory is that of the curves where there are no more neurons than samples, and otherwise that of a matrix
    (sample, sample) and of the curves of some of the neurons.
    """

    def curves(states: Float[np.ndarray, "sample rank"]) -> Iterator[tuple[slice, Float[np.ndarray, "sample part"]]]:
        lag = settings.compensate_lag
        for part, some in encoding.parts(len(states)):
            yield part, rates_along_flow(rate, some, neuron.part(part), states, clockwork, compensate_lag=lag)

    target, neurons = regression_target(rate, z, clockwork), len(encoding.bias)
    if neurons <= len(z):
        rates_hz = np.concatenate([part for _, part in curves(z)], axis=1)
        decoders = solve_static(rates_hz, target, settings.ridge)
    else:
        decoders = _solve_in_parts(lambda: curves(z), target, neurons, settings.ridge)
    return decoders, sum((rates_hz @ decoders[:, part].T for part, rates_hz in curves(judged)), np.zeros_like(judged))


def _solve_in_parts(
    curves: Callable[[], Iterable[tuple[slice, Float[np.ndarray, "sample part"]]]],
    target: Float[np.ndarray, "sample rank"],
    neurons: int,
    ridge: float,
) -> Float[np.ndarray, "rank neuron"]:
    r"""What `solve_static` finds, from curves of some neurons at a time.

    :math:`D = y^\top (A A^\top + \lambda)^{-1} A` with :math:`A A^\top` the sum over the parts.
    """
    from scipy.linalg import cho_factor, cho_solve, get_blas_funcs

    samples, highest = len(target), 1e-12
    gram = np.zeros((samples, samples), order="F")
    (add_square,) = get_blas_funcs(("syrk",), (gram,))
    for _, rates_hz in curves():
        gram = add_square(1.0, rates_hz.T, beta=1.0, c=gram, trans=1, lower=1, overwrite_c=1)  # in place
        highest = max(highest, float(rates_hz.max()))
    gram[np.diag_indices(samples)] += samples * (ridge * highest) ** 2
    weights = cho_solve(cho_factor(gram, lower=True, overwrite_a=True), target)
    decoders = np.empty((target.shape[1], neurons))
    for part, rates_hz in curves():
        decoders[:, part] = weights.T @ rates_hz
    return decoders


def solve_static(
    rates_hz: Float[np.ndarray, "sample neuron"], target: Float[np.ndarray, "sample rank"], ridge: float
) -> Float[np.ndarray, "rank neuron"]:
    r"""Decoders :math:`D = \arg\min \langle|A D^\top - y|^2\rangle + (\text{ridge}\,\max A)^2 |D|^2`."""
    from scipy.linalg import solve

    samples, neurons = rates_hz.shape
    penalty = samples * (ridge * max(rates_hz.max(), 1e-12)) ** 2
    if neurons <= samples:
        gram = rates_hz.T @ rates_hz + penalty * np.eye(neurons)
        return solve(gram, rates_hz.T @ target, assume_a="pos").T
    gram = rates_hz @ rates_hz.T + penalty * np.eye(samples)
    return (rates_hz.T @ solve(gram, target, assume_a="pos")).T
