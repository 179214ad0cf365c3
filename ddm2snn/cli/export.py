"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ddm2snn.cli.options import JsonFlag, Seed, SpikingFile, show


def export(
    network: SpikingFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    form: Annotated[str, typer.Option("--format", help="Format: nir, hdf5, brian2, nengo or pynn.")] = "nir",
    dialect: Annotated[
        str, typer.Option("--nir-dialect", help="factored (read rightly), latent (a node for the latents), or dense.")
    ] = "factored",
    reader: Annotated[
        str | None,
        typer.Option("--for", help="Scale a NIR file for norse, snntorch or spikingjelly; else continuous time."),
    ] = None,
    without_refractory: Annotated[
        Path | None,
        typer.Option(metavar="RATE", help="Solve decoders for no refractory period, from this rate network."),
    ] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Write a spiking network for another tool, with a sidecar of what its format cannot hold."""
    from ddm2snn.base.files import check_writable
    from ddm2snn.cli.console import shown
    from ddm2snn.exchange.export import Nir, exported
    from ddm2snn.load import load_as
    from ddm2snn.network import RateNetwork, SpikingNetwork

    check_writable(output)
    nir = Nir(dialect, reader) if (dialect, reader) != ("factored", None) else None  # pyright: ignore[reportArgumentType] - checked inside
    spiking = load_as(network, SpikingNetwork)
    rate = None if without_refractory is None else load_as(without_refractory, RateNetwork)
    with shown(f"export {network}") as progress:
        done = exported(spiking, output, format=form, nir=nir, without_refractory=rate, seed=seed, progress=progress)
    lines = [*map(str, done.files), *(f"Warning: {sentence}" for sentence in done.lost), *done.notes]
    content = {"files": [str(file) for file in done.files], "lost": list(done.lost), "notes": list(done.notes)}
    show(content, lines, as_json=as_json)
