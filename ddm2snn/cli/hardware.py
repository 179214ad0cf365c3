"""The group `ddm2snn hardware`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ddm2snn.cli.fit import fit
from ddm2snn.cli.shared import JsonFlag, show

hardware = typer.Typer(help="Target devices.", invoke_without_command=True)


@hardware.callback(invoke_without_command=True)
def _hardware(context: typer.Context, as_json: JsonFlag = False) -> None:
    if context.invoked_subcommand is None:
        from ddm2snn.hardware import find_hardware, hardware_names

        content = {name: find_hardware(name).as_json() for name in hardware_names()}
        show({"hardware": content}, [f"{n:20} {c['summary']}" for n, c in content.items()], as_json=as_json)


@hardware.command("show")
def hardwareshow(
    name: Annotated[str, typer.Argument(help="Name of a shipped configuration, or a .toml file.")],
    as_json: JsonFlag = False,
) -> None:
    """Show and validate one configuration."""
    from ddm2snn.hardware import find_hardware

    content = find_hardware(name).as_json()
    show(content, list(_lines(content)), as_json=as_json)


hardware.command("fit")(fit)


def _lines(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {'no limit' if value is None else value}")
    return lines
