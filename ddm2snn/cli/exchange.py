"""The commands that exchange networks and recordings with other tools: import and export."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ddm2snn
from ddm2snn.base.files import require_file
from ddm2snn.cli import costs
from ddm2snn.cli.options import JsonFlag, Seed, check_output, say_cost, show, shown
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.exchange.rate_arrays import ImportFacts

_SUFFIXES = {"nir": (".nir",), "hdf5": (".h5", ".hdf5"), "neo": (".nix",), "card": (".zip",)}
_SUFFIXES |= dict.fromkeys(("brian2", "nengo", "pynn"), (".py",)) | {n: (f".{n}",) for n in ("nwb", "csv", "parquet")}


def import_(
    file: Annotated[
        Path,
        typer.Argument(help="Weights (.npz, .safetensors, .mat, .h5, .pt, .pkl), .nir, or a recording (.nwb, .nix)."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .safetensors, or .nc of a recording.")],
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
    signal: Annotated[str | None, typer.Option(help="Of a recording: name or number of the signal of latents.")] = None,
    network: Annotated[
        Path | None, typer.Option(metavar="SNN", help="Of a recording: network that decodes its spikes.")
    ] = None,
    time_unit_s: Annotated[float | None, typer.Option(help="Of a recording: seconds per rate time unit.")] = None,
    every: Annotated[float | None, typer.Option(help="Of a recording: sampling interval in rate time units.")] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Read a rate network that was trained elsewhere, the spiking network of a NIR graph, or a recording."""
    from pydantic import ValidationError

    from ddm2snn.base.settings import explain, read_settings

    options = {
        "activation": activation, "filtered": filtered, "factor": factor, "rank": rank, "tolerance": tolerance,
        "step": step, "noise": noise, "spikes": spikes, "dt_s": dt_s,
    }  # fmt: skip
    of_recording = {"signal": signal, "network": network, "time_unit_s": time_unit_s, "every": every}
    if output.suffix == ".nc" or file.suffix.lower() in (".nwb", ".nix"):
        _refuse({**options, "mapping": mapping}, "a network", "(-o net.safetensors)")
        _import_recording(file, output, network, signal, time_unit_s, every, as_json=as_json)
        return
    _refuse(of_recording, "a recording", "(-o run.nc)")
    values = read_settings(mapping, ddm2snn.ArrayMapping).model_dump(exclude_unset=True) if mapping else {}
    values |= {name: value for name, value in options.items() if value is not None}
    try:
        merged = ddm2snn.ArrayMapping.model_validate(values)
    except ValidationError as error:
        raise InputError(explain(error, ddm2snn.ArrayMapping)) from error
    require_file(file)
    check_output(output, ".safetensors")
    say_cost(f"import {file}", costs.of_import(file))
    made = ddm2snn.import_network(file, merged, seed=seed)
    made.save(output)
    _show_imported(made, output, as_json=as_json)


def _show_imported(made: ddm2snn.RateNetwork | ddm2snn.SpikingNetwork, output: Path, *, as_json: bool) -> None:
    """Print what a file turned out to hold."""
    from ddm2snn.base.stored import read_entries
    from ddm2snn.exchange.rate_arrays import ImportFacts

    if isinstance(made, ddm2snn.SpikingNetwork):
        content = {"file": str(output), "fingerprint": made.fingerprint, "neurons": made.neurons}
        show(content, [f"{output}: {made.neurons} spiking neurons, rank {made.rank}"], as_json=as_json)
        return
    facts = read_entries(ImportFacts, made.origin.imported)
    content = {"file": str(output), "fingerprint": made.fingerprint, **made.origin.imported}
    lines = [
        f"{output}: {made.units} units, rank {made.rank}, from {facts.form}, filtered {facts.filtered}"
        + (f", {made.outputs} output(s) from {facts.readout}" if made.outputs else "")
    ]
    show(content, lines + _remarks(facts, made.input_map.shape[1]), as_json=as_json)


def _refuse(options: Mapping[str, object], kind: str, output: str) -> None:
    """Refuse options that belong to the other kind of content."""
    if others := [name for name, value in options.items() if value is not None]:
        raise InputError(f"{', '.join(others)} belong to the import of {kind} {output}. Leave out what does not apply.")


def _import_recording(
    file: Path,
    output: Path,
    network: Path | None,
    signal: str | None,
    time_unit_s: float | None,
    every: float | None,
    *,
    as_json: bool,
) -> None:
    """Read spikes and signals from elsewhere into a recording."""
    check_output(output, ".nc")
    spiking = None if network is None else ddm2snn.SpikingNetwork.load(network)
    recording = ddm2snn.import_recording(file, signal=signal, network=spiking, time_unit_s=time_unit_s, every=every)
    recording.save(output)
    content = {"file": str(output), "fingerprint": recording.fingerprint, "trials": recording.trials}
    show(content, [f"{output}: {recording!r}"], as_json=as_json)


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
            f"Warning: {share:.0%} of the units' noise, {size:.2g} per unit, lies outside the latents: left out but "
            "for its effect on the mean. With noise_latents in a mapping further latents carry it."
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
    file: Annotated[Path, typer.Argument(help="Spiking network (.safetensors), or recording (.nc).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; of a card or a kit the folder.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="nir|hdf5|brian2|nengo|pynn|board|card|neo|nwb|csv|parquet",
            help="Of a network nir to card, three of them scripts; of a recording nir (NIRData) or neo to parquet.",
        ),
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
            metavar="norse|snntorch|spikingjelly|board",
            help="Scale a NIR file for one reader; else continuous time. Of nengo: board, a kit for Loihi 1.",
        ),
    ] = None,
    without_refractory: Annotated[
        Path | None,
        typer.Option(metavar="RATE", help="Solve decoders for no refractory period, from this rate network."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of a card: licence of the network, such as cc-by-4.0.")] = None,
    report: Annotated[Path | None, typer.Option(help="Of a card: summary.json of ddm2snn compare.")] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Write a network or a recording for another tool, and say what its format cannot hold."""
    from ddm2snn.load import load

    if (form, reader) == ("nengo", "board"):
        form, reader = "board", None
    nir = ddm2snn.Nir(dialect, reader) if (dialect, reader) != ("factored", None) else None  # pyright: ignore[reportArgumentType] - checked inside
    card = ddm2snn.Card(licence, report) if (licence, report) != (None, None) else None
    content = load(file)
    rate = None if without_refractory is None else ddm2snn.RateNetwork.load(without_refractory)
    if form not in ("card", "board") or output.suffix:
        check_output(output, *_SUFFIXES.get(form, (output.suffix,)))
    if isinstance(content, ddm2snn.Recording):
        trains = 0 if content.spikes is None else content.trials * len(set(content.spikes.neuron.tolist()))
        cost = costs.of_recording_export(content.samples.size, trains if form == "neo" else 0, folder=output.parent)
    else:
        size = content.neurons if isinstance(content, ddm2snn.SpikingNetwork) else 0
        rank, dense = getattr(content, "rank", 0), form == "nir" and dialect == "dense"
        cost = costs.of_export(size, rank, dense=dense, folder=output.parent)
    with shown(f"export {file}", cost) as progress, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=__name__)  # these sentences are printed below
        done = ddm2snn.export(
            content,  # pyright: ignore[reportArgumentType] - refused where it is a stimulus
            output,
            format=form,
            nir=nir,
            card=card,
            without_refractory=rate,
            seed=seed,
            progress=progress,
        )
    lines = [*map(str, done.files), *(f"Warning: {sentence}" for sentence in done.lost), *done.notes]
    shown_content = {"files": [str(file) for file in done.files], "lost": list(done.lost), "notes": list(done.notes)}
    show(shown_content, lines, as_json=as_json)
