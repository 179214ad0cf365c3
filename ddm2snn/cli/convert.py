"""The commands that make spiking networks: plan, convert, restructure."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ddm2snn.cli.shared import BACKEND, DECODERS, HARDWARE, NEURONS, JsonFlag, RateFile, Seed, show
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.conversion import Population


def plan(
    rate: RateFile,
    noise: Annotated[
        float | None, typer.Option(help="Most spike noise, over the target's; 0.25 unless a drift error is given.")
    ] = None,
    drift_error: Annotated[float | None, typer.Option(help="Largest bias of the drift, relative.")] = None,
    neurons_per_unit: Annotated[float | None, typer.Option(help="Fix the neurons for each rate unit.")] = None,
    time_unit_s: Annotated[float | None, typer.Option(help="Fix the seconds per rate time unit.")] = None,
    dt_s: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    neuron: Annotated[str | None, typer.Option(help=NEURONS)] = None,
    backend: Annotated[str, typer.Option(help=BACKEND)] = "brian2",
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Find the conversion with the fewest spikes within bounds on spike noise and drift error, by prediction."""
    import ddm2snn
    from ddm2snn.cli.console import shown
    from ddm2snn.load import load_as
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import find_neuron

    network = load_as(rate, RateNetwork)
    with shown(f"plan for {backend}") as progress:
        found = ddm2snn.plan(
            network,
            noise=0.25 if noise is None and drift_error is None else noise,
            drift_error=drift_error,
            neurons_per_unit=neurons_per_unit,
            time_unit_s=time_unit_s,
            neuron=find_neuron(neuron or "lif"),
            backend=backend,
            dt_s=dt_s,
            seed=seed,
            progress=progress,
        )
    chosen = found.chosen
    given = [("neurons-per-unit", f"{chosen.neurons_per_unit:g}"), ("time-unit-s", f"{chosen.time_unit_s:g}")]
    given += [("dt-s", dt_s), ("neuron", neuron), ("backend", backend), ("seed", seed or None)]
    options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given if value is not None)
    command = f"ddm2snn convert {shlex.quote(str(rate))} -o snn.safetensors{options}"
    show({**found.as_json(), "command": command}, [*found.lines(), *chosen.lines(), command], as_json=as_json)


def convert(
    rate: RateFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")],
    neurons_per_unit: Annotated[
        float | None, typer.Option(help="Spiking neurons for each rate unit, 4 by default; fractions are allotted.")
    ] = None,
    time_unit_s: Annotated[float | None, typer.Option(help="Seconds per rate time unit; found if not given.")] = None,
    dt_s: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    neuron: Annotated[str | None, typer.Option(help=NEURONS)] = None,
    decoders: Annotated[str, typer.Option(help=DECODERS)] = "calibrated",
    backend: Annotated[str | None, typer.Option(help=BACKEND + " Brian2, or what runs --hardware.")] = None,
    hardware: Annotated[str | None, typer.Option(help=HARDWARE)] = None,
    seed: Seed = 0,
    figure: Annotated[
        Path | None, typer.Option(help="Figure of the diagnostics to write as well (.png, .pdf or .svg).")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Convert a rate network into spiking neurons that keep its low-rank factors."""
    import ddm2snn
    from ddm2snn.base.files import check_writable
    from ddm2snn.cli.console import shown
    from ddm2snn.hardware import find_hardware
    from ddm2snn.hardware.limits import longest_decay_s
    from ddm2snn.load import load_as
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import find_neuron
    from ddm2snn.plots.conversion import draw
    from ddm2snn.plots.style import check_figure_file, save_figure

    check_writable(output)
    if figure is not None:
        check_figure_file(figure)
    model = find_neuron(neuron or "lif")
    kinds = {"calibrated": ddm2snn.Calibrated, "static": ddm2snn.Static, "kept": ddm2snn.Kept, "direct": ddm2snn.Direct}
    if decoders not in kinds:
        raise InputError(f"There are no decoders {decoders!r}; known are {', '.join(kinds)}.")
    population = None
    if decoders != "direct" or neurons_per_unit is not None or neuron is not None:
        count = 4 if neurons_per_unit is None else neurons_per_unit
        population = ddm2snn.Population(count, neuron=model)
    network = load_as(rate, RateNetwork)
    with shown(f"convert for {hardware or backend or 'brian2'}") as progress:
        conversion = ddm2snn.convert(
            network,
            population=population,
            decoders=kinds[decoders](),
            backend=backend,
            hardware=hardware,
            time_unit_s=time_unit_s,
            dt_s=dt_s,
            seed=seed,
            progress=progress,
        )
        conversion.network.save(output)
        if figure is not None:
            save_figure(draw(conversion, network), figure)
    made, found = conversion.network, conversion.diagnostics
    content = {
        "file": str(output), "fingerprint": made.fingerprint, "neurons": made.neurons,
        "time_unit_s": made.time_unit_s, "dt_s": made.dt_s, **found,
    }  # fmt: skip
    error = ", ".join(f"{e:.2g}" for e in found["drift_error"])
    lines = [
        f"{output}: {made.neurons} neurons, rank {found['rank_audit']['rank']}, time unit {made.time_unit_s:g} s, "
        f"relative drift error per latent {error}"
    ]
    lines += [] if figure is None else [str(figure)]
    excess = found.get("noise", {}).get("spikes_over_target")
    if excess is not None and excess > 1:
        longest_s = math.inf if hardware is None else longest_decay_s(find_hardware(hardware), dt_s)
        lines.append(_too_loud(excess, made.time_unit_s, longest_s, population))
    show(content, lines, as_json=as_json)


def _too_loud(excess: float, time_unit_s: float, longest_s: float, population: Population | None) -> str:
    """Warning of spikes noisier than the rate network, with what would meet it: time units up to the longest only."""
    longer_s, ways = math.ceil(excess) * time_unit_s, []
    if population is not None:
        ways.append(f"about --neurons-per-unit {math.ceil(excess * population.neurons_per_unit)}")
    if longer_s <= longest_s:
        ways.append(f"--time-unit-s {longer_s:g}")
    remedy = f"{' or '.join(ways)} would meet it" if ways else "the device has no room for the time unit that it takes"
    return f"Warning: in one direction the spikes are {excess:.3g} times as noisy as the rate network; {remedy}."


def restructure(
    spiking: Annotated[Path, typer.Argument(help="Spiking network (.safetensors).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")],
    rate: Annotated[Path, typer.Option(help="Rate network that it was converted from (.safetensors).")],
    sparse: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Keep this share of each latent's decoders, the others zero.")
    ] = None,
    bounded: Annotated[
        float | None, typer.Option(metavar="MULTIPLE", help="No decoder above this multiple of the free ones' rms.")
    ] = None,
    one_sign: Annotated[
        bool, typer.Option("--one-sign", help="Decoders of a neuron all positive or all negative (Dale's law).")
    ] = False,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Solve for decoders that are sparse, bounded or of one sign, and tell what that costs."""
    import ddm2snn
    from ddm2snn.base.files import check_writable
    from ddm2snn.cli.console import shown
    from ddm2snn.load import load_as
    from ddm2snn.network import RateNetwork, SpikingNetwork

    check_writable(output)
    asked = [] if sparse is None else [ddm2snn.Sparse(sparse)]
    asked += [] if bounded is None else [ddm2snn.Bounded(bounded)]
    asked += [ddm2snn.OneSign()] if one_sign else []
    if len(asked) != 1:
        found = ", ".join(map(repr, asked)) or "none"
        raise InputError(f"restructure needs one structure, found {found}. Give --sparse, --bounded or --one-sign.")
    network, source = load_as(spiking, SpikingNetwork), load_as(rate, RateNetwork)
    with shown(f"restructure {spiking}") as progress:
        conversion = ddm2snn.restructure(source, network, asked[0], seed=seed, progress=progress)
        conversion.network.save(output)
    made, found = conversion.network, conversion.diagnostics
    content = {"file": str(output), "fingerprint": made.fingerprint, "neurons": made.neurons, **found}
    lines = [
        f"{output}: {made.neurons} neurons, rank {found['rank_audit']['rank']}, "
        f"{100 * found['zero_share']:.3g} % of the decoders zero, largest {found['largest_over_rms']:.3g} times the rms"
    ]
    for name in ("before", "after"):
        error = ", ".join(f"{e:.2g}" for e in found[name]["drift_error"])
        loud = found[name]["spikes_over_target"]
        noise = "" if loud is None else f", spike noise {loud:.2g} of the target's"
        lines.append(f"{name}: relative drift error per latent {error}{noise}")
    show(content, lines, as_json=as_json)
