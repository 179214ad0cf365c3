"""A network on a device, step by step in this project's own arithmetic: many trials at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.hardware.device import State, per_compartment, population_arrays, relay_arrays, state_at

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.hardware.device import Machine


@dataclass(frozen=True, eq=False)
class Start:
    """Registers at the start, for every trial: currents of decode neurons, voltages of neurons and decode neurons."""

    relay_current: Float[np.ndarray, "trial neuron"]
    voltage: Float[np.ndarray, "trial neuron"]
    relay_voltage: Float[np.ndarray, "trial neuron"]


def start_of(
    machine: Machine,
    latent: Float[np.ndarray, "trial rank"],
    voltage: Float[np.ndarray, "trial neuron"],
    relay_voltage: Float[np.ndarray, "trial neuron"],
) -> Start:
    """Registers for internal latents and for voltages between reset and threshold.

    The first step lets the latents decay before any spike arrives, so they start that much larger.
    """
    relay = machine.device.relay
    per_current = per_compartment(machine.relay, "per_current")
    current = latent[:, relay.latent] * relay.share * relay.gain * per_current / machine.relay[0].current_kept
    thresholds = (per_compartment(parts, "threshold") for parts in (machine.population, machine.relay))
    found = (current, *(v * top for v, top in zip((voltage, relay_voltage), thresholds, strict=True)))
    return Start(*(np.trunc(values) if machine.relay[0].whole else values for values in found))


class Chip:
    """A network in registers on many trials, run block by block.

    Parameters
    ----------
    machine
        The network in registers.
    start
        Registers at the start.
    """

    def __init__(self, machine: Machine, start: Start) -> None:
        rank = machine.device.relay.radius.shape[1]
        self._population, self._relay = population_arrays(machine.population), relay_arrays(machine)
        self._first, self._heads = machine.first_decode_neuron, machine.device.relay.heads
        self._inputs = np.zeros((2 * rank, len(self._relay[1])))
        if machine.amplitude is not None:
            self._inputs = np.ascontiguousarray(np.concatenate([part.weights[1] for part in machine.relay], axis=1))
        self._state: State = state_at(np.zeros_like(start.voltage), start.voltage)
        self._relay_state: State = state_at(start.relay_current, start.relay_voltage)
        self._per_latent, self._step = machine.per_latent, 0
        self.counts = np.zeros((len(start.voltage), 3), dtype=np.int64)

    def advance(
        self, signs: Int[np.ndarray, "trial step rank"], stride: int = 1, *, spikes: bool = False
    ) -> tuple[Float[np.ndarray, "trial sample rank"], np.ndarray]:
        """Go on by some steps.

        Parameters
        ----------
        signs
            Input spikes that arrive in each step: those of the step before, zero for none.
        stride
            Steps between samples.
        spikes
            Whether to keep the spikes.

        Returns
        -------
        latent
            Internal latents in every step whose number since the start is a multiple of `stride`.
        raster
            Spikes, shape (trial, step, neuron), with no steps unless asked for.
        """
        from ddm2snn.hardware.arithmetic import closed_loop

        trials, steps, _ = signs.shape
        offset = self._step % stride
        latent = np.zeros((trials, (offset + steps - 1) // stride + 1, *self._heads.shape))
        raster = np.zeros((trials, steps if spikes else 0, len(self._population[1])), dtype=np.uint8)
        closed_loop(
            signs, self._population, self._relay, self._first, self._heads, self._inputs, stride, offset, self._state,
            self._relay_state, latent, raster, self.counts,
        )  # fmt: skip
        self._step += steps
        return (latent[:, int(offset > 0) :] / self._per_latent).sum(axis=2), raster
