"""Map files for other tools: the core of each neuron, and what each core holds; `map.schema.json` describes them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ddm2snn.base.files import check_writable, write_text
from ddm2snn.errors import InputError
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.place import Placement
from ddm2snn.network import SpikingNetwork

FORMAT, VERSION = "ddm2snn-map", 1
COLUMNS = ("kind", "index", "chip", "core", "compartment", "input_axons", "output_axons", "synapse_bits")
"""Columns of a CSV map, `$defs.row` of the schema: a row for each neuron, with what its whole core holds."""


def check_map_file(path: Path) -> None:
    """Refuse a name that is neither .json nor .csv, or a file that cannot be written."""
    if path.suffix not in (".json", ".csv"):
        raise InputError(f"Maps are written as .json or .csv, got {path}. Name it {path.with_suffix('.json')}.")
    check_writable(path)


def write_map(network: SpikingNetwork, placement: Placement, path: Path) -> None:
    """Write the map of a placed network: as JSON, or as CSV where `path` ends in .csv."""
    check_map_file(path)
    content = _map_of(network, placement)
    if path.suffix == ".json":
        write_text(path, json.dumps(content, indent=1) + "\n")
        return
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for neuron in content["neurons"]:
        row = content["cores"][neuron["core"]] | neuron
        table.writerow([row[column] for column in COLUMNS])
    write_text(path, text.getvalue())


def _map_of(network: SpikingNetwork, placement: Placement) -> dict[str, Any]:
    """Cores with what they hold, and neurons with their core and compartment, as JSON values."""
    cores = [
        {
            "core": number, "name": core.name, "chip": chip, "compartments": core.compartments,
            "input_axons": core.input_axons, "output_axons": core.output_axons, "synapse_bits": core.synapse_bits,
        }
        for number, (core, chip) in enumerate(zip(placement.cores, placement.chip, strict=True))
    ]  # fmt: skip
    return {
        "format": FORMAT, "version": VERSION, "hardware": placement.config.name, "network": network.fingerprint,
        "cores": cores, "neurons": list(_neurons(network, placement)),
    }  # fmt: skip


def _neurons(network: SpikingNetwork, placement: Placement) -> Iterator[dict[str, Any]]:
    layout = layout_of(network.neurons, network.rank, placement.config)
    parts = [("decode neuron", part) for part in layout.decode_parts]
    parts += [("neuron", part) for part in layout.neuron_parts]
    for core, (kind, part) in enumerate(parts):  # in the order of `Layout.cores`: decode neurons first
        for compartment, index in enumerate(range(part.start, part.stop)):
            yield {"kind": kind, "index": index, "core": core, "compartment": compartment}
