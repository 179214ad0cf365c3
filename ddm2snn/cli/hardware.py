"""The command `hardware`: target devices, one of them in full, and what it makes of a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ddm2snn
from ddm2snn.cli.options import JsonFlag, SpikingFile, show
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.hardware import HardwareConfig
    from ddm2snn.hardware.energy import EnergyEstimate
    from ddm2snn.hardware.quantise import QuantisationDiagnostics
    from ddm2snn.network import SpikingNetwork

hardware = typer.Typer(help="List the target devices, show one, or fit a network on it.", invoke_without_command=True)


@hardware.callback(invoke_without_command=True)
def _hardware(context: typer.Context, as_json: JsonFlag = False) -> None:
    if context.invoked_subcommand is None:
        from ddm2snn.hardware import hardware_names

        content = {name: ddm2snn.find_hardware(name).as_json() for name in hardware_names()}
        show({"hardware": content}, [f"{n:20} {c['summary']}" for n, c in content.items()], as_json=as_json)


@hardware.command("show", epilog="Example: ddm2snn hardware show loihi1-emulator --toml > mine.toml")
def show_configuration(
    name: Annotated[str, typer.Argument(help="Name of a shipped configuration, or a .toml file.")],
    toml: Annotated[
        bool, typer.Option("--toml", help="Print the file itself, comments and all: a template for your own.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show and validate one configuration."""
    from ddm2snn.hardware import hardware_file

    content = ddm2snn.find_hardware(name).as_json()
    if toml and as_json:
        raise InputError("--toml and --json are two forms of the same. Choose one.")
    text = hardware_file(name).read_text(encoding="utf-8").rstrip() if toml else ""
    show(content, [text] if toml else _settings(content), as_json=as_json)


@hardware.command(epilog="Example: ddm2snn hardware fit snn.safetensors --hardware loihi1-emulator")
def fit(
    network: SpikingFile,
    hardware: Annotated[str, typer.Option(help="Name of a shipped configuration, or a .toml file.")],
    figure: Annotated[Path | None, typer.Option(help="Picture of the placement to write (.png, .pdf or .svg).")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="Map to write (.json or .csv): the core of each neuron.")
    ] = None,
    second: Annotated[
        str | None, typer.Option("--with", metavar="sana-fe", help="Simulator to ask for a second opinion.")
    ] = None,
    architecture: Annotated[
        Path | None, typer.Option(help="SANA-FE's description of a chip (.yaml) in place of the device's.")
    ] = None,
    files: Annotated[Path | None, typer.Option(help="Folder to keep SANA-FE's files of chip and network in.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Place a network on a device: does it fit, at what cost."""
    from ddm2snn.hardware.map_file import check_map_file, write_map
    from ddm2snn.hardware.place import placement_of
    from ddm2snn.hardware.second_opinion import second_opinion
    from ddm2snn.plots.conversion import draw_placement
    from ddm2snn.plots.style import check_figure_file, save_figure

    config, spiking = ddm2snn.find_hardware(hardware), ddm2snn.SpikingNetwork.load(network)
    if figure is not None:
        check_figure_file(figure)
    if map_file is not None:
        check_map_file(map_file)
    if second not in (None, "sana-fe"):
        raise InputError(f"--with is sana-fe, got {second!r}.")
    if second is None and (architecture or files):
        raise InputError("--architecture and --files are for SANA-FE. Add --with sana-fe.")
    try:
        placement = placement_of(spiking, config)
        content, lines = _estimates(spiking, config)
    except InputError as error:
        show({"fits": False, "reason": str(error)}, ["fits: no"], as_json=as_json)
        raise
    content, lines = {"placement": placement.as_json(), **content}, placement.lines() + lines
    if second is not None:
        opinion = second_opinion(spiking, config, architecture=architecture, folder=files)
        content["sana_fe"] = opinion.as_json()
        lines += opinion.lines()
    if figure is not None:
        save_figure(draw_placement(placement), figure)
        lines.append(str(figure))
    if map_file is not None:
        write_map(spiking, placement, map_file)
        lines.append(str(map_file))
    content |= {"fits": True, "converted_for_this_device": config.computes_as(spiking.hardware)}
    lines.append("fits: yes")
    if not config.computes_as(spiking.hardware):
        lines.append(f"not converted for this device: convert --hardware {hardware}")
    show(content, lines, as_json=as_json)


def _estimates(network: SpikingNetwork, config: HardwareConfig) -> tuple[dict[str, Any], list[str]]:
    """What rounding does, the work of a short run, and its energy where the device states any."""
    from ddm2snn.hardware.energy import estimate_energy
    from ddm2snn.hardware.quantise import quantise
    from ddm2snn.hardware.workload import workload_of_run

    rounded, work = quantise(network, config).diagnostics, workload_of_run(network, config)
    benchmark = work.neurobench()
    content = {"quantisation": rounded.as_json(), "neurobench": benchmark}
    operations = benchmark["SynapticOperations"]
    lines = [
        *_rounding_lines(rounded),
        f"NeuroBench, for each time unit of {network.time_unit_s:g} s: footprint {benchmark['Footprint']:,.0f} bytes, "
        f"connection sparsity {benchmark['ConnectionSparsity']:.3g}, "
        f"activation sparsity {benchmark['ActivationSparsity']:.3g}, "
        f"synaptic operations {operations['Effective_ACs']:,.0f} effective of {operations['Dense']:,.0f} dense, "
        f"membrane updates {benchmark['MembraneUpdates']:,.0f}, "
        f"neuron operations {benchmark['NeuronOperations']['Effective Neuron Ops']:,.0f}",
    ]
    if config.energy is not None:
        energy = estimate_energy(work, config, network.time_unit_s)
        content["energy"] = energy.as_json()
        lines += _energy_lines(energy, network)
    return content, lines


def _rounding_lines(rounded: QuantisationDiagnostics) -> list[str]:
    return [
        f"{name}: {part.bits_left} bits left, {part.saturated_share:.2%} clipped, "
        f"{part.flushed_share:.2%} rounded to zero, relative error {part.relative_error:.2g}"
        for name, part in (("encoders", rounded.encoders), ("decoders", rounded.decoders))
        if part is not None
    ]


def _energy_lines(energy: EnergyEstimate, network: SpikingNetwork) -> list[str]:
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in energy.microjoule.items())
    lines = [
        f"energy (estimate): {energy.microjoule_per_time_unit:.4g} uJ per time unit of {network.time_unit_s:g} s, "
        f"{energy.microwatt:.4g} uW; without static power, management cores and host; {energy.source}",
        f"energy by part in uJ: {parts}",
    ]
    if energy.microsecond_per_step is not None:
        share = 1e6 * network.dt_s / energy.microsecond_per_step
        lines.append(
            f"time (estimate): {energy.microsecond_per_step:.3g} us for a step of {1e6 * network.dt_s:g} us, "
            f"{share:,.0f} times as fast as it stands for, without the host"
        )
    return lines


def _settings(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += _settings(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {'no limit' if value is None else value}")
    return lines
