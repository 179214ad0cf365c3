"""Adapter to nengo-loihi: its emulator of Loihi, with and without discretisation, or the board."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import child_seed, global_generator_kept
from ddm2snn.errors import InputError
from ddm2snn.hardware import HardwareConfig
from ddm2snn.hardware.chip import prepare
from ddm2snn.network import SpikingNetwork
from ddm2snn.recording import Spikes
from ddm2snn.schedule import Schedule, Trace, blocks
from ddm2snn.stimulus import Stimulus
from ddm2snn_backends.nengo.backend import quiet
from ddm2snn_backends.quantised import QuantisedBackend

if TYPE_CHECKING:
    from ddm2snn.hardware.chip import Prepared
    from ddm2snn_backends.loihi_model import Trial

Target = Literal["sim", "simreal", "loihi"]
_BLOCK = 512


class LoihiBackend(QuantisedBackend):
    """nengo-loihi: the emulator of Loihi (sim, or simreal without rounding); the board (loihi) is untested.

    The open loop is that of `QuantisedBackend`, since nengo-loihi has no way to hold decode neurons at given latents.

    Parameters
    ----------
    hardware
        Name of a hardware configuration, the path of one, or the configuration; by default the one that the network
        was converted for, or loihi1-emulator.
    target
        "sim" emulates Loihi's arithmetic, "simreal" leaves out rounding and bits, "loihi" is the board. By default
        "simreal" where `hardware` has no bits, otherwise "sim".
    """

    name = "nengo-loihi"

    def __init__(self, hardware: str | HardwareConfig | None = None, target: Target | None = None) -> None:
        if target is not None and target not in get_args(Target):
            raise InputError(f"There is no target {target!r}; known are {', '.join(get_args(Target))}.")
        super().__init__(hardware)
        if self.hardware is not None and self.hardware.target != self.name:
            raise InputError(
                f'nengo-loihi does not target {self.hardware.name}. Run it with backend="{self.hardware.target}", or '
                "choose one of loihi1-emulator, loihi1-kapoho-bay and loihi1-nahuku32."
            )
        without_bits = self.hardware is not None and self.hardware == self.hardware.unrounded
        self.target: Target = target or ("simreal" if without_bits else "sim")

    def __repr__(self) -> str:
        return f"LoihiBackend(hardware={self.hardware and self.hardware.name!r}, target={self.target!r})"

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Neuron models and diffusions that the chip lacks, limits of cores, and a missing package."""
        gaps = super().unsupported(network, dt_s=dt_s, stimulus=stimulus)
        if not gaps and importlib.util.find_spec("nengo_loihi") is None:
            gaps = [Unsupported("nengo-loihi", "it is not installed", "Install ddm2snn[loihi]")]
        return gaps

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        import nengo

        from ddm2snn_backends.loihi_model import build, repaired

        config = used = self._config(schedule.network)
        if self.target == "simreal":
            used = config.unrounded
        ready = prepare(schedule, used)
        machine = ready.machine
        with repaired() as nengo_loihi, global_generator_kept(), _quiet():
            seed = child_seed(schedule.seed, "nengo-loihi", "network")
            model, made = build(
                schedule.network, machine.device, nengo_loihi, trials=schedule.trials, seed=seed,
                amplitude=machine.amplitude, signs=ready.signs, record_spikes=schedule.spikes is not None,
            )  # fmt: skip
            store = nengo_loihi.builder.Model(dt=schedule.dt_s)
            # the filter that input from the host gets: it must be that of the latents, which it adds to
            store.decode_tau = schedule.network.time_unit_s
            with nengo_loihi.Simulator(
                model, dt=schedule.dt_s, model=store, target=self.target, progress_bar=False,
                hardware_options=_board_options(nengo_loihi, machine.device.config) if self.target == "loihi" else None,
            ) as simulator:  # fmt: skip
                if self.target != "loihi":
                    load_registers(simulator, made, ready)
                latent, spikes = _collect(simulator, made, schedule, machine.per_latent, progress)
        versions = {"nengo": nengo.__version__, "nengo_loihi": nengo_loihi.__version__, "numpy": np.__version__}
        return Trace(latent, spikes, versions, {"target": self.target, "hardware": config.as_json()})


def _board_options(nengo_loihi: ModuleType, config: HardwareConfig) -> dict[str, Any]:
    """Chips and allocator of the board."""
    allocators = nengo_loihi.hardware.allocators
    greedy = config.placement.allocator == "greedy"
    return {
        "n_chips": config.capacity.chips or 1,
        "allocator": allocators.Greedy() if greedy else allocators.RoundRobin(),
    }


def load_registers(simulator: Any, made: list[Trial], start: Prepared) -> None:  # noqa: ANN401 - nengo-loihi is untyped
    """Put currents and voltages of the start into the emulator; a board starts from zero instead."""
    emulator = simulator.sims["emulator"]
    state, slices, parts = emulator.compartment, emulator.block_info.slices, simulator.model.block_comp_map
    for trial, objects in enumerate(made):
        for ensembles, register, values in (
            (objects.neurons, state.voltage, start.voltage[trial]),
            (objects.decode, state.voltage, start.decode_voltage[trial]),
            (objects.decode, state.current, start.decode_current[trial]),
        ):
            first = 0
            for ensemble in ensembles:
                size = ensemble.neurons.size_out
                for block in simulator.model.objs[ensemble]["in"]:
                    register[slices[block]] = values[first : first + size][parts.get(block, slice(None))]
                first += size


def _collect(
    simulator: Any,  # noqa: ANN401 - nengo-loihi is untyped
    made: list[Trial],
    schedule: Schedule,
    per_latent: np.ndarray,
    progress: Progress,
) -> tuple[np.ndarray, Spikes | None]:
    """Run block by block: internal latents at every sample, and spikes where asked for."""
    samples: list[np.ndarray] = []
    spikes = [np.empty((3, 0), dtype=np.int64)]
    for block in blocks(schedule.steps, _BLOCK):
        simulator.run_steps(len(block))
        first = -block.start % schedule.stride
        groups = [[simulator.data[probe][first :: schedule.stride] for probe in trial.latent] for trial in made]
        samples.append((np.stack([np.stack(parts, axis=1) for parts in groups]) / per_latent).sum(axis=2))
        for number, trial in enumerate(made):
            if trial.spikes:
                step, neuron = np.nonzero(np.concatenate([simulator.data[probe] for probe in trial.spikes], axis=1))
                spikes.append(np.stack([step + block.start + 1, neuron, np.full(len(step), number)]))
        simulator.clear_probes()
        progress(block.stop / schedule.steps)
    latent = np.concatenate(samples, axis=1)
    if schedule.spikes is None:
        return latent, None
    step, neuron, trial = np.concatenate(spikes, axis=1)
    return latent, Spikes.sorted(step * schedule.dt_s, neuron, trial)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out warnings about rates and intercepts, which are not used, and about bits that diagnostics count."""
    with quiet():
        warnings.filterwarnings("ignore", message=r"Lost \d+ extra bits in weight rounding", category=UserWarning)
        yield
