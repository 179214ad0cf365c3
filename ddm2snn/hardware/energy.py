"""Energy and time of a run on a device, from counts of operations and published figures of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.errors import InputError
from ddm2snn.hardware.workload import Workload

_PJ_PER_UJ = 1e6
_NS_PER_US = 1e3


@dataclass(frozen=True)
class EnergyEstimate:
    """Numbers of operations and their energy in one rate time unit, and the time of one step: an estimate.

    `microjoule` is the energy of each kind of operation, and `source` where it comes from. `microwatt` is mean power
    where a step takes as long as it stands for. `microsecond_per_step` is how long a step takes at least, None where
    the device states no times.
    """

    hardware: str
    source: str
    synaptic_operations: float
    updates: float
    spikes: float
    messages: float
    hops: float | None
    microjoule: Mapping[str, float]
    microjoule_per_time_unit: float
    microwatt: float
    microsecond_per_step: float | None

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        return asdict(self)


def estimate_energy(work: Workload, config: HardwareConfig, time_unit_s: float) -> EnergyEstimate:
    r"""Energy of one rate time unit, and time of a step, from the work of each core.

    .. math:: E = e_s O + e_a S + e_i (U - S) + (e_m + e_t) M + e_x H_x + e_y H_y,

    with O synaptic operations, U updates, S of which end in a spike, M messages and H hops. Where a device states
    neither the energy of a message nor of a hop, those count nothing.

    Assumptions: every compartment is updated in every step, at the energy of an active update where it spikes and of an
    inactive one otherwise; rates are those of its kind. Static power, management cores, the host, its link and links
    between chips count nothing. The figures for Loihi 1 were simulated before there was silicon; a whole board takes
    more.

    Raises
    ------
    InputError
        Where the device states no energies.
    """
    if config.energy is None:
        raise InputError(f"{config.name} states no energies. Add [energy] to its configuration, with a source.")
    energy = config.energy
    parts_pj = {
        "synaptic_operations": work.synaptic_operations * energy.synaptic_operation_pj,
        "active_updates": work.spikes * energy.active_update_pj,
        "inactive_updates": (work.updates - work.spikes) * energy.inactive_update_pj,
        "messages": work.messages * (energy.spike_within_tile_pj + (energy.message_pj or 0.0)),
        "hops": (work.hops_x or 0.0) * (energy.hop_x_pj or 0.0) + (work.hops_y or 0.0) * (energy.hop_y_pj or 0.0),
    }
    return EnergyEstimate(
        hardware=config.name,
        source=config.source,
        synaptic_operations=work.synaptic_operations,
        updates=work.updates,
        spikes=work.spikes,
        messages=work.messages,
        hops=None if work.hops_x is None or work.hops_y is None else work.hops_x + work.hops_y,
        microjoule={name: value / _PJ_PER_UJ for name, value in parts_pj.items()},
        microjoule_per_time_unit=sum(parts_pj.values()) / _PJ_PER_UJ,
        microwatt=sum(parts_pj.values()) / _PJ_PER_UJ / time_unit_s,
        microsecond_per_step=_step_us(work, config),
    )


def _step_us(work: Workload, config: HardwareConfig) -> float | None:
    """Mean time of a step at least: what the busiest core takes for updates or for what arrives, then the barrier.

    Spikes arrive while compartments are still updated, so that the longer of both counts.
    """
    time, mesh = config.time, config.mesh
    if time is None or mesh is None:
        return None
    busiest = max(
        max(
            core.updates * time.update_ns + core.spikes * time.spike_ns + core.messages_out * time.message_out_ns,
            core.messages_in * time.message_in_ns + core.synaptic_operations * time.synaptic_operation_ns,
        )
        for core in work.cores
    )
    tiles = -(-len(work.cores) // mesh.cores_per_tile)
    reached = [ns for least, ns in time.barrier_ns if least <= tiles] or [time.barrier_ns[0][1]]
    return (busiest / work.steps + reached[-1]) / _NS_PER_US
