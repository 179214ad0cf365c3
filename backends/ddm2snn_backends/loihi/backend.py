"""Adapter to nengo-loihi: its emulator of Loihi, with and without discretisation, or the board."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ddm2snn.backend import Consume, Network, Record, Unsupported, common_gaps
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import child_seed, global_generator_kept
from ddm2snn.errors import InputError
from ddm2snn.hardware import HardwareConfig, find_hardware
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Recording, Spikes
from ddm2snn.schedule import Schedule, blocks, schedule
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.hardware.chip import Start
    from ddm2snn.hardware.run import Prepared
    from ddm2snn_backends.loihi.model import Trial

Target = Literal["sim", "simreal", "loihi"]
_BLOCK = 512


class LoihiBackend:
    """nengo-loihi: the emulator of Loihi (sim, or simreal without rounding); the board (loihi) is untested.

    Parameters
    ----------
    hardware
        Name of a hardware configuration, the path of one, or the configuration; by default the one that the network
        was converted for, or loihi1-emulator.
    target
        "sim" emulates Loihi's arithmetic, "simreal" leaves out rounding and bits, "loihi" is the board.
    """

    name = "nengo-loihi"
    spike_timing: SpikeTiming = "grid"

    def __init__(self, hardware: str | HardwareConfig | None = None, target: Target = "sim") -> None:
        if target not in get_args(Target):
            raise InputError(f"There is no target {target!r}; known are {', '.join(get_args(Target))}.")
        self.hardware = find_hardware(hardware) if isinstance(hardware, str) else hardware
        if self.hardware is not None and self.hardware.target != "nengo-loihi":
            raise InputError(
                f"nengo-loihi does not target {self.hardware.name}. Run it with --backend quantised, or choose one of "
                "loihi1-emulator, loihi1-kapoho-bay and loihi1-nahuku32."
            )
        self.target: Target = target

    def unsupported(
        self, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None
    ) -> list[Unsupported]:
        """Neuron models and diffusions that the chip lacks, limits of cores, and a missing package."""
        from ddm2snn.hardware.gaps import device_gaps

        gaps = common_gaps(network, SpikingNetwork, dt_s, self.spike_timing)
        if not gaps and isinstance(network, SpikingNetwork):
            config = self.hardware or network.hardware or find_hardware()
            gaps = device_gaps(network, config, network.dt_s if dt_s is None else dt_s)
        if not gaps and importlib.util.find_spec("nengo_loihi") is None:
            gaps = [Unsupported("nengo-loihi", "it is not installed", "Install ddm2snn[loihi]")]
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
        from ddm2snn.hardware.run import prepare

        plan = schedule(
            self, network, duration=duration, trials=trials, seed=seed, dt_s=dt_s, stimulus=stimulus,
            initial_latent=initial_latent, record=record,
        )  # fmt: skip
        config = used = self.hardware or plan.network.hardware or find_hardware()
        if self.target == "simreal":
            used = config.unrounded
        samples, spikes, versions = self._simulate(plan, prepare(plan, used), progress)
        return plan.recording(
            samples, spikes, backend=self.name, versions=versions,
            options={"target": self.target, "hardware": config.as_json()},
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
        """Open loop in this project's own arithmetic, which the tests hold to the emulator's spike by spike.

        nengo-loihi has no way to hold decode neurons at given latents.
        """
        from ddm2snn.hardware.run import drive_device

        drive_device(self, network, latent_path, self.hardware, seed=seed, dt_s=dt_s, consume=consume)

    def _simulate(
        self, plan: Schedule, ready: Prepared, progress: Progress
    ) -> tuple[np.ndarray, Spikes | None, dict[str, str]]:
        import nengo

        from ddm2snn_backends.loihi.compat import repaired
        from ddm2snn_backends.loihi.model import build

        machine = ready.machine
        with repaired() as nengo_loihi, global_generator_kept(), _quiet():
            seed = child_seed(plan.seed, "nengo-loihi", "network")
            model, made = build(
                plan.network, machine.device, nengo_loihi, trials=plan.trials, seed=seed,
                amplitude=machine.amplitude, signs=ready.signs, record_spikes=plan.record.spikes,
            )  # fmt: skip
            store = nengo_loihi.builder.Model(dt=plan.dt_s)
            # the filter that input from the host gets: it must be that of the latents, which it adds to
            store.decode_tau = plan.network.time_unit_s
            with nengo_loihi.Simulator(
                model, dt=plan.dt_s, model=store, target=self.target, progress_bar=False,
                hardware_options=_board_options(nengo_loihi, machine.device.config) if self.target == "loihi" else None,
            ) as simulator:  # fmt: skip
                if self.target != "loihi":
                    load_registers(simulator, made, ready.start)
                samples, spikes = _collect(simulator, made, plan, machine.per_latent, progress)
        versions = {"nengo": nengo.__version__, "nengo_loihi": nengo_loihi.__version__, "numpy": np.__version__}
        return samples, spikes, versions


def _board_options(nengo_loihi: ModuleType, config: HardwareConfig) -> dict[str, Any]:
    """Chips and allocator of the board."""
    allocators = nengo_loihi.hardware.allocators
    greedy = config.placement.allocator == "greedy"
    return {
        "n_chips": config.capacity.chips or 1,
        "allocator": allocators.Greedy() if greedy else allocators.RoundRobin(),
    }


def load_registers(simulator: Any, made: list[Trial], start: Start) -> None:  # noqa: ANN401 - nengo-loihi is untyped
    """Put currents and voltages of the start into the emulator; a board starts from zero instead."""
    emulator = simulator.sims["emulator"]
    state, slices, parts = emulator.compartment, emulator.block_info.slices, simulator.model.block_comp_map

    def load(ensemble: Any, register: np.ndarray, values: np.ndarray) -> None:  # noqa: ANN401
        for block in simulator.model.objs[ensemble]["in"]:
            register[slices[block]] = values[parts.get(block, slice(None))]

    for trial, objects in enumerate(made):
        for ensembles, register, values in (
            (objects.neurons, state.voltage, start.voltage[trial]),
            (objects.relay, state.voltage, start.relay_voltage[trial]),
            (objects.relay, state.current, start.relay_current[trial]),
        ):
            first = 0
            for ensemble in ensembles:
                size = ensemble.neurons.size_out
                load(ensemble, register, values[first : first + size])
                first += size


def _collect(
    simulator: Any,  # noqa: ANN401 - nengo-loihi is untyped
    made: list[Trial],
    plan: Schedule,
    per_latent: np.ndarray,
    progress: Progress,
) -> tuple[np.ndarray, Spikes | None]:
    """Run block by block: internal latents at every sample, and spikes where asked for."""
    samples: list[np.ndarray] = []
    found = [np.empty((3, 0), dtype=np.int64)]
    for block in blocks(plan.steps, _BLOCK):
        simulator.run_steps(len(block))
        first = -block.start % plan.stride
        held = [[simulator.data[probe][first :: plan.stride] for probe in trial.latent] for trial in made]
        samples.append((np.stack([np.stack(groups, axis=1) for groups in held]) / per_latent).sum(axis=2))
        for number, trial in enumerate(made):
            if trial.spikes:
                step, neuron = np.nonzero(np.concatenate([simulator.data[probe] for probe in trial.spikes], axis=1))
                found.append(np.stack([step + block.start + 1, neuron, np.full(len(step), number)]))
        simulator.clear_probes()
        progress(block.stop / plan.steps)
    step, neuron, trial = np.concatenate(found, axis=1)
    spikes = Spikes.sorted(step * plan.dt_s, neuron, trial) if plan.record.spikes else None
    return np.concatenate(samples, axis=1), spikes


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out warnings about what is known: rates that nobody uses, and bits that diagnostics count."""
    with warnings.catch_warnings():
        # on the way Nengo derives intercepts from gains; neurons below threshold have none, and none are used
        warnings.filterwarnings(
            "ignore", message="(invalid value|divide by zero) encountered in", category=RuntimeWarning
        )
        warnings.filterwarnings("ignore", message="Non-finite values detected", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"Lost \d+ extra bits in weight rounding", category=UserWarning)
        yield
