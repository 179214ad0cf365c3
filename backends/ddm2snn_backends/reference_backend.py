"""The semantics of a spiking network in a NumPy loop that can be checked by eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import (
    Consume,
    Network,
    Progress,
    Record,
    Unsupported,
    blocks,
    common_gaps,
    no_progress,
    open_loop,
    schedule,
)
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.randomness import stream
from ddm2snn.recording import Recording, Spikes
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_BLOCK = 512


class Population:
    """Membranes of LIF neurons; `step` takes the current of one step and tells who fired."""

    def __init__(self, network: SpikingNetwork, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> None:
        self.neuron, self.dt_s, self.voltage = network.neuron, dt_s, voltage.copy()
        self.wait_s = np.zeros_like(voltage)  # what is left of the refractory period

    def step(self, current: Float[np.ndarray, "... neuron"], timing: SpikeTiming) -> Bool[np.ndarray, "... neuron"]:
        """Exact membrane update over one step at constant current; voltages stay at or above reset."""
        tau_s, dt_s = self.neuron.tau_membrane_s, self.dt_s
        free_s = np.clip(dt_s - self.wait_s, 0.0, dt_s)  # the part of the step that is not refractory
        if timing == "grid":
            free_s = np.where(free_s > 0.5 * dt_s, dt_s, 0.0)  # whole steps only, whatever rounding left
        voltage = np.maximum(current + (self.voltage - current) * np.exp(-free_s / tau_s), 0.0)
        fired = voltage > 1.0
        overshoot_s = np.zeros_like(voltage)
        if timing == "interpolated":
            overshoot_s[fired] = -tau_s * np.log1p((1.0 - voltage[fired]) / (current[fired] - 1.0))
        self.wait_s = np.where(fired, self.neuron.refractory_s - overshoot_s, np.maximum(self.wait_s - dt_s, 0.0))
        self.voltage = np.where(fired, 0.0, voltage)
        return fired


class ReferenceBackend:
    """Plain NumPy: the oracle of the conformance suite.

    Parameters
    ----------
    spike_timing
        "grid" rounds spikes up to the time grid, as Brian2 does; "interpolated" places them within the
        step, as Nengo does.
    """

    name = "reference"

    def __init__(self, spike_timing: SpikeTiming = "grid") -> None:
        self.spike_timing: SpikeTiming = spike_timing

    def unsupported(
        self, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None
    ) -> list[Unsupported]:
        """Nothing beyond the common limits."""
        return common_gaps(network, SpikingNetwork, dt_s, self.spike_timing)

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
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        plan = schedule(
            self, network, duration=duration, trials=trials, seed=seed, dt_s=dt_s, stimulus=stimulus,
            initial_latent=initial_latent, record=record,
        )  # fmt: skip
        snn, inputs, noise = plan.network, plan.inputs(), stream(seed, "reference", "noise")
        population = Population(snn, plan.initial_voltage, plan.dt_s)
        latent = plan.initial_latent
        samples = np.empty((trials, plan.samples, snn.rank))
        spikes: list[np.ndarray] = []
        for step in range(plan.steps):
            if step % plan.stride == 0:
                samples[:, step // plan.stride] = latent
                progress(step / plan.steps)
            fired = population.step(latent @ snn.encoders.T + snn.bias, self.spike_timing)
            target = inputs[step] + fired @ snn.decoders.T / plan.dt_s
            latent = plan.decay * latent + (1 - plan.decay) * target
            latent = latent + noise.standard_normal(latent.shape) @ plan.noise_factor.T
            if plan.record.spikes:
                trial, neuron = np.nonzero(fired)
                spikes.append(np.stack([np.full(len(trial), step), neuron, trial]))
        table = np.concatenate(spikes, axis=1) if spikes else None
        kept = None if table is None else Spikes.sorted((table[0] + 1) * plan.dt_s, table[1], table[2])
        return plan.recording(
            samples, kept, backend=self.name, versions={"numpy": np.__version__},
            options={"spike_timing": self.spike_timing},
        )  # fmt: skip

    def drive(
        self,
        network: Network,
        latent_path: Float[np.ndarray, "time rank"],
        *,
        seed: int,
        dt_s: float | None = None,
        consume: Consume,
    ) -> None:
        """Open loop; see `ddm2snn.backend.Backend.drive`."""
        plan = open_loop(self, network, latent_path, seed=seed, dt_s=dt_s)
        snn = plan.network
        population = Population(snn, plan.initial_voltage, plan.dt_s)
        filtered = np.zeros(snn.neurons)
        for block in blocks(len(plan.path), _BLOCK):
            kept = np.empty((len(block), snn.neurons))
            for row, step in enumerate(block):
                fired = population.step(plan.path[step] @ snn.encoders.T + snn.bias, self.spike_timing)
                filtered = plan.decay * filtered + (1 - plan.decay) * fired / plan.dt_s
                kept[row] = filtered
            consume(kept)
