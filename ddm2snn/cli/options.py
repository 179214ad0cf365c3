"""Options that several commands take; `show` obeys the one for JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ddm2snn.neuron import NeuronModel

SYSTEM = "Built-in name or path/to/file.py:attribute (which executes the file)."
WELLS = "Centres of wells: JSON such as '[[-1, 0], [1, 0]]', a file of it or CSV, or a system with memories."
DECODERS = (
    "calibrated (on the neurons' own spikes), static, trained (W_s as trained), or direct (one LIF neuron a unit)."
)
BACKEND = "Simulator that decoders are solved for."
HARDWARE = "Device to have in the loop of calibrated decoders: a name (`ddm2snn hardware`) or a .toml file."
NEURONS = "Neuron model: lif (by default), rectified-linear, adaptive-lif, loihi-lif or heterogeneous-lif."
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
NetworkFile = Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")]
RateFile = Annotated[Path, typer.Argument(help="Rate network (.safetensors).")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
SpikingFile = Annotated[Path, typer.Argument(help="Spiking network (.safetensors).")]


def show(content: Mapping[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print one JSON object, or lines."""
    print(json.dumps(content, allow_nan=False) if as_json else "\n".join(lines))


def flags(*options: tuple[str, object]) -> str:
    """Options by name as a shell takes them, each behind a blank; those of None are left out."""
    return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in options if value is not None)


def neuron_model(name: str | None) -> NeuronModel | None:
    """Neuron model of a name, with its default parameters."""
    from ddm2snn.neuron import find_neuron

    return None if name is None else find_neuron(name)
