"""Board kits: a folder with all that the first hour on a board of Loihi 1 takes, and with what is to be expected."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np
import tomli_w

from ddm2snn.base.files import check_neighbour, check_writable, new_folder, write_together
from ddm2snn.base.progress import no_progress
from ddm2snn.conversion.diagnostics import Diagnostics
from ddm2snn.errors import InputError
from ddm2snn.exchange.nengo_module import write_nengo_module
from ddm2snn.exchange.scripts import TEMPLATES
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.chip import Prepared, prepare, run_device
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.place import placement_of
from ddm2snn.network import SpikingNetwork
from ddm2snn.schedule import Run, Schedule, SpikeSelection

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STEPS = 1000  # whose spikes are compared [choice]
_MODULE = "network.py"
_TITLE = "# Board kit of ddm2snn"
_TRIALS, _LONGEST = 64, 20  # of the runs that tell how long to burn in, and their time units [choice]
_SIGMAS = 4.0  # of standard error within which two means are the same [choice]
_SPIKE_BYTES, _WORD_BYTES = 8, 4  # nengo_loihi.hardware.interface.SpikePacker, and one number [literature: its source]
_MOST_SPIKES = 50  # snip_max_spikes_per_step of nengo-loihi [literature: its source]


def write_board_kit(network: SpikingNetwork, path: Path, *, seed: int = 0) -> tuple[Path, ...]:
    """Write the kit of a network that was converted for a device of nengo-loihi into a folder; return its files."""
    config = network.hardware
    if config is None or config.target != "nengo-loihi":
        held = "was converted for no device" if config is None else f"was converted for {config.name}"
        raise InputError(
            f"A board kit is for Loihi 1, and this network {held}. Convert with hardware=loihi1-emulator, "
            "loihi1-kapoho-bay or loihi1-nahuku32."
        )
    placement_of(network, config)  # refuses what does not fit
    expected = {name: _Expected.of(network, seed, from_zero=name != "loaded") for name in ("loaded", "from zero")}
    told = {
        "steps": STEPS, "seed": seed, "network": network.fingerprint, "hardware": config.name,
        "sha256": {name: each.digest for name, each in expected.items()},
        "spikes": {name: len(each.rows) for name, each in expected.items()},
        "spikes_by_neuron": {
            name: np.bincount(each.rows[:, 1], minlength=network.neurons).tolist() for name, each in expected.items()
        },
        "latent_deviation": {name: each.latent.std(axis=0).tolist() for name, each in expected.items()},
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, **{name: each.rows for name, each in expected.items()})  # pyright: ignore[reportArgumentType]
    settings = {
        "name": _MODULE, "module": Path(_MODULE).stem, "steps": STEPS, "title": _TITLE,
        "duration": max(1, -int(-STEPS * network.dt_s // network.time_unit_s)),
        **_facts(network, seed, expected["from zero"]),
    }  # fmt: skip
    texts = {"README.md": "board_kit.md.txt", "check.py": "board_check.py.txt"}
    contents = {name: Template((TEMPLATES / form).read_text()).substitute(settings) for name, form in texts.items()}
    contents |= {
        "hardware.toml": tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)),
        "expected.json": json.dumps(told, indent=1) + "\n",
    }
    with new_folder(path) as folder:
        check_neighbour(folder / "README.md", lambda file: file.read_text(encoding="utf-8").startswith(_TITLE))
        for name in (*contents, "expected.npz"):
            check_writable(folder / name)
        module, _ = write_nengo_module(network, folder / _MODULE, seed=seed)
        written = {folder / name: text.encode() for name, text in contents.items()}
        write_together({**written, folder / "expected.npz": buffer.getvalue()})
    return (
        folder / "README.md",
        *module,
        *(file for file in written if file.name != "README.md"),
        folder / "expected.npz",
    )


@dataclass(frozen=True, eq=False)
class _Expected:
    """What the emulator does in the first steps: spikes as rows of step and neuron, and latents in system units."""

    rows: Int[np.ndarray, "spike two"]
    latent: Float[np.ndarray, "step rank"]

    @classmethod
    def of(cls, network: SpikingNetwork, seed: int, *, from_zero: bool) -> _Expected:
        schedule, ready = _started(network, STEPS * network.dt_s / network.time_unit_s, 1, seed, from_zero=from_zero)
        latent, spikes, _ = run_device(schedule, ready, no_progress)
        step = np.rint(spikes.time_s / network.dt_s).astype(np.int64)  # pyright: ignore[reportOptionalMemberAccess] - asked for
        rows = np.stack([step, spikes.neuron], axis=1)  # pyright: ignore[reportOptionalMemberAccess]
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        return cls(rows, latent[0] * network.latent_scale + network.latent_offset)

    @property
    def digest(self) -> str:
        """SHA-256 of the rows as little-endian numbers of 64 bits."""
        return hashlib.sha256(np.ascontiguousarray(self.rows, dtype="<i8").tobytes()).hexdigest()


def _started(
    network: SpikingNetwork, duration: float, trials: int, seed: int, *, from_zero: bool, every: float | None = None
) -> tuple[Schedule, Prepared]:
    """A run on the network's device, and its registers at the start: as loaded, or zero as those of a board."""
    run = Run(
        network, duration, trials, seed, every=every or network.dt_s / network.time_unit_s, spikes=SpikeSelection()
    )
    schedule = Schedule.of(run)
    ready = prepare(schedule, network.hardware)  # pyright: ignore[reportArgumentType] - checked
    if from_zero:
        silent = {name: np.zeros_like(getattr(ready, name)) for name in ("voltage", "decode_current", "decode_voltage")}
        ready = replace(ready, **silent)
    return schedule, ready


def _burn_in(network: SpikingNetwork, seed: int) -> int | None:
    """Time units after which runs from zero are as far out as loaded ones, in the mean of trials; None if not soon.

    The distance is that of the latents from zero, each in units of its deviation. From the answer on, means over one
    time unit agree within four standard errors.
    """
    every = max(1, round(0.05 * network.time_unit_s / network.dt_s)) * network.dt_s / network.time_unit_s
    distances = []
    for from_zero in (False, True):
        started = _started(network, _LONGEST, _TRIALS, seed, from_zero=from_zero, every=every)
        latent, _, _ = run_device(*started, no_progress)
        distances.append(latent)
    deviation = np.maximum(distances[0].std(axis=(0, 1)), np.finfo(float).tiny)
    unit = np.floor(np.arange(distances[0].shape[1]) * every + 1e-9).astype(int)
    loaded, zero = (
        np.stack([((z[:, unit == n] / deviation) ** 2).sum(axis=2).mean(axis=1) for n in range(_LONGEST)])
        for z in distances
    )
    error = np.sqrt((loaded.var(axis=1) + zero.var(axis=1)) / _TRIALS)
    apart = np.abs(loaded.mean(axis=1) - zero.mean(axis=1)) > _SIGMAS * error
    last = int(np.flatnonzero(apart).max(initial=-1)) + 1
    return None if last == _LONGEST else last


def _facts(network: SpikingNetwork, seed: int, expected: _Expected) -> dict[str, object]:
    """Numbers of the checklist."""
    config = network.hardware or find_hardware()
    placement, layout = placement_of(network, config), layout_of(network.neurons, network.rank, config)
    noisy = bool(network.diffusion_factor.any())
    spikes = network.rank * len(layout.decode_parts) if noisy else 0  # of each step: one for each latent and core
    steps_per_unit, burn_in = network.time_unit_s / network.dt_s, _burn_in(network, seed)
    words = sum(-(-(part.stop - part.start) // 32) for part in layout.neuron_parts)
    probed = network.rank * len(layout.groups)
    measured = Diagnostics.of(network)
    ratio = None if measured is None or measured.noise is None else measured.noise.spikes_over_target
    without = (
        "Its conversion did not measure how much noise the spikes bring." if ratio is None else
        f"What is left then is the noise of the spikes, at most {ratio:.2g} of the diffusion that the rate network has."
    )  # fmt: skip
    return {
        "fingerprint": network.fingerprint, "device": config.name, "neurons": network.neurons, "rank": network.rank,
        "chips": config.capacity.chips or 1, "used_chips": placement.chips, "cores": len(placement.cores),
        "placement": "\n".join(placement.lines()), "time_unit_s": network.time_unit_s, "dt_s": network.dt_s,
        "noise_spikes": spikes, "noise_spikes_per_unit": f"{spikes * steps_per_unit:,.0f}",
        "noise_spikes_per_second": f"{spikes / network.dt_s:,.0f}", "noise_bytes": _SPIKE_BYTES * spikes,
        "noise_kilobytes": f"{_SPIKE_BYTES * spikes / network.dt_s / 1000:,.0f}",
        "most_spikes": max(_MOST_SPIKES, spikes), "groups": len(layout.groups), "probed": probed,
        "probe_kilobytes": f"{_WORD_BYTES * probed / network.dt_s / 1000:,.0f}",
        "spike_kilobytes": f"{_WORD_BYTES * words / network.dt_s / 1000:,.0f}", "without": without,
        "expected_spikes": f"{len(expected.rows):,}", "expected_sha256": expected.digest, "seed": seed,
        "burn_in": (
            f"Burn in for more than {_LONGEST} time units: till then runs from zero differ from loaded ones."
            if burn_in is None
            else f"Burn in for {burn_in} time units ({burn_in * network.time_unit_s:g} s): from there on {_TRIALS} "
            f"runs of the emulator from zero are as far out as {_TRIALS} loaded ones, by {_SIGMAS:g} standard errors."
        ),
    }  # fmt: skip
