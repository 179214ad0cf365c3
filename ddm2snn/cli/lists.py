"""The commands that list what there is: systems, backends, devices and compiled programs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ddm2snn
from ddm2snn.cli.options import JsonFlag, SpikingFile, show

if TYPE_CHECKING:
    from ddm2snn.base.program_cache import Entry

cache = typer.Typer(help="List the compiled Brian2 programs that are kept, or clear them.", invoke_without_command=True)
hardware = typer.Typer(help="List the target devices, show one, or fit a network on it.", invoke_without_command=True)


def systems(as_json: JsonFlag = False) -> None:
    """List the built-in target systems."""
    from ddm2snn.systems import BUILT_IN

    built_in = {name: make() for name, make in sorted(BUILT_IN.items())}
    content = {n: {"rank": s.rank, "units": s.units, "summary": s.summary} for n, s in built_in.items()}
    lines = [f"{n:12} rank {s.rank}, {s.units} units: {s.summary}" for n, s in built_in.items()]
    show({"systems": content}, lines, as_json=as_json)


def backends(as_json: JsonFlag = False) -> None:
    """List the installed backends."""
    from ddm2snn.backend import RATE, backend_names, distribution_of

    content: dict[str, dict[str, str | None]] = {}
    for name in backend_names():
        if name == RATE:
            summary = "The rate network itself, which needs no simulator."
            content[name] = {"spike_timing": None, "summary": summary, "distribution": None}
            continue
        backend = ddm2snn.find_backend(name)
        summary = (type(backend).__doc__ or "").strip().splitlines()
        content[name] = {
            "spike_timing": backend.spike_timing, "summary": summary[0] if summary else "",
            "distribution": distribution_of(name),
        }  # fmt: skip
    lines = [
        f"{name:12} {about['summary']}" + (f" [{about['distribution']}]" if about["distribution"] else "")
        for name, about in content.items()
    ]
    show({"backends": content}, lines, as_json=as_json)


@hardware.callback(invoke_without_command=True)
def _hardware(context: typer.Context, as_json: JsonFlag = False) -> None:
    if context.invoked_subcommand is None:
        from ddm2snn.hardware import hardware_names

        content = {name: ddm2snn.find_hardware(name).as_json() for name in hardware_names()}
        show({"hardware": content}, [f"{n:20} {c['summary']}" for n, c in content.items()], as_json=as_json)


@hardware.command("show", epilog="Example: ddm2snn hardware show loihi1-emulator")
def show_configuration(
    name: Annotated[str, typer.Argument(help="Name of a shipped configuration, or a .toml file.")],
    as_json: JsonFlag = False,
) -> None:
    """Show and validate one configuration."""
    content = ddm2snn.find_hardware(name).as_json()
    show(content, _settings(content), as_json=as_json)


@hardware.command(epilog="Example: ddm2snn hardware fit snn.safetensors --hardware loihi1-emulator")
def fit(
    network: SpikingFile,
    hardware: Annotated[str, typer.Option(help="Name of a shipped configuration, or a .toml file.")],
    figure: Annotated[Path | None, typer.Option(help="Picture of the placement to write (.png, .pdf or .svg).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Place a network on a device: cores, rounding, energy."""
    from ddm2snn.hardware.energy import energy_of_run
    from ddm2snn.hardware.place import placement_of
    from ddm2snn.hardware.quantise import quantise
    from ddm2snn.load import load_as
    from ddm2snn.plots.conversion import draw_placement
    from ddm2snn.plots.style import check_figure_file, save_figure

    config, spiking = ddm2snn.find_hardware(hardware), load_as(network, ddm2snn.SpikingNetwork)
    if figure is not None:
        check_figure_file(figure)
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


def _settings(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += _settings(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {'no limit' if value is None else value}")
    return lines


def _program(entry: Entry) -> str:
    shape = entry.about.get("shape", {})
    size = f"{shape.get('neurons', '?')} neurons, rank {shape.get('rank', '?')}, {shape.get('membrane', '?')}"
    loop = "open loop" if shape.get("driven") else "closed loop"
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    return (
        f"{entry.key[:12]}  {size}, {shape.get('precision', '?')}, {loop}: {entry.bytes / 2**10:.0f} KiB, used {used}"
    )


@cache.callback(invoke_without_command=True)
def _cache(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the programs, those used last first."""
    if context.invoked_subcommand is not None:
        return
    from ddm2snn.base import program_cache

    programs, folder = program_cache.entries(), program_cache.cache_folder()
    total, limit = sum(entry.bytes for entry in programs), program_cache.limit_bytes()
    rows = [{name: getattr(entry, name) for name in ("key", "bytes", "used", "about")} for entry in programs]
    content = {"folder": str(folder), "bytes": total, "limit_bytes": limit, "programs": rows}
    head = f"{folder}: {len(programs)} programs, {total / 2**20:.1f} of {limit / 2**20:.0f} MiB"
    show(content, [head, *map(_program, programs)], as_json=as_json)


@cache.command(epilog="Example: ddm2snn cache clear")
def clear(as_json: JsonFlag = False) -> None:
    """Remove all programs; the next runs compile theirs again."""
    from ddm2snn.base import program_cache

    removed = program_cache.clear()
    total = sum(entry.bytes for entry in removed)
    content = {"folder": str(program_cache.cache_folder()), "removed": len(removed), "bytes": total}
    show(content, [f"{content['folder']}: {len(removed)} programs removed, {total / 2**20:.1f} MiB"], as_json=as_json)
