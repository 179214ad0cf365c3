"""Two estimates of the same run side by side: ours, and that of SANA-FE."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.base.progress import no_progress
from ddm2snn.hardware.chip import prepare, run_device
from ddm2snn.hardware.energy import EnergyEstimate, estimate_energy
from ddm2snn.hardware.place import refuse_gaps
from ddm2snn.hardware.sana_fe import SanaFeRun, run_sana_fe
from ddm2snn.hardware.workload import workload_of_spikes
from ddm2snn.network import SpikingNetwork
from ddm2snn.schedule import Run, Schedule, SpikeSelection

STEPS = 2000  # [choice] two seconds of a Loihi at 1 ms; SANA-FE takes 2 s for them with 300 compartments


@dataclass(frozen=True)
class SecondOpinion:
    """One run of one trial from rest, counted and priced by us and by SANA-FE.

    Parameters
    ----------
    steps
        Time steps of the run.
    ours
        Our estimate, by the spikes of this run; None where the device states no energies.
    theirs
        What SANA-FE counts.
    spikes, decode_spikes
        Spikes of neurons and of decode neurons in our arithmetic.
    differing_share
        Spikes of neurons, by step and neuron, that only one of both has, over all that either has. Small differences
        grow in a recurrent network: SANA-FE does not round currents.
    first_difference
        Step of the first such spike; None where there is none.
    """

    steps: int
    ours: EnergyEstimate | None
    theirs: SanaFeRun
    spikes: int
    decode_spikes: int
    differing_share: float
    first_difference: int | None

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        content = {**asdict(self), "theirs": self.theirs.as_json()}
        return content | {"ours": None if self.ours is None else self.ours.as_json()}

    def lines(self) -> list[str]:
        """Table of both, by part and by operation."""
        theirs, ours = self.theirs, self.ours
        rows = [("", "ours", "SANA-FE")]
        for name, own, other, count in (
            ("synapses", ("synaptic_operations",), "synapse", "synaptic_operations"),
            ("neurons", ("active_updates", "inactive_updates"), "soma", "updates"),
            ("messages and hops", ("messages", "hops"), "network", "messages"),
        ):
            mine = None if ours is None else sum(ours.microjoule[part] for part in own)
            other_uj, unit = theirs.picojoule[other] / 1e6, count.replace("_", " ").rstrip("s")
            each = None if ours is None or mine is None else 1e6 * mine / max(getattr(ours, count), 1)
            rows.append((f"{name} (uJ)", _number(mine), _number(other_uj)))
            rows.append((f"  pJ per {unit}", _number(each), _number(1e6 * other_uj / max(getattr(theirs, count), 1))))
        total = None if ours is None else ours.microjoule_per_time_unit
        rows.append(("all parts (uJ)", _number(total), _number(theirs.picojoule["total"] / 1e6)))
        step = None if ours is None else ours.microsecond_per_step
        rows.append(("time of a step (us)", _number(step), _number(theirs.microsecond_per_step)))
        for count in ("messages", "hops", "updates", "synaptic_operations"):
            mine = None if ours is None else getattr(ours, count)
            rows.append((count.replace("_", " "), _number(mine), _number(getattr(theirs, count))))
        rows.append(("spikes of neurons", _number(self.spikes), _number(len(theirs.spikes))))
        rows.append(("spikes of decode neurons", _number(self.decode_spikes), _number(len(theirs.decode_spikes))))
        same = "the same spikes at the same steps" if self.first_difference is None else (
            f"{self.differing_share:.1%} of the spikes of neurons differ in step or neuron, first at step "
            f"{self.first_difference}"
        )  # fmt: skip
        return [
            f"second opinion on {self.steps} steps of one trial from rest:",
            *(f"{name:26} {mine:>12} {other:>12}" for name, mine, other in rows),
            f"{same}; SANA-FE rounds voltages as the device does, and no currents",
        ]


def second_opinion(
    network: SpikingNetwork,
    config: HardwareConfig,
    *,
    steps: int = STEPS,
    seed: int = 0,
    architecture: Path | None = None,
    folder: Path | None = None,
) -> SecondOpinion:
    """Run a network on a device in our arithmetic and in SANA-FE, and price both.

    Parameters
    ----------
    network, config, steps, seed
        The network, its device, how many steps, and the seed of the noise.
    architecture, folder
        As `run_sana_fe` takes them.

    Raises
    ------
    InputError
        Where the device cannot run the network, or SANA-FE cannot.
    """
    refuse_gaps(network, config)
    duration = steps * network.dt_s / network.time_unit_s
    schedule = Schedule.of(Run(network, duration=duration, trials=1, seed=seed, spikes=SpikeSelection()))
    ready = prepare(schedule, config)
    rest = {name: np.zeros_like(getattr(ready, name)) for name in ("voltage", "decode_current", "decode_voltage")}
    ready = replace(ready, **rest)
    _, spikes, counts = run_device(schedule, ready, no_progress)
    theirs = run_sana_fe(ready, config, schedule.steps, architecture=architecture, folder=folder)
    sent = 0 if ready.signs is None else int(np.count_nonzero(ready.signs[0]))  # in the last step too
    work = workload_of_spikes(ready.machine, schedule.steps, int(counts[0, 0]), int(counts[0, 1]), sent)
    priced = None if config.energy is None else estimate_energy(work, config, schedule.steps * schedule.dt_s)
    both = {tuple(spike) for spike in theirs.spikes.tolist()}
    own = set()
    if spikes is not None:
        fired = np.round(spikes.time_s / schedule.dt_s).astype(int) - 1
        own = set(zip(fired.tolist(), spikes.neuron.tolist(), strict=True))
    differing = own ^ both
    return SecondOpinion(
        steps=schedule.steps,
        ours=priced,
        theirs=theirs,
        spikes=int(counts[0, 0]),
        decode_spikes=int(counts[0, 1]),
        differing_share=len(differing) / max(len(own | both), 1),
        first_difference=min(step for step, _ in differing) if differing else None,
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
