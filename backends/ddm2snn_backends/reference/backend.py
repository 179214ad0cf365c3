"""The semantics of a spiking network in a NumPy loop that can be checked by eye."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import stream
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Spikes
from ddm2snn.schedule import OpenLoop, Schedule, Trace, blocks
from ddm2snn.stimulus import Stimulus
from ddm2snn_backends.reference.membranes import membrane_of

if TYPE_CHECKING:
    from jaxtyping import Float

_BLOCK = 512


@dataclass(frozen=True)
class ReferenceBackend:
    """Plain NumPy: the oracle of the conformance suite.

    Parameters
    ----------
    spike_timing
        "grid" rounds spikes up to the time grid, as Brian2 does; "interpolated" places them within the
        step, as Nengo does.
    """

    spike_timing: SpikeTiming = "grid"

    name = "reference"

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Nothing."""
        return []

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        network, dt_s, trials, rank = schedule.network, schedule.dt_s, schedule.trials, schedule.network.rank
        inputs, rng = schedule.inputs(), stream(schedule.seed, "reference", "noise")
        membrane = membrane_of(network.neuron, schedule.initial_voltage, dt_s)
        latent, factor = schedule.initial_latent, schedule.factor
        entries = None if factor is None else factor.start
        samples = np.empty((trials, schedule.samples, rank))
        spikes: list[np.ndarray] = []
        for step in range(schedule.steps):
            if step % schedule.stride == 0:
                samples[:, step // schedule.stride] = latent
                progress(step / schedule.steps)
            fired = membrane.step(latent @ network.encoders.T + network.bias, self.spike_timing)
            target = inputs[step] + fired @ network.decoders.T / dt_s
            latent = schedule.decay * latent + (1 - schedule.decay) * target
            white = rng.standard_normal(latent.shape)
            latent = latent + white @ schedule.noise_factor.T
            if factor is not None and entries is not None:
                by_state = entries.reshape(trials, rank, rank)
                latent = latent + schedule.noise_scale * np.einsum("trc,tc->tr", by_state, white)
                entries = factor.decay * entries + (1 - factor.decay) * fired @ factor.decoders.T / dt_s
            if schedule.spikes is not None:
                trial, neuron = np.nonzero(fired)
                spikes.append(np.stack([np.full(len(trial), step), neuron, trial]))
        table = np.concatenate(spikes, axis=1) if spikes else None
        return Trace(
            samples,
            None if table is None else Spikes.sorted((table[0] + 1) * dt_s, table[1], table[2]),
            versions={"numpy": np.__version__},
            options={"spike_timing": self.spike_timing},
        )

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        """Open loop; see `ddm2snn.backend.Backend.drive`."""
        network = loop.network
        membrane = membrane_of(network.neuron, loop.initial_voltage, loop.dt_s)
        filtered = np.zeros(network.neurons)
        for block in blocks(len(loop.path), _BLOCK):
            rows = np.empty((len(block), network.neurons))
            for row, step in enumerate(block):
                fired = membrane.step(loop.path[step] @ network.encoders.T + network.bias, self.spike_timing)
                filtered = loop.decay * filtered + (1 - loop.decay) * fired / loop.dt_s
                rows[row] = filtered
            yield rows
