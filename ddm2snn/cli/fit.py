"""Commands of the group `ddm2snn hardware`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def fit(
    network: Annotated[Path, typer.Argument(help="Spiking network (.safetensors).")],
    hardware: Annotated[str, typer.Option(help="Name of a shipped configuration, or a .toml file.")],
    figure: Annotated[Path | None, typer.Option(help="Picture of the placement to write (.png, .pdf or .svg).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
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
    print(json.dumps(content, allow_nan=False) if as_json else "\n".join(lines))
