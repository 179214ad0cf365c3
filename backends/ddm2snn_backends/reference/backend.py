"""The semantics of a spiking network in a NumPy loop that can be checked by eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Consume, Network, Record, Unsupported, common_gaps
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import stream
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Recording, Spikes
from ddm2snn.schedule import blocks, open_loop, schedule
from ddm2snn.stimulus import Stimulus
from ddm2snn_backends.reference.membranes import membrane_of

if TYPE_CHECKING:
    from jaxtyping import Float

_BLOCK = 512


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
        membrane = membrane_of(snn.neuron, plan.initial_voltage, plan.dt_s)
        latent, factor = plan.initial_latent, plan.factor
        entries = None if factor is None else factor.start
        samples = np.empty((trials, plan.samples, snn.rank))
        spikes: list[np.ndarray] = []
        for step in range(plan.steps):
            if step % plan.stride == 0:
                samples[:, step // plan.stride] = latent
                progress(step / plan.steps)
            fired = membrane.step(latent @ snn.encoders.T + snn.bias, self.spike_timing)
            target = inputs[step] + fired @ snn.decoders.T / plan.dt_s
            latent = plan.decay * latent + (1 - plan.decay) * target
            white = noise.standard_normal(latent.shape)
            latent = latent + white @ plan.noise_factor.T
            if factor is not None and entries is not None:
                by_state = entries.reshape(trials, snn.rank, snn.rank)
                latent = latent + plan.noise_scale * np.einsum("trc,tc->tr", by_state, white)
                entries = factor.decay * entries + (1 - factor.decay) * fired @ factor.decoders.T / plan.dt_s
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
        membrane = membrane_of(snn.neuron, plan.initial_voltage, plan.dt_s)
        filtered = np.zeros(snn.neurons)
        for block in blocks(len(plan.path), _BLOCK):
            kept = np.empty((len(block), snn.neurons))
            for row, step in enumerate(block):
                fired = membrane.step(plan.path[step] @ snn.encoders.T + snn.bias, self.spike_timing)
                filtered = plan.decay * filtered + (1 - plan.decay) * fired / plan.dt_s
                kept[row] = filtered
            consume(kept)
