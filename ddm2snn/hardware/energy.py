"""Energy of a run on a device, from counts of operations and published energies of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.base.progress import no_progress
from ddm2snn.errors import InputError
from ddm2snn.hardware.chip import prepare, run_device
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.place import refuse_gaps
from ddm2snn.network import SpikingNetwork
from ddm2snn.schedule import Run, Schedule

_PJ_PER_NJ = 1e3


@dataclass(frozen=True)
class EnergyEstimate:
    """Numbers of operations by mean rates, and their energy, in one rate time unit: an estimate.

    `nanojoule` is the energy of each kind of operation, and `source` where it comes from. `microwatt` is mean power.
    """

    hardware: str
    source: str
    synaptic_operations: float
    updates: float
    spikes: float
    nanojoule: Mapping[str, float]
    nanojoule_per_time_unit: float
    microwatt: float

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        return asdict(self)


def estimate_energy(
    network: SpikingNetwork, config: HardwareConfig, *, rate_hz: float, decode_rate_hz: float, inputs: bool = True
) -> EnergyEstimate:
    r"""Energy of one rate time unit, from mean rates.

    .. math:: E = e_s\,(r N R + q R N + k R/dt) + e_a (r N + q R) + e_i \big((N + R)/dt - r N - q R\big) + e_p S,

    per second, times the time unit: N neurons of mean rate r, R decode neurons of mean rate q, k latents with an input
    spike for each step, and S spikes times the cores that they are sent to. Every neuron reaches the
    decode neurons of its group, R where there is one group, and every decode neuron N neurons.

    Assumptions: every compartment is updated in every step, one that spikes at the energy of an active update and the
    others at that of an inactive one; every spike stays within a tile; leakage, the host, and management cores count
    nothing. The energies of Loihi 1 were simulated before there was silicon; a whole board takes more.

    The mean rates of neurons and of decode neurons are those that a run on the device counts. `inputs` says whether
    stimulus or noise comes from the host.
    """
    if config.energy is None:
        raise InputError(f"{config.name} states no energies. Add [energy] to its configuration, with a source.")
    layout, energy = layout_of(network.neurons, network.rank, config), config.energy
    unit_s, neurons, decode = network.time_unit_s, network.neurons, layout.decode_neurons
    steps = unit_s / network.dt_s
    spikes, decode_spikes = rate_hz * neurons * unit_s, decode_rate_hz * decode * unit_s
    arriving = network.rank * steps if inputs else 0.0
    # an input axon reaches the decode neurons of its latent: their weights for other latents are stored, and added
    operations = spikes * decode / len(layout.groups) + decode_spikes * neurons + arriving * decode
    updates = (neurons + decode) * steps
    messages = spikes * len(layout.decode_parts) / len(layout.groups) + decode_spikes * len(layout.neuron_parts)
    parts_pj = {
        "synaptic_operations": operations * energy.synaptic_operation_pj,
        "active_updates": (spikes + decode_spikes) * energy.active_update_pj,
        "inactive_updates": (updates - spikes - decode_spikes) * energy.inactive_update_pj,
        "spikes": messages * energy.spike_within_tile_pj,
    }
    return EnergyEstimate(
        hardware=config.name,
        source=config.source,
        synaptic_operations=operations,
        updates=updates,
        spikes=spikes + decode_spikes,
        nanojoule={name: value / _PJ_PER_NJ for name, value in parts_pj.items()},
        nanojoule_per_time_unit=sum(parts_pj.values()) / _PJ_PER_NJ,
        microwatt=sum(parts_pj.values()) * 1e-6 / unit_s,
    )


def energy_of_run(network: SpikingNetwork, config: HardwareConfig, seed: int = 0) -> EnergyEstimate:
    """Estimate from the rates of a short run: four trials of ten rate time units.

    Raises
    ------
    InputError
        Where the device cannot run the network, or states no energies.
    """
    refuse_gaps(network, config)
    run = Run(network, duration=10.0, trials=4, seed=seed)
    schedule = Schedule.of(run)
    counts = run_device(schedule, prepare(schedule, config), no_progress)[2]
    spikes, decode_spikes, inputs = counts.sum(axis=0).tolist()
    seconds = run.trials * run.duration * network.time_unit_s
    decode = layout_of(network.neurons, network.rank, config).decode_neurons
    return estimate_energy(
        network, config, rate_hz=spikes / seconds / network.neurons, decode_rate_hz=decode_spikes / seconds / decode,
        inputs=inputs > 0,
    )  # fmt: skip
