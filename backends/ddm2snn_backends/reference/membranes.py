"""Membranes of every neuron model in NumPy: `step` takes the current of one step and tells who fired."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.neuron import LIF, AdaptiveLIF, LoihiLIF, NeuronModel, RectifiedLinear, SpikeTiming

_HALVINGS = 52  # of a step, to find a crossing in it to the last bit


class Membrane(Protocol):
    """State of a population that goes on by one step at a time."""

    def step(self, current: Float[np.ndarray, "... neuron"], timing: SpikeTiming) -> Bool[np.ndarray, "... neuron"]:
        """Go on by one step at constant current and tell which neurons fired in it."""
        ...


def membrane_of(neuron: NeuronModel, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> Membrane:
    """Membranes of a neuron model that start at given voltages."""
    return _MEMBRANES[neuron.name](neuron, voltage, dt_s)


class LeakyMembrane:
    """Membranes of LIF neurons: exact over one step at constant current, voltages at or above reset."""

    def __init__(self, neuron: LIF, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> None:
        self.neuron, self.dt_s, self.voltage = neuron, dt_s, voltage.copy()
        taus_s: Any = neuron.tau_membrane_s
        self.taus_s = np.broadcast_to(taus_s, voltage.shape)
        self.wait_s = np.zeros_like(voltage)  # what is left of the refractory period

    def step(self, current: Float[np.ndarray, "... neuron"], timing: SpikeTiming) -> Bool[np.ndarray, "... neuron"]:
        """Go on by one step; see `Membrane`."""
        dt_s, taus_s = self.dt_s, self.taus_s
        free_s = _free_s(self.wait_s, dt_s, timing)
        voltage = np.maximum(current + (self.voltage - current) * np.exp(-free_s / taus_s), 0.0)
        fired = voltage > 1.0
        overshoot_s = np.zeros_like(voltage)
        if timing == "interpolated":
            overshoot_s[fired] = -taus_s[fired] * np.log1p((1.0 - voltage[fired]) / (current[fired] - 1.0))
        self.wait_s = np.where(fired, self.neuron.refractory_s - overshoot_s, np.maximum(self.wait_s - dt_s, 0.0))
        self.voltage = np.where(fired, 0.0, voltage)
        return fired


class LinearMembrane:
    """Membranes of rectified linear neurons: at most one spike in a step, what is above threshold stays."""

    def __init__(self, neuron: RectifiedLinear, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> None:
        self.per_step, self.voltage = dt_s / neuron.tau_membrane_s, voltage.copy()

    def step(self, current: Float[np.ndarray, "... neuron"], timing: SpikeTiming) -> Bool[np.ndarray, "... neuron"]:
        """Go on by one step; see `Membrane`. Spikes fall on the grid in either timing."""
        voltage = self.voltage + np.maximum(current, 0.0) * self.per_step
        fired = voltage > 1.0
        self.voltage = np.where(fired, np.minimum(voltage - 1.0, 1.0), voltage)
        return fired


class AdaptiveMembrane:
    """Membranes of LIF neurons whose threshold rises with each spike and decays."""

    def __init__(self, neuron: AdaptiveLIF, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> None:
        self.neuron, self.dt_s, self.voltage = neuron, dt_s, voltage.copy()
        self.wait_s, self.raised = np.zeros_like(voltage), np.zeros_like(voltage)  # raised: threshold above rest

    def step(self, current: Float[np.ndarray, "... neuron"], timing: SpikeTiming) -> Bool[np.ndarray, "... neuron"]:
        """Go on by one step; see `Membrane`."""
        neuron, dt_s = self.neuron, self.dt_s
        free_s = _free_s(self.wait_s, dt_s, timing)
        voltage = np.maximum(current + (self.voltage - current) * np.exp(-free_s / neuron.tau_membrane_s), 0.0)
        raised = self.raised * np.exp(-dt_s / neuron.tau_threshold_s)
        fired = voltage > 1.0 + raised
        overshoot_s = np.zeros_like(voltage)
        if timing == "interpolated":
            overshoot_s[fired] = self._overshoot_s(current[fired], free_s[fired], fired)
        jump = neuron.threshold_jump * np.exp(-overshoot_s / neuron.tau_threshold_s)
        self.raised = np.where(fired, raised + jump, raised)
        self.wait_s = np.where(fired, neuron.refractory_s - overshoot_s, np.maximum(self.wait_s - dt_s, 0.0))
        self.voltage = np.where(fired, 0.0, voltage)
        return fired

    def _overshoot_s(
        self, current: Float[np.ndarray, " fired"], free_s: Float[np.ndarray, " fired"], fired: Bool[np.ndarray, "..."]
    ) -> Float[np.ndarray, " fired"]:
        """Time between the crossing of the threshold, found by halving, and the end of the step."""
        voltage, raised = self.voltage[fired], self.raised[fired]
        lower, upper = np.zeros_like(free_s), free_s
        for _ in range(_HALVINGS):
            middle = 0.5 * (lower + upper)
            reached = current + (voltage - current) * np.exp(-middle / self.neuron.tau_membrane_s)
            late = self.dt_s - free_s + middle
            above = reached > 1.0 + raised * np.exp(-late / self.neuron.tau_threshold_s)
            lower, upper = np.where(above, lower, middle), np.where(above, middle, upper)
        return free_s - upper


class LoihiMembrane:
    """Membranes of the Loihi-like LIF: whole steps and a rounded decay."""

    def __init__(self, neuron: LoihiLIF, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> None:
        self.decay, self.refractory_steps = neuron.decay(dt_s), neuron.refractory_steps(dt_s)
        self.voltage, self.wait = voltage.copy(), np.zeros(voltage.shape, dtype=np.int64)  # wait counts steps

    def step(self, current: Float[np.ndarray, "... neuron"], timing: SpikeTiming) -> Bool[np.ndarray, "... neuron"]:
        """Go on by one step; see `Membrane`. Spikes fall on the grid in either timing."""
        voltage = np.maximum((1.0 - self.decay) * self.voltage + self.decay * current, 0.0)
        voltage = np.where(self.wait > 0, 0.0, voltage)
        fired = voltage > 1.0
        self.wait = np.where(fired, self.refractory_steps, np.maximum(self.wait - 1, 0))
        self.voltage = np.where(fired, 0.0, voltage)
        return fired


_MEMBRANES: dict[str, Callable[..., Membrane]] = {
    "lif": LeakyMembrane,
    "rectified-linear": LinearMembrane,
    "adaptive-lif": AdaptiveMembrane,
    "loihi-lif": LoihiMembrane,
}
"""Membranes by the name of the neuron model."""


def _free_s(wait_s: Float[np.ndarray, "..."], dt_s: float, timing: SpikeTiming) -> Float[np.ndarray, "..."]:
    """Return the part of the step that is not refractory."""
    free_s = np.clip(dt_s - wait_s, 0.0, dt_s)
    if timing == "grid":
        free_s = np.where(free_s > 0.5 * dt_s, dt_s, 0.0)  # whole steps only, whatever rounding left
    return free_s
