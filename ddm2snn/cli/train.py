"""The commands that make rate networks and take them apart: train, import, analyse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ddm2snn.cli.shared import SYSTEM, JsonFlag, RateFile, Seed, show
from ddm2snn.errors import InputError


def train(
    system: Annotated[str, typer.Argument(help=SYSTEM)],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")],
    units: Annotated[int | None, typer.Option(help="Rate units; the system's own number by default.")] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    error: Annotated[float, typer.Option(help="Drift error to reach, relative, with a small read-out.")] = 1e-3,
    ridge: Annotated[float | None, typer.Option(help="Penalty on the read-out, instead of an error.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Try all ridges; show error against size of read-out.")
    ] = False,
    activation: Annotated[str, typer.Option(help="Response of the units: tanh, relu or lif.")] = "tanh",
    as_json: JsonFlag = False,
) -> None:
    """Train a low-rank rate network by drift-diffusion matching."""
    import ddm2snn
    from ddm2snn.base.files import check_writable
    from ddm2snn.cli.console import shown
    from ddm2snn.training import Training

    check_writable(output)
    training = Training(error=error, ridge=ridge, sweep=sweep, activation=activation)  # pyright: ignore[reportArgumentType] - checked inside
    with shown(f"train {system}") as progress:
        network = ddm2snn.train(
            system,
            units=units,
            seed=seed,
            device=device,  # pyright: ignore[reportArgumentType] - checked inside
            training=training,
            progress=progress,
        )
        network.save(output)
    reached = ", ".join(f"{value:.2g}" for value in network.provenance["drift_error"])
    content = {"file": str(output), "fingerprint": network.fingerprint, **network.provenance}
    lines = [f"{output}: relative drift error per latent {reached}"]
    if network.diffusion_readout is not None:
        lines.append(f"relative error of the diffusion tensor {network.provenance['diffusion_error']:.2g}")
    if sweep:
        lines += ["ridge      drift error  sum |W_s|"]
        lines += [
            f"{s['ridge']:<9.0e}  {s['drift_error']:<11.2g}  {s['readout_norm']:.4g}"
            for s in network.provenance["stages"]
        ]
    lines += _return_lines(network.provenance["robustness"])
    show(content, lines, as_json=as_json)


def _return_lines(found: Mapping[str, Any]) -> list[str]:
    """Warn of trajectories that did not come back."""
    lost = {name: found[name] for name in ("escaped", "astray", "still") if found[name]}
    if not lost:
        return []
    counts = ", ".join(f"{count} {name}" for name, count in lost.items())
    total = found["far"] + found["perturbed"]
    return [f"Warning: {counts} of {total} trajectories from far outside or under strong noise did not come back."]


def import_(
    file: Annotated[Path, typer.Argument(help="Weights: .npz, .safetensors, .mat, .h5, .pt or .pth; or a .nir graph.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")],
    mapping: Annotated[Path | None, typer.Option(help="TOML file of names and meanings; see the guide.")] = None,
    activation: Annotated[str | None, typer.Option(help="Response of the units: tanh, relu or logistic.")] = None,
    filtered: Annotated[
        str | None, typer.Option(help="What the leak acts on: currents (-x + W phi(x)) or rates (-r + phi(W r)).")
    ] = None,
    factor: Annotated[str | None, typer.Option(help="Factor of m n^T: 1/N or a number.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of a dense W; found by --tolerance if not given.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Relative error of the factors of a dense W.")] = None,
    step: Annotated[float | None, typer.Option(help="a of a network in discrete time, x' = (1 - a) x + a ...")] = None,
    noise: Annotated[float | None, typer.Option(help="Latent noise, per square root of the time unit.")] = None,
    spikes: Annotated[str | None, typer.Option(help="Of NIR: what a spike counts, 'per second' or 'per step'.")] = None,
    dt_s: Annotated[float | None, typer.Option(help="Of NIR: time step in seconds, where the file has none.")] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Read a low-rank rate network that was trained elsewhere, or the spiking network of a NIR graph."""
    from pydantic import ValidationError

    from ddm2snn.base.files import check_writable
    from ddm2snn.base.settings import explain, read_settings
    from ddm2snn.exchange import Mapping as Meaning
    from ddm2snn.exchange import import_network
    from ddm2snn.network import SpikingNetwork

    check_writable(output)
    said = {
        "activation": activation, "filtered": filtered, "factor": factor, "rank": rank, "tolerance": tolerance,
        "step": step, "noise": noise, "spikes": spikes, "dt_s": dt_s,
    }  # fmt: skip
    written = read_settings(mapping, Meaning).model_dump(exclude_unset=True) if mapping else {}
    try:
        meaning = Meaning.model_validate(written | {name: value for name, value in said.items() if value is not None})
    except ValidationError as error:
        raise InputError(explain(error, Meaning)) from error
    network = import_network(file, meaning, seed=seed)
    network.save(output)
    if isinstance(network, SpikingNetwork):
        content = {"file": str(output), "fingerprint": network.fingerprint, "neurons": network.neurons}
        show(content, [f"{output}: {network.neurons} spiking neurons, rank {network.rank}"], as_json=as_json)
        return
    found = network.provenance["imported"]
    content = {"file": str(output), "fingerprint": network.fingerprint, **found}
    lines = [
        f"{output}: {network.units} units, rank {network.rank}, from {found['form']}, filtered {found['filtered']}"
    ]
    if "factorisation_error" in found:
        lines.append(f"relative error of the factors {found['factorisation_error']:.2g}")
    if "step_error" in found:
        lines.append(f"a step in discrete time differs from the flow by {found['step_error']:.1%} of its length")
    if found["rests_without_input"]:
        lines.append("Warning: without input or noise the network comes to rest; conversion covers where it moves.")
    show(content, lines, as_json=as_json)


def analyse(
    rate: RateFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for analysis.json and figures.")],
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Take the dynamics of a rate network apart: subspace, symmetry, time reversal, fixed points, exponents."""
    from ddm2snn.analysis import analyse as take_apart
    from ddm2snn.cli.console import shown
    from ddm2snn.load import load_as
    from ddm2snn.network import RateNetwork
    from ddm2snn.workflow.report import write_analysis

    network = load_as(rate, RateNetwork)
    with shown(f"analyse {rate}") as progress:
        analysis = take_apart(network, seed=seed, progress=progress)
        written = write_analysis(analysis, output)
    content = {"folder": str(output), **analysis.as_json()}
    show(content, [*analysis.lines(), *(str(path) for path in written)], as_json=as_json)
