"""The group of commands hardware: show, fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ddm2snn.cli.options import JsonFlag, SpikingFile, show

hardware = typer.Typer(help="Target devices.", invoke_without_command=True)


@hardware.callback(invoke_without_command=True)
def _hardware(context: typer.Context, as_json: JsonFlag = False) -> None:
    if context.invoked_subcommand is None:
        from ddm2snn.hardware import find_hardware, hardware_names

        content = {name: find_hardware(name).as_json() for name in hardware_names()}
        show({"hardware": content}, [f"{n:20} {c['summary']}" for n, c in content.items()], as_json=as_json)


@hardware.command("show")
def show_configuration(
    name: Annotated[str, typer.Argument(help="Name of a shipped configuration, or a .toml file.")],
    as_json: JsonFlag = False,
) -> None:
    """Show and validate one configuration."""
    from ddm2snn.hardware import find_hardware

    content = find_hardware(name).as_json()
    show(content, list(_lines(content)), as_json=as_json)


@hardware.command()
def fit(
    network: SpikingFile,
    hardware: Annotated[str, typer.Option(help="Name of a shipped configuration, or a .toml file.")],
    figure: Annotated[Path | None, typer.Option(help="Picture of the placement to write (.png, .pdf or .svg).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Place a network on a device: what each core holds, what rounding does to it, and energy."""
    from ddm2snn.hardware import find_hardware
    from ddm2snn.hardware.energy import energy_of_run
    from ddm2snn.hardware.place import placement_of
    from ddm2snn.hardware.quantise import quantise
    from ddm2snn.load import load_as
    from ddm2snn.network import SpikingNetwork
    from ddm2snn.plots.placement import draw_placement
    from ddm2snn.plots.style import check_figure_file, save_figure

    if figure is not None:
        check_figure_file(figure)
    config, spiking = find_hardware(hardware), load_as(network, SpikingNetwork)
    placement, rounded = placement_of(spiking, config), quantise(spiking, config).diagnostics
    content = {"placement": placement.as_json(), "quantisation": rounded.as_json()}
    lines = placement.lines()
    for name, part in (("encoders", rounded.encoders), ("decoders", rounded.decoders)):
        if part is not None:
            lines.append(
                f"{name}: {part.bits_left} bits left, {part.saturated_share:.2%} clipped, "
                f"{part.flushed_share:.2%} rounded to zero, relative error {part.relative_error:.2g}"
            )
    if config.energy is not None:
        energy = energy_of_run(spiking, config)
        content["energy"] = energy.as_json()
        lines.append(
            f"energy (estimate): {energy.nanojoule_per_time_unit:.4g} nJ per time unit of {spiking.time_unit_s:g} s, "
            f"{energy.microwatt:.4g} uW; {energy.source}"
        )
    if figure is not None:
        save_figure(draw_placement(placement), figure)
        lines.append(str(figure))
    show(content, lines, as_json=as_json)


def _lines(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {'no limit' if value is None else value}")
    return lines
