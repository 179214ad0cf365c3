"""A second opinion on energy, time and messages: a placed network on a chip as SANA-FE simulates it.

SANA-FE (Boyle et al., SANA-FE: Simulating Advanced Neuromorphic Architectures for Fast Exploration, IEEE TCAD 2025)
counts every event of a run on an architecture of tiles and cores, with an energy and a latency for each. It runs in a
process of its own, for it prints to stdout and ends its process at some mistakes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.files import make_folder, require_file, write_text
from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.errors import InputError
from ddm2snn.hardware.chip import Prepared
from ddm2snn.hardware.device import Machine
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.registers import Registers

if TYPE_CHECKING:
    from jaxtyping import Int

ARCHITECTURE_FILE, NETWORK_FILE = "architecture.yaml", "network.yaml"
_REGISTERS = 64.0  # SANA-FE cuts voltages to 1/64: one register of ours is one of these
_LEVELS = 2.0**16  # of a threshold where a device does not round: SANA-FE's voltages are cut to 1/64 all the same
_LONGEST_S = 900  # of a run of SANA-FE [choice]
_DRIVER = """
import json, sys
import sanafe
architecture, network, steps, result = sys.argv[1:]
try:
    parsed = sanafe.load_arch(architecture)
except Exception as error:
    sys.exit(str(error))
if network == "":
    with open(result, "w") as file:
        units = [(unit.name, unit.model_info.name) for unit in parsed.cores()[0].pipeline_hw]
        json.dump({"units": units, "cores_per_tile": len(parsed.tiles[0].cores)}, file)
    sys.exit()
chip = sanafe.SpikingChip(parsed)
try:
    chip.load(sanafe.load_net(network, parsed))
except Exception as error:
    sys.exit(str(error))
run = chip.sim(int(steps), timing_model="detailed", spike_trace=True, perf_trace=True)
spikes = {}
for step, fired in enumerate(run["spike_trace"]):
    for neuron in fired:
        group, number = str(neuron).rsplit(".", 1)
        spikes.setdefault(group, []).append((step, int(number)))
keep = ("energy", "sim_time", "spikes", "packets_sent", "neurons_updated", "neurons_fired")
content = {key: run[key] for key in keep}
content["trace"], content["hops"] = spikes, sum(run["perf_trace"]["hops"])
with open(result, "w") as file:
    json.dump(content, file)
"""


_CHIP = """# {name}: {source}
architecture:
  name: {name}
  attributes:
    topology: mesh
    width: {columns}
    height: {rows}
    link_buffer_size: 16
    sync_model: table
    latency_sync: {{{barrier}}}
  tile:
    - name: tile[0..{last_tile}]
      attributes:
        energy_north_hop: {hop_y_pj}e-12
        latency_north_hop: {hop_y_ns}e-9
        energy_east_hop: {hop_x_pj}e-12
        latency_east_hop: {hop_x_ns}e-9
        energy_south_hop: {hop_y_pj}e-12
        latency_south_hop: {hop_y_ns}e-9
        energy_west_hop: {hop_x_pj}e-12
        latency_west_hop: {hop_x_ns}e-9
      core:
        - name: core[0..{last_core}]
          attributes: {{buffer_position: dendrite, buffer_inside_unit: true, max_neurons_supported: {compartments}}}
          axon_in:
            - name: in
              attributes: {{energy_message_in: 0.0, latency_message_in: {message_in_ns}e-9}}
          synapse:
            - name: dense
              attributes:
                model: current_based
                energy_process_spike: {synaptic_operation_pj}e-12
                latency_process_spike: {synaptic_operation_ns}e-9
          dendrite:
            - name: current[0..{last_compartment}]
              attributes: {{model: taps, energy_update: 0.0, latency_update: 0.0}}
          soma:
            - name: lif
              attributes:
                model: leaky_integrate_fire
                energy_access_neuron: 0.0
                latency_access_neuron: 0.0
                energy_update_neuron: {inactive_update_pj}e-12
                latency_update_neuron: {update_ns}e-9
                energy_spike_out: {spike_pj!r}e-12
                latency_spike_out: {spike_ns}e-9
            - name: input[0..{last_compartment}]
              attributes:
                model: input
                energy_access_neuron: 0.0
                latency_access_neuron: 0.0
                energy_update_neuron: 0.0
                latency_update_neuron: 0.0
                energy_spike_out: 0.0
                latency_spike_out: 0.0
          axon_out:
            - name: out
              attributes:
                energy_message_out: {message_pj}e-12
                latency_message_out: {message_out_ns}e-9
"""


@dataclass(frozen=True)
class SanaFeRun:
    """What SANA-FE makes of a run of some steps on one trial.

    `picojoule` is the energy of its parts: synapse, dendrite, soma and network (messages and hops).
    """

    steps: int
    picojoule: Mapping[str, float]
    microsecond_per_step: float
    messages: int
    hops: int
    updates: int
    synaptic_operations: int
    spikes: Int[np.ndarray, "spike 2"]
    decode_spikes: Int[np.ndarray, "spike 2"]

    def as_json(self) -> dict[str, Any]:
        """Every number, spikes as their number."""
        content = asdict(self)
        return content | {name: len(content[name]) for name in ("spikes", "decode_spikes")}


def architecture_yaml(config: HardwareConfig, cores: int, compartments: int) -> str:
    """Architecture of a device in SANA-FE's YAML: energy and latency of each unit of so many cores and compartments.

    As many columns of tiles as the cores take are written; those of several chips lie side by side. Each compartment
    has a dendrite of one tap, which filters its current; SANA-FE's own soma would lose what arrives in the refractory
    period.

    Raises
    ------
    InputError
        Where the device states no mesh, energies or times, or no energy of a message or a hop.
    """
    energy, time, mesh = config.energy, config.time, config.mesh
    missing = [name for name in ("energy", "time", "mesh") if getattr(config, name) is None]
    if energy is not None:
        missing += [
            f"energy.{name}" for name in ("message_pj", "hop_x_pj", "hop_y_pj") if getattr(energy, name) is None
        ]
    if missing or energy is None or time is None or mesh is None:
        raise InputError(
            f"{config.name} has no figure for {', '.join(missing)}, which SANA-FE needs. Add it to the configuration, "
            "with a source, or give an architecture file."
        )
    columns = -(-cores // (mesh.cores_per_tile * mesh.rows))
    barrier = ", ".join(f"{least}: {ns * 1e-9!r}" for least, ns in time.barrier_ns)
    values = {
        **time.model_dump(), **energy.model_dump(), "name": config.name, "source": config.source, "columns": columns,
        "rows": mesh.rows, "last_tile": columns * mesh.rows - 1, "last_core": mesh.cores_per_tile - 1,
        "last_compartment": compartments - 1, "compartments": compartments, "barrier": barrier,
        "spike_pj": energy.active_update_pj - energy.inactive_update_pj,
    }  # fmt: skip
    return _CHIP.format(**values)


def network_yaml(ready: Prepared, steps: int, units: Mapping[str, list[str]], cores_per_tile: int) -> str:
    r"""Network and mapping of a prepared run's first trial in SANA-FE's YAML, from rest.

    A group is the compartments of one core, and `host` the axons of the host, which lie on the first core. Voltages,
    weights, thresholds and biases are registers over 64, or over 2^-16 of a threshold that is not rounded. `units` are
    names of an architecture's units by their model. With taps, which decay at the start of a step and then take what
    arrives, u' = d (u + w / d). Without, the soma filters currents.
    """
    machine = ready.machine
    parts = [*machine.decode_neurons, *machine.population]  # the cores of `Layout.cores`
    taps, somas = units.get("taps", []), units["leaky_integrate_fire"]
    decoding = len(machine.decode_neurons)
    names = [f"{'decode' if core < decoding else 'neurons'}{core}" for core in range(len(parts))]
    signs = ready.signs[0, :steps] if ready.signs is not None else np.zeros((steps, 0), dtype=np.int8)
    trains = [*(signs > 0).T, *(signs < 0).T]
    lines = ["network:", "  name: ddm2snn", "  groups:"]
    if trains:
        own = "dendrite: {taps: 1, time_constants: [0.0]}" if taps else ""
        lines += ["    - name: host", f"      attributes: [{own}]", "      neurons:"]
        lines += [
            f"        - {axon}: [soma: {{spikes: [{_listed(train.astype(int))}]}}]" for axon, train in enumerate(trains)
        ]
    for name, part in zip(names, parts, strict=True):
        lines += _group(name, part, taps=bool(taps))
    lines.append("  edges:")
    for source, target, weights in _edges(machine, names, hosted=bool(trains)):
        part = parts[names.index(target)]
        flat = (weights / _unit(part) / (part.current_decay if taps else 1.0)).ravel()
        lines.append(f"    - {source} -> {target}: [type: dense, weight: [{_listed(flat)}]]")
    lines.append("mappings:")
    for axon in range(len(trains)):
        own = f', dendrite: "{taps[len(parts[0].bias) + axon]}"' if taps else ""
        lines.append(f'  - host.{axon}: [core: 0.0, soma: "{units["input"][axon]}"{own}]')
    for core, (name, part) in enumerate(zip(names, parts, strict=True)):
        place = f'core: {core // cores_per_tile}.{core % cores_per_tile}, soma: "{somas[0]}"'
        if not taps:
            lines.append(f"  - {name}: [{place}]")
            continue
        lines += [f'  - {name}.{n}: [{place}, dendrite: "{taps[n]}"]' for n in range(len(part.bias))]
    return "\n".join(lines) + "\n"


def _group(name: str, part: Registers, *, taps: bool) -> Iterator[str]:
    """Compartments of a core: what they share, then the bias of each."""
    filtering = "" if taps else f", input_decay: {part.current_decay!r}"
    # SANA-FE counts the step of the spike
    held = part.refractory_steps + 1 if part.refractory_steps else 0
    yield f"    - name: {name}"
    yield (
        f"      attributes: [log_spikes: true, soma: {{threshold: {float(part.threshold / _unit(part))!r}, reset: 0.0, "
        f"reset_mode: hard, reverse_threshold: 0.0, reverse_reset_mode: saturate, leak_decay: {part.voltage_decay!r}, "
        f"refractory_delay: {held}{filtering}}}"
        + (f", dendrite: {{taps: 1, time_constants: [{part.current_decay!r}]}}]" if taps else "]")
    )
    yield "      neurons:"
    for number, bias in enumerate(part.bias / _unit(part)):
        yield f"        - {number}: [soma: {{bias: {float(bias)!r}}}]"


def _edges(machine: Machine, names: list[str], *, hosted: bool) -> Iterator[tuple[str, str, np.ndarray]]:
    """Source, target and weights, shape (axon, compartment), of all pairs of groups that are connected."""
    neurons = sum(len(part.bias) for part in machine.population)
    groups = layout_of(neurons, machine.device.decode_neurons.rank, machine.device.config).groups
    decode_names, neuron_names = iter(names), iter(names[len(machine.decode_neurons) :])
    registers = iter(machine.decode_neurons)
    members = [
        ([next(decode_names) for _ in g.decode_parts], [next(neuron_names) for _ in g.neuron_parts]) for g in groups
    ]
    for group, (decoding, encoding) in zip(groups, members, strict=True):
        sizes = np.cumsum([part.stop - part.start for part in group.neuron_parts])[:-1]
        for target in decoding:
            weights = next(registers).weights
            if hosted:
                yield "host", target, weights[1]
            for source, some in zip(encoding, np.split(weights[0], sizes), strict=True):
                yield source, target, some
    population = zip((name for _, encoding in members for name in encoding), machine.population, strict=True)
    for target, part in population:
        for group, (decoding, _), weights in zip(groups, members, part.weights, strict=True):
            sizes = np.cumsum([some.stop - some.start for some in group.decode_parts])[:-1]
            for source, some in zip(decoding, np.split(weights, sizes), strict=True):
                yield source, target, some


def _unit(part: Registers) -> float:
    """Registers in one unit of SANA-FE."""
    return _REGISTERS if part.whole else part.threshold / _LEVELS


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(map(repr, np.asarray(numbers).tolist()))


def run_sana_fe(
    ready: Prepared, config: HardwareConfig, steps: int, *, architecture: Path | None = None, folder: Path | None = None
) -> SanaFeRun:
    """Run the first trial of a prepared run in SANA-FE, from rest.

    Parameters
    ----------
    ready, config, steps
        The run in registers, its device, and how many steps of it.
    architecture
        An architecture file of your own; by default one is written from the device's figures.
    folder
        Where architecture and network files are kept; by default nowhere.

    Raises
    ------
    InputError
        Where SANA-FE is missing or refuses the architecture or the placement, or the device lacks a figure.
    """
    if find_spec("sanafe") is None:
        raise InputError("--with sana-fe needs SANA-FE. Install it: pip install 'ddm2snn[sana-fe]'")
    machine = ready.machine
    sizes = [len(part.bias) for part in (*machine.decode_neurons, *machine.population)]
    hosted = 0 if ready.signs is None else 2 * ready.signs.shape[2]
    most = max(*sizes, sizes[0] + hosted)  # axons of the host lie on the first core
    with tempfile.TemporaryDirectory() as temporary:
        place = make_folder(folder or temporary)
        chip = require_file(architecture) if architecture is not None else place / ARCHITECTURE_FILE
        if architecture is None:
            write_text(chip, architecture_yaml(config, len(sizes), most))
        units, cores_per_tile = _units(chip, Path(temporary))
        if 0 < len(units.get("taps", [])) < most or len(units["input"]) < hosted:
            raise InputError(
                f"{chip} has taps for {len(units.get('taps', []))} compartments and {len(units['input'])} inputs per "
                f"core; the network needs {most} and {hosted}. Add more."
            )
        write_text(place / NETWORK_FILE, network_yaml(ready, steps, units, cores_per_tile))
        counted = _called(chip, str(place / NETWORK_FILE), steps, Path(temporary))
    first = np.cumsum([0, *sizes[: len(machine.decode_neurons)]])
    decode = [_spikes(counted, f"decode{core}", int(at)) for core, at in enumerate(first[:-1])]
    offset = np.cumsum([0, *sizes[len(machine.decode_neurons) :]])
    neurons = [
        _spikes(counted, f"neurons{core + len(machine.decode_neurons)}", int(at)) for core, at in enumerate(offset[:-1])
    ]
    return SanaFeRun(
        steps=steps,
        picojoule={name: 1e12 * value for name, value in counted["energy"].items()},
        microsecond_per_step=1e6 * counted["sim_time"] / steps,
        messages=counted["packets_sent"],
        hops=counted["hops"],
        updates=counted["neurons_updated"],
        synaptic_operations=counted["spikes"],
        spikes=np.concatenate(neurons),
        decode_spikes=np.concatenate(decode),
    )


def _units(architecture: Path, folder: Path) -> tuple[dict[str, list[str]], int]:
    """Names of the units of an architecture's first core by their model, and the cores of a tile."""
    units: dict[str, list[str]] = {}
    counted = _called(architecture, "", 0, folder)
    for name, model in counted["units"]:
        units.setdefault(model, []).append(name)
    missing = [model for model in ("leaky_integrate_fire", "input") if model not in units]
    if missing:
        raise InputError(
            f"{architecture} has no unit of model {' or '.join(missing)} on its first core, got {', '.join(units)}. "
            "Add one."
        )
    return units, counted["cores_per_tile"]


def _spikes(counted: Mapping[str, Any], group: str, first: int) -> Int[np.ndarray, "spike 2"]:
    """Steps and neurons of the spikes of a group whose first neuron has a number."""
    return np.array(counted["trace"].get(group, []), dtype=np.int64).reshape(-1, 2) + np.array([0, first])


def _called(architecture: Path, network: str, steps: int, folder: Path) -> Any:  # noqa: ANN401 - JSON values
    """Result of the driver in a process of its own; what it refuses is one line of what SANA-FE says."""
    result = folder / "result.json"
    command = [sys.executable, "-c", _DRIVER, str(architecture), network, str(steps), str(result)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"SANA-FE took more than {_LONGEST_S} s. Use a smaller network or architecture.") from error
    if done.returncode == 0:
        return json.loads(result.read_text(encoding="utf-8"))
    said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    reason = " ".join(said[-3:]) or f"it ended with code {done.returncode}"
    if not network:
        raise InputError(f"SANA-FE cannot read the architecture {architecture}: {reason}. Correct it.")
    raise InputError(
        f"SANA-FE refuses the network: {reason}. "
        "Use an architecture with as many cores and compartments as `hardware fit` shows."
    )
