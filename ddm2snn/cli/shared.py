"""What commands share: options that several take, and how they print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

SYSTEM = "Built-in name or path/to/file.py:attribute (which executes the file)."
WELLS = "Centres of wells: JSON such as '[[-1, 0], [1, 0]]', a file of it or CSV, or a system with memories."
DECODERS = (
    "calibrated (on the neurons' own spikes), static, trained (W_s as trained), or direct (one LIF neuron a unit)."
)
BACKEND = "Simulator that decoders are solved for."
HARDWARE = "Device to have in the loop of calibrated decoders: a name (`ddm2snn hardware`) or a .toml file."
NEURONS = "Neuron model: lif (by default), rectified-linear, adaptive-lif, loihi-lif or heterogeneous-lif."
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
RateFile = Annotated[Path, typer.Argument(help="Rate network (.safetensors).")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]


def show(content: Mapping[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print one JSON object, or lines."""
    print(json.dumps(content, allow_nan=False) if as_json else "\n".join(lines))
