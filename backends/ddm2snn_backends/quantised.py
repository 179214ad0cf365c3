"""A device in this project's own arithmetic: whole numbers as nengo-loihi's emulator has them, or any other bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Consume, Network, Record, Unsupported, common_gaps
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.hardware import HardwareConfig, find_hardware
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Recording
from ddm2snn.schedule import schedule
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Float


class QuantisedBackend:
    """A device's registers, decode neurons and delays in compiled loops; spikes equal those of nengo-loihi's emulator.

    Parameters
    ----------
    hardware
        Name of a hardware configuration, the path of one, or the configuration; by default the one that the network
        was converted for, or loihi1-emulator.
    """

    name = "quantised"
    spike_timing: SpikeTiming = "grid"

    def __init__(self, hardware: str | HardwareConfig | None = None) -> None:
        self.hardware = find_hardware(hardware) if isinstance(hardware, str) else hardware

    def unsupported(
        self, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None
    ) -> list[Unsupported]:
        """Neuron models and diffusions that the device lacks, and limits of its cores."""
        from ddm2snn.hardware.gaps import device_gaps

        gaps = common_gaps(network, SpikingNetwork, dt_s, self.spike_timing)
        if not gaps and isinstance(network, SpikingNetwork):
            config = self.hardware or network.hardware or find_hardware()
            gaps = device_gaps(network, config, network.dt_s if dt_s is None else dt_s)
        return gaps

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
        from ddm2snn.hardware.run import prepare, run_device

        plan = schedule(
            self, network, duration=duration, trials=trials, seed=seed, dt_s=dt_s, stimulus=stimulus,
            initial_latent=initial_latent, record=record,
        )  # fmt: skip
        config = self.hardware or plan.network.hardware or find_hardware()
        latent, spikes, counts = run_device(plan, prepare(plan, config), progress)
        names = ("neurons", "decode_neurons", "inputs")
        return plan.recording(
            latent, spikes, backend=self.name, versions={"numpy": np.__version__},
            options={
                "hardware": config.as_json(),
                "spike_counts": dict(zip(names, counts.sum(axis=0).tolist(), strict=True)),
            },
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
        """Open loop, decode neurons and their delay included; see `ddm2snn.backend.Backend.drive`."""
        from ddm2snn.hardware.run import drive_device

        drive_device(self, network, latent_path, self.hardware, seed=seed, dt_s=dt_s, consume=consume)
