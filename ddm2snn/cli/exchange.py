"""The commands that exchange networks with other tools: import and export."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ddm2snn
from ddm2snn.base.files import require_file
from ddm2snn.cli import costs
from ddm2snn.cli.options import JsonFlag, NetworkFile, Seed, SpikingFile, check_output, say_cost, show, shown
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.exchange.rate_arrays import ImportFacts

_SUFFIXES = {"nir": (".nir",), "hdf5": (".h5", ".hdf5")} | dict.fromkeys(("brian2", "nengo", "pynn"), (".py",))


def import_(
    file: Annotated[Path, typer.Argument(help="Weights: .npz, .safetensors, .mat, .h5, .pt or .pkl; or a .nir graph.")],
    output: NetworkFile,
    mapping: Annotated[Path | None, typer.Option(help="TOML file of names and meanings; see the guide.")] = None,
    activation: Annotated[
        str | None, typer.Option(metavar="tanh|relu|'clipped relu'|logistic", help="Response of the units.")
    ] = None,
    filtered: Annotated[
        str | None,
        typer.Option(metavar="currents|rates", help="What the leak acts on: -x + W phi(x), or -r + phi(W r)."),
    ] = None,
    factor: Annotated[str | None, typer.Option(help="Factor of m n^T: 1/N or a number.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of a dense W; by default its numerical rank.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Relative error of the factors of a dense W.")] = None,
    step: Annotated[float | None, typer.Option(help="a of a network in discrete time, x' = (1 - a) x + a ...")] = None,
    noise: Annotated[float | None, typer.Option(help="Latent noise, per square root of the time unit.")] = None,
    spikes: Annotated[
        str | None, typer.Option(metavar="'per second'|'per step'", help="Of NIR: what a spike counts.")
    ] = None,
    dt_s: Annotated[float | None, typer.Option(help="Of NIR: time step in seconds, where the file has none.")] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Read a low-rank rate network that was trained elsewhere, or the spiking network of a NIR graph."""
    from pydantic import ValidationError

    from ddm2snn.base.settings import explain, read_settings
    from ddm2snn.base.stored import read_entries
    from ddm2snn.exchange.rate_arrays import ImportFacts

    options = {
        "activation": activation, "filtered": filtered, "factor": factor, "rank": rank, "tolerance": tolerance,
        "step": step, "noise": noise, "spikes": spikes, "dt_s": dt_s,
    }  # fmt: skip
    values = read_settings(mapping, ddm2snn.ArrayMapping).model_dump(exclude_unset=True) if mapping else {}
    values |= {name: value for name, value in options.items() if value is not None}
    try:
        merged = ddm2snn.ArrayMapping.model_validate(values)
    except ValidationError as error:
        raise InputError(explain(error, ddm2snn.ArrayMapping)) from error
    require_file(file)
    check_output(output, ".safetensors")
    say_cost(f"import {file}", costs.of_import(file))
    network = ddm2snn.import_network(file, merged, seed=seed)
    network.save(output)
    if isinstance(network, ddm2snn.SpikingNetwork):
        content = {"file": str(output), "fingerprint": network.fingerprint, "neurons": network.neurons}
        show(content, [f"{output}: {network.neurons} spiking neurons, rank {network.rank}"], as_json=as_json)
        return
    facts = read_entries(ImportFacts, network.origin.imported)
    content = {"file": str(output), "fingerprint": network.fingerprint, **network.origin.imported}
    lines = [
        f"{output}: {network.units} units, rank {network.rank}, from {facts.form}, filtered {facts.filtered}"
        + (f", {network.outputs} output(s) from {facts.readout}" if network.outputs else "")
    ]
    show(content, lines + _remarks(facts, network.input_map.shape[1]), as_json=as_json)


def _remarks(facts: ImportFacts, inputs: int) -> list[str]:
    """Sentences on what an imported rate network is, and on what of its file is no part of it."""
    lines = []
    if facts.assumed:
        assumed = ", ".join(f"{name} {value}" for name, value in facts.assumed.items())
        lines.append(f"as the family's own code has it, for the file does not say: {assumed}")
        if facts.step is None:
            lines.append("Warning: read in continuous time. Give --step where the network was trained in time steps.")
    if facts.factorisation_error is not None:
        lines.append(f"relative error of the factors {facts.factorisation_error:.2g}")
    if facts.step_error is not None:
        lines.append(f"its flow over a step of {facts.step:.3g} misses the file's map by {facts.step_error:.1%}")
    if facts.initial_outside > 1e-6:
        lines.append(f"{facts.initial_outside:.0%} of the initial state lies outside the latents and decays")
    if facts.noise_outside is not None:
        share, size = facts.noise_outside, facts.noise_outside_per_unit
        lines.append(
            f"Warning: {share:.0%} of the units' noise, {size:.2g} per unit, lies outside the latents: left out."
        )
    if facts.readout_left_out is not None:
        lines.append(f"Warning: the read-out {facts.readout} is left out: {facts.readout_left_out}")
    if facts.not_used:
        lines.append(f"Warning: nothing was made of {', '.join(facts.not_used[:12])}.")
    if facts.rests_without_input:
        seen = "that random inputs of size 1 lead to" if inputs else "where it moves"
        lines.append(f"Warning: without input or noise the network comes to rest; conversion covers the states {seen}.")
    return lines


def export(
    network: SpikingFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    form: Annotated[
        str, typer.Option("--format", metavar="nir|hdf5|brian2|nengo|pynn", help="Format; the last three are scripts.")
    ] = "nir",
    dialect: Annotated[
        str,
        typer.Option(
            "--nir-dialect",
            metavar="factored|latent|dense",
            help="Read rightly, with a node for the latents, or dense.",
        ),
    ] = "factored",
    reader: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="norse|snntorch|spikingjelly",
            help="Scale a NIR file for one reader; else continuous time.",
        ),
    ] = None,
    without_refractory: Annotated[
        Path | None,
        typer.Option(metavar="RATE", help="Solve decoders for no refractory period, from this rate network."),
    ] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Write a spiking network for another tool, with a sidecar of what its format cannot hold."""
    from ddm2snn.load import load_as

    nir = ddm2snn.Nir(dialect, reader) if (dialect, reader) != ("factored", None) else None  # pyright: ignore[reportArgumentType] - checked inside
    spiking = load_as(network, ddm2snn.SpikingNetwork)
    rate = None if without_refractory is None else load_as(without_refractory, ddm2snn.RateNetwork)
    check_output(output, *_SUFFIXES.get(form, (output.suffix,)))
    dense = form == "nir" and dialect == "dense"
    cost = costs.of_export(spiking.neurons, spiking.rank, dense=dense, folder=output.parent)
    with shown(f"export {network}", cost) as progress, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=__name__)  # these sentences are printed below
        done = ddm2snn.export(
            spiking, output, format=form, nir=nir, without_refractory=rate, seed=seed, progress=progress
        )
    lines = [*map(str, done.files), *(f"Warning: {sentence}" for sentence in done.lost), *done.notes]
    content = {"files": [str(file) for file in done.files], "lost": list(done.lost), "notes": list(done.notes)}
    show(content, lines, as_json=as_json)
