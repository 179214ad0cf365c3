"""Runs on a device in this project's own arithmetic, and what an adapter to another simulator shares with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.hardware.chip import Chip, Start, start_of
from ddm2snn.hardware.config import HardwareConfig, find_hardware
from ddm2snn.hardware.device import DeviceDrive, device_of, machine_of
from ddm2snn.hardware.inputs import input_amplitude, input_signs
from ddm2snn.recording import Spikes
from ddm2snn.schedule import blocks

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.base.progress import Progress
    from ddm2snn.hardware.device import Machine
    from ddm2snn.schedule import Network, OpenLoop, Schedule

BLOCK = 512


def hardware_of(given: str | HardwareConfig | None, network: Network) -> HardwareConfig:
    """The device that was given, or that a network was converted for, or Loihi 1 as it is emulated."""
    if given is None:
        kept = network.provenance.get("hardware")
        given = "loihi1-emulator" if kept is None else HardwareConfig.model_validate(kept)
    return given if isinstance(given, HardwareConfig) else find_hardware(given)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run on a device: registers, what they hold at the start, and the input spikes of every step."""

    machine: Machine
    start: Start
    signs: Int[np.ndarray, "trial step rank"] | None

    def arriving(self, block: range) -> Int[np.ndarray, "trial step rank"]:
        """Input spikes that arrive in the steps of a block: those that were sent a step before."""
        trials, rank = len(self.start.voltage), self.machine.device.relay.radius.shape[1]
        given = np.zeros((trials, len(block), rank), dtype=np.int8)
        if self.signs is not None:
            first = max(block.start, 1)
            given[:, first - block.start :] = self.signs[:, first - 1 : block.stop - 1]
        return given


def prepare(plan: Schedule, config: HardwareConfig) -> Prepared:
    """Put a scheduled run into a device's registers."""
    device = device_of(plan.network, config, plan.dt_s)
    amplitude = input_amplitude(plan, device)
    noise = stream(plan.seed, "device", "noise")
    signs = None if amplitude is None else input_signs(plan, device, amplitude, noise)
    machine = machine_of(plan.network, device, amplitude)
    relay_voltage = stream(plan.seed, "device", "relay voltage").random((plan.trials, device.relay.neurons))
    return Prepared(machine, start_of(machine, plan.initial_latent, plan.initial_voltage, relay_voltage), signs)


def run_device(
    plan: Schedule, ready: Prepared, progress: Progress
) -> tuple[Float[np.ndarray, "trial time rank"], Spikes | None, Int[np.ndarray, "trial kind"]]:
    """Simulate: internal latents at every sample, spikes where asked for, and counts of spikes by kind."""
    chip = Chip(ready.machine, ready.start)
    samples, found = [], [np.empty((3, 0), dtype=np.int64)]
    for block in blocks(plan.steps, BLOCK):
        latent, raster = chip.advance(ready.arriving(block), plan.stride, spikes=plan.record.spikes)
        samples.append(latent)
        trial, step, neuron = np.nonzero(raster)
        found.append(np.stack([step + block.start + 1, neuron, trial]))
        progress(block.stop / plan.steps)
    step, neuron, trial = np.concatenate(found, axis=1)
    spikes = Spikes.sorted(step * plan.dt_s, neuron, trial) if plan.record.spikes else None
    return np.concatenate(samples, axis=1), spikes, chip.counts


def drive_device(loop: OpenLoop, config: HardwareConfig) -> Iterator[Float[np.ndarray, "time neuron"]]:
    """Open loop on a device: its decode neurons are held at z(t); see `ddm2snn.backend.Backend.drive`."""
    device = device_of(loop.network, config, loop.dt_s)
    machine = machine_of(loop.network, device)
    relay_voltage = stream(loop.seed, "device", "relay voltage").random((1, device.relay.neurons))
    pool = np.arange(loop.network.neurons)
    drive = DeviceDrive(machine.population, device, loop.initial_voltage[None], relay_voltage, pool)
    for block in blocks(len(loop.path), BLOCK):
        yield drive.advance(loop.path[None, block.start : block.stop], 1)[0]
