"""The reference: the semantics of a spiking network in a NumPy loop that can be checked by eye."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.noise_colour import filter_of
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Spikes
from ddm2snn.schedule import OpenLoop, Schedule, Trace, blocks
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.neuron import LIF, AdaptiveLIF, LoihiLIF, NeuronModel, RectifiedLinear

_BLOCK = 512
_HALVINGS = 52  # of a step, to find a crossing in it to the last bit


@dataclass(frozen=True)
class ReferenceBackend:
    """Plain NumPy: the oracle of the conformance suite.

    Parameters
    ----------
    spike_timing
        "grid" rounds spikes up to the time grid, as Brian2 does; "interpolated" places them within the
        step, as Nengo does.
    spike_loss
        Share of the spikes that get lost on their way to the latents, each by chance and for all latents. The neuron
        is reset all the same, and recordings hold lost spikes too.
    """

    spike_timing: SpikeTiming = "grid"
    spike_loss: float = 0.0

    name = "reference"

    def __post_init__(self) -> None:
        if not 0 <= self.spike_loss < 1:
            raise InputError(f"spike_loss must be a share from 0 to below 1, got {self.spike_loss!r}.")

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Nothing is missing: an empty list."""
        return []

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        network, dt_s, trials, rank = schedule.network, schedule.dt_s, schedule.trials, schedule.network.rank
        inputs, rng = schedule.inputs(), stream(schedule.seed, "reference", "noise")
        advance = membrane_of(network.neuron, schedule.initial_voltage, dt_s)
        latent, decoded, factor = schedule.initial_latent, schedule.initial_decoded, schedule.factor
        rise, colour = schedule.rise_decay, filter_of(schedule.noise_sections)
        arrived = self._arrived(schedule.seed)
        entries = None if factor is None else factor.start
        samples = np.empty((trials, schedule.samples, rank))
        spikes: list[np.ndarray] = []
        for step in range(schedule.steps):
            if step % schedule.stride == 0:
                samples[:, step // schedule.stride] = latent
                progress(step / schedule.steps)
            fired = advance(latent @ network.encoders.T + network.bias, self.spike_timing)
            arriving = arrived(fired)
            decoded = rise * decoded + (1 - rise) * (arriving @ network.decoders.T / dt_s)
            latent = schedule.decay * latent + (1 - schedule.decay) * (inputs[step] + decoded)
            white = rng.standard_normal(latent.shape)
            latent = latent + colour(white) @ schedule.noise_factor.T
            if factor is not None and entries is not None:
                by_state = entries.reshape(trials, rank, rank)
                latent = latent + schedule.noise_scale * np.einsum("trc,tc->tr", by_state, white)
                entries = factor.decay * entries + (1 - factor.decay) * arriving @ factor.decoders.T / dt_s
            if schedule.spikes is not None:
                trial, neuron = np.nonzero(fired)
                spikes.append(np.stack([np.full(len(trial), step), neuron, trial]))
        table = np.concatenate(spikes, axis=1) if spikes else None
        return Trace(
            samples,
            None if table is None else Spikes.sorted((table[0] + 1) * dt_s, table[1], table[2]),
            versions={"numpy": np.__version__},
            options={"spike_timing": self.spike_timing} | ({"spike_loss": self.spike_loss} if self.spike_loss else {}),
        )

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        """Open loop; see `ddm2snn.backend.Backend.drive`."""
        network = loop.network
        advance = membrane_of(network.neuron, loop.initial_voltage, loop.dt_s)
        risen, filtered, arrived = np.zeros(network.neurons), np.zeros(network.neurons), self._arrived(loop.seed)
        for block in blocks(len(loop.path), _BLOCK):
            rows = np.empty((len(block), network.neurons))
            for row, step in enumerate(block):
                fired = advance(loop.path[step] @ network.encoders.T + network.bias, self.spike_timing)
                risen = loop.rise_decay * risen + (1 - loop.rise_decay) * (arrived(fired) / loop.dt_s)
                filtered = loop.decay * filtered + (1 - loop.decay) * risen
                rows[row] = filtered
            yield rows

    def _arrived(self, seed: int) -> Callable[[Bool[np.ndarray, "... neuron"]], Bool[np.ndarray, "... neuron"]]:
        """Function of the spikes of a step that returns those which reach the latents."""
        rng, loss = stream(seed, "reference", "lost spikes"), self.spike_loss
        return (lambda fired: fired & (rng.random(fired.shape) >= loss)) if loss else lambda fired: fired


Step = Callable[["Float[np.ndarray, '... neuron']", SpikeTiming], "Bool[np.ndarray, '... neuron']"]
"""Takes a population one step further at constant current and tells which neurons fired in it."""


def membrane_of(neuron: NeuronModel, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> Step:
    """Membranes of a neuron model that start at given voltages."""
    return _MEMBRANES[neuron.name](neuron, voltage, dt_s)


def _leaky(neuron: LIF, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> Step:
    """LIF neurons: exact over one step at constant current, voltages at or above reset."""
    several: Any = neuron.tau_membrane_s
    taus_s = np.broadcast_to(several, voltage.shape)
    wait_s = np.zeros_like(voltage)  # what is left of the refractory period

    def step(current: np.ndarray, timing: SpikeTiming) -> np.ndarray:
        nonlocal voltage, wait_s
        free_s = _free_s(wait_s, dt_s, timing)
        reached = np.maximum(current + (voltage - current) * np.exp(-free_s / taus_s), 0.0)
        fired = reached > 1.0
        overshoot_s = np.zeros_like(reached)
        if timing == "interpolated":
            overshoot_s[fired] = -taus_s[fired] * np.log1p((1.0 - reached[fired]) / (current[fired] - 1.0))
        wait_s = np.where(fired, neuron.refractory_s - overshoot_s, np.maximum(wait_s - dt_s, 0.0))
        voltage = np.where(fired, 0.0, reached)
        return fired

    return step


def _linear(neuron: RectifiedLinear, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> Step:
    """Rectified linear neurons: at most one spike in a step, on the grid in either timing; what is above stays."""
    per_step = dt_s / neuron.tau_membrane_s

    def step(current: np.ndarray, timing: SpikeTiming) -> np.ndarray:
        nonlocal voltage
        reached = voltage + np.maximum(current, 0.0) * per_step
        fired = reached > 1.0
        voltage = np.where(fired, np.minimum(reached - 1.0, 1.0), reached)
        return fired

    return step


def _adaptive(neuron: AdaptiveLIF, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> Step:
    """LIF neurons whose threshold rises with each spike and decays."""
    wait_s, raised = np.zeros_like(voltage), np.zeros_like(voltage)  # raised: threshold above rest

    def overshoot_of(fired: np.ndarray, current: np.ndarray, free_s: np.ndarray) -> np.ndarray:
        """Time between the crossing of the threshold, found by halving, and the end of the step."""
        start, above_rest = voltage[fired], raised[fired]
        lower, upper = np.zeros_like(free_s), free_s
        for _ in range(_HALVINGS):
            middle = 0.5 * (lower + upper)
            reached = current + (start - current) * np.exp(-middle / neuron.tau_membrane_s)
            late = dt_s - free_s + middle
            above = reached > 1.0 + above_rest * np.exp(-late / neuron.tau_threshold_s)
            lower, upper = np.where(above, lower, middle), np.where(above, middle, upper)
        return free_s - upper

    def step(current: np.ndarray, timing: SpikeTiming) -> np.ndarray:
        nonlocal voltage, wait_s, raised
        free_s = _free_s(wait_s, dt_s, timing)
        reached = np.maximum(current + (voltage - current) * np.exp(-free_s / neuron.tau_membrane_s), 0.0)
        decayed = raised * np.exp(-dt_s / neuron.tau_threshold_s)
        fired = reached > 1.0 + decayed
        overshoot_s = np.zeros_like(reached)
        if timing == "interpolated":
            overshoot_s[fired] = overshoot_of(fired, current[fired], free_s[fired])
        jump = neuron.threshold_jump * np.exp(-overshoot_s / neuron.tau_threshold_s)
        raised = np.where(fired, decayed + jump, decayed)
        wait_s = np.where(fired, neuron.refractory_s - overshoot_s, np.maximum(wait_s - dt_s, 0.0))
        voltage = np.where(fired, 0.0, reached)
        return fired

    return step


def _loihi(neuron: LoihiLIF, voltage: Float[np.ndarray, "... neuron"], dt_s: float) -> Step:
    """The Loihi-like LIF: whole steps, spikes on the grid in either timing, and a rounded decay."""
    decay, refractory_steps = neuron.decay(dt_s), neuron.refractory_steps(dt_s)
    wait = np.zeros(voltage.shape, dtype=np.int64)  # counts steps

    def step(current: np.ndarray, timing: SpikeTiming) -> np.ndarray:
        nonlocal voltage, wait
        reached = np.maximum((1.0 - decay) * voltage + decay * current, 0.0)
        reached = np.where(wait > 0, 0.0, reached)
        fired = reached > 1.0
        wait = np.where(fired, refractory_steps, np.maximum(wait - 1, 0))
        voltage = np.where(fired, 0.0, reached)
        return fired

    return step


_MEMBRANES: dict[str, Callable[..., Step]] = {
    "lif": _leaky, "rectified-linear": _linear, "adaptive-lif": _adaptive, "loihi-lif": _loihi,
}  # fmt: skip
"""Membranes by the name of the neuron model."""


def _free_s(wait_s: Float[np.ndarray, "..."], dt_s: float, timing: SpikeTiming) -> Float[np.ndarray, "..."]:
    """Return the part of the step that is not refractory."""
    free_s = np.clip(dt_s - wait_s, 0.0, dt_s)
    if timing == "grid":
        free_s = np.where(free_s > 0.5 * dt_s, dt_s, 0.0)  # whole steps only, whatever rounding left
    return free_s
