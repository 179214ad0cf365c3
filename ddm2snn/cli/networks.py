"""The commands that make networks: train, convert, plan and restructure."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

import ddm2snn
from ddm2snn.cli import costs
from ddm2snn.cli.options import (
    BACKEND,
    HARDWARE,
    SYSTEM,
    DecoderName,
    JsonFlag,
    NetworkFile,
    Neuron,
    RateFile,
    Seed,
    SpikingFile,
    Strict,
    check_output,
    exit_code,
    flags,
    missed_warnings,
    neuron_model,
    show,
    shown,
)
from ddm2snn.errors import InputError


def train(
    system: Annotated[str, typer.Argument(help=SYSTEM)],
    output: NetworkFile,
    units: Annotated[int | None, typer.Option(help="Rate units; the system's own number by default.")] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="Device to train on.")] = "cpu",
    error: Annotated[float, typer.Option(help="Drift error to reach, relative, with a small read-out.")] = 1e-3,
    ridge: Annotated[float | None, typer.Option(help="Penalty on the read-out, instead of an error.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Try all ridges; show error against size of read-out.")
    ] = False,
    activation: Annotated[str, typer.Option(metavar="tanh|relu|lif", help="Response of the units.")] = "tanh",
    strict: Strict = False,
    as_json: JsonFlag = False,
) -> int:
    """Train a low-rank rate network by drift-diffusion matching."""
    from ddm2snn.systems import find_system
    from ddm2snn.systems.scales import BUDGET
    from ddm2snn.training import Training
    from ddm2snn.training.matching import TrainingReport

    training = Training(error=error, ridge=ridge, sweep=sweep, activation=activation)  # pyright: ignore[reportArgumentType] - checked inside
    target = find_system(system)
    check_output(output, ".safetensors")
    cost = costs.of_training(target.units if units is None else units, training)
    searched = "" if target.has_scales else f" (sampling takes {BUDGET:,} steps at most)"
    with missed_warnings() as missed, shown(f"train {system}{searched}", cost) as progress:
        network = ddm2snn.train(
            target,
            units=units,
            seed=seed,
            device=device,  # pyright: ignore[reportArgumentType] - checked inside
            training=training,
            progress=progress,
        )
        network.save(output)
    report = TrainingReport.of(network)
    error_per_latent = ", ".join(f"{value:.2g}" for value in report.drift_error)
    content = {"file": str(output), "fingerprint": network.fingerprint, **network.provenance}
    lines = [f"{output}: relative drift error per latent {error_per_latent}"]
    if network.diffusion_readout is not None:
        lines.append(f"relative error of the diffusion tensor {report.diffusion_error:.2g}")
    if sweep:
        lines += ["ridge      drift error  sum |W_s|"]
        lines += [f"{s.ridge:<9.0e}  {s.drift_error:<11.2g}  {s.readout_norm:.4g}" for s in report.stages]
    if network.time_scale != 1.0:
        middle, reach = network.latent_offset, 2.0 * network.latent_scale
        places = ", ".join(f"{m - r:.3g} to {m + r:.3g}" for m, r in zip(middle, reach, strict=True))
        lines.append(
            f"one rate time unit is {network.time_scale:.3g} units of the system's time; "
            f"states lie within about {places}"
        )
    show(content, lines, as_json=as_json)
    return exit_code(missed, strict=strict)


def convert(
    rate: RateFile,
    output: NetworkFile,
    neurons_per_unit: Annotated[
        float | None, typer.Option(help="Spiking neurons for each rate unit, 4 by default; fractions are allocated.")
    ] = None,
    time_unit_s: Annotated[float | None, typer.Option(help="Seconds per rate time unit; found if not given.")] = None,
    rise_s: Annotated[
        float | None, typer.Option(help="Seconds in which synapses rise, 0 for at once; found if not given.")
    ] = None,
    stimulus: Annotated[Path | None, typer.Option(help="Input of the trials to follow, as simulate takes it.")] = None,
    input_range: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Follow random inputs between two values, where trials are unknown."),
    ] = None,
    dt_s: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    neuron: Neuron = None,
    decoders: DecoderName = "calibrated",
    backend: Annotated[str | None, typer.Option(help=BACKEND + " Brian2, or what runs --hardware.")] = None,
    hardware: Annotated[str | None, typer.Option(help=HARDWARE)] = None,
    seed: Seed = 0,
    figure: Annotated[
        Path | None, typer.Option(help="Figure of the diagnostics to write as well (.png, .pdf or .svg).")
    ] = None,
    strict: Strict = False,
    as_json: JsonFlag = False,
) -> int:
    """Convert a rate network into spiking neurons that keep its low-rank factors."""
    from ddm2snn.conversion import find_decoders
    from ddm2snn.plots.conversion import draw
    from ddm2snn.plots.style import check_figure_file, save_figure

    network = ddm2snn.RateNetwork.load(rate)
    device = None if hardware is None else ddm2snn.find_hardware(hardware)
    check_output(output, ".safetensors")
    if figure is not None:
        check_figure_file(figure)
    model = neuron_model(neuron)
    given = {"rise_s": rise_s, "stimulus": _followed(network, stimulus, input_range, seed)}
    chosen = find_decoders(decoders, **{name: value for name, value in given.items() if value is not None})
    population = None
    if neurons_per_unit is not None or model is not None:
        count = 4 if neurons_per_unit is None else neurons_per_unit
        population = ddm2snn.Population(count, neuron=model or ddm2snn.LIF())
    cost = costs.of_conversion((neurons_per_unit or 4.0) * network.units, network.rank, decoders)
    with missed_warnings() as missed, shown(f"convert for {hardware or backend or 'brian2'}", cost) as progress:
        conversion = ddm2snn.convert(
            network, population=population, decoders=chosen, backend=backend, hardware=device,
            time_unit_s=time_unit_s, dt_s=dt_s, seed=seed, progress=progress,
        )  # fmt: skip
        conversion.network.save(output)
        if figure is not None:
            save_figure(draw(conversion, network), figure)
    spiking, diagnostics = conversion.network, conversion.diagnostics
    content = {
        "file": str(output), "fingerprint": spiking.fingerprint, "neurons": spiking.neurons,
        "time_unit_s": spiking.time_unit_s, "dt_s": spiking.dt_s, **diagnostics.as_json(),
    }  # fmt: skip
    error = ", ".join(f"{e:.2g}" for e in diagnostics.drift_error)
    if diagnostics.drift_random is not None:
        error += " that repeat and " + ", ".join(f"{e:.2g}" for e in diagnostics.drift_random) + " of noise"
    lines = [
        f"{output}: {spiking.neurons} neurons, rank {diagnostics.rank_audit.rank}, "
        f"time unit {spiking.time_unit_s:g} s, relative drift error per latent {error}"
    ]
    lines += [] if figure is None else [str(figure)]
    show(content, lines, as_json=as_json)
    return exit_code(missed, strict=strict)


def _followed(
    network: ddm2snn.RateNetwork, file: Path | None, input_range: tuple[float, float] | None, seed: int
) -> ddm2snn.Stimulus | None:
    """Input that the neurons are to follow, from one of two options."""
    if file is None and input_range is None:
        return None
    if file is not None and input_range is not None:
        raise InputError("--stimulus and --input-range both say what inputs there are. Give one of them.")
    if file is not None:
        from ddm2snn.exchange import read_stimulus

        return read_stimulus(file)
    lowest, highest = ([bound] * network.input_map.shape[1] for bound in input_range or ())
    return ddm2snn.Stimulus.within(lowest, highest, seed=seed)


def plan(
    rate: RateFile,
    noise: Annotated[
        float | None, typer.Option(help="Most spike noise, over the target's; 0.25 unless a drift error is given.")
    ] = None,
    drift_error: Annotated[float | None, typer.Option(help="Largest repeatable error of the drift, relative.")] = None,
    neurons_per_unit: Annotated[float | None, typer.Option(help="Fix the neurons for each rate unit.")] = None,
    time_unit_s: Annotated[float | None, typer.Option(help="Fix the seconds per rate time unit.")] = None,
    dt_s: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    neuron: Neuron = None,
    backend: Annotated[str | None, typer.Option(help=BACKEND + " Brian2 by default.")] = None,
    hardware: Annotated[
        str | None, typer.Option(help="Device to find the fewest neurons and bits for, by runs of its integers.")
    ] = None,
    excess: Annotated[float | None, typer.Option(help="Of a device: largest distance over the floor, or 1.5.")] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Find the conversion with the fewest spikes within bounds on spike noise and drift error, by prediction.

    With --hardware, find the fewest neurons and bits of a weight that stay near the floor on a device instead.
    """
    network = ddm2snn.RateNetwork.load(rate)
    if hardware is not None:
        others = {
            "--noise": noise, "--drift-error": drift_error, "--neurons-per-unit": neurons_per_unit,
            "--time-unit-s": time_unit_s, "--neuron": neuron, "--backend": backend,
            "--dt-s": None if dt_s == 1e-3 else dt_s,
        }  # fmt: skip
        if given := [name for name, value in others.items() if value is not None]:
            raise InputError(f"{', '.join(given)} belong to a plan without --hardware. Leave out what does not apply.")
        _plan_on_device(rate, network, hardware, 1.5 if excess is None else excess, seed, as_json=as_json)
        return
    if excess is not None:
        raise InputError("--excess is the tolerance on a device. Add --hardware.")
    cost = costs.of_conversion((neurons_per_unit or 16.0) * network.units, network.rank, "calibrated")
    with shown(f"plan for {backend or 'brian2'}", cost) as progress:
        result = ddm2snn.plan(
            network,
            noise=0.25 if noise is None and drift_error is None else noise,
            drift_error=drift_error,
            neurons_per_unit=neurons_per_unit,
            time_unit_s=time_unit_s,
            neuron=neuron_model(neuron),
            backend=backend or "brian2",
            dt_s=dt_s,
            seed=seed,
            progress=progress,
        )
    chosen = result.chosen
    options = flags(
        ("neurons-per-unit", f"{chosen.neurons_per_unit:g}"), ("time-unit-s", f"{chosen.time_unit_s:g}"),
        ("dt-s", dt_s), ("neuron", neuron), ("backend", backend), ("seed", seed or None),
    )  # fmt: skip
    command = f"ddm2snn convert {shlex.quote(str(rate))} -o snn.safetensors{options}"
    show({**result.as_json(), "command": command}, [*result.lines(), *chosen.lines(), command], as_json=as_json)


def _plan_on_device(
    file: Path, rate: ddm2snn.RateNetwork, hardware: str, excess: float, seed: int, *, as_json: bool
) -> None:
    """Find and show the smallest network near the floor on a device."""
    from ddm2snn.workflow.device_plan import plan_on_device

    config = ddm2snn.find_hardware(hardware)
    cost = costs.of_device_plan(rate.units, rate.rank)
    with shown(f"plan for {hardware}", cost) as progress:
        result = plan_on_device(rate, config, excess=excess, seed=seed, progress=progress)
    chosen, lines = result.chosen, result.lines()
    if chosen.weight_bits != config.precision.weight_bits:
        lines.append(
            f"weight_bits = {chosen.weight_bits}: ddm2snn hardware show {hardware} --toml > mine.toml, change it, and "
            "convert with --hardware mine.toml"
        )
    options = flags(
        ("neurons-per-unit", f"{chosen.neurons_per_unit:g}"), ("hardware", hardware), ("seed", seed or None)
    )
    command = f"ddm2snn convert {shlex.quote(str(file))} -o snn.safetensors{options}"
    show({**result.as_json(), "command": command}, [*lines, command], as_json=as_json)


def restructure(
    spiking: SpikingFile,
    output: NetworkFile,
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
    network, source = ddm2snn.SpikingNetwork.load(spiking), ddm2snn.RateNetwork.load(rate)
    check_output(output, ".safetensors")
    structures = [] if sparse is None else [ddm2snn.Sparse(sparse)]
    structures += [] if bounded is None else [ddm2snn.Bounded(bounded)]
    structures += [ddm2snn.OneSign()] if one_sign else []
    if len(structures) != 1:
        names = ", ".join(map(repr, structures)) or "none"
        raise InputError(f"restructure needs one structure, found {names}. Give --sparse, --bounded or --one-sign.")
    cost = costs.of_conversion(network.neurons, network.rank, "calibrated")
    with shown(f"restructure {spiking}", cost) as progress:
        conversion = ddm2snn.restructure(source, network, structures[0], seed=seed, progress=progress)
        conversion.network.save(output)
    result, report = conversion.network, conversion.diagnostics
    content = {"file": str(output), "fingerprint": result.fingerprint, "neurons": result.neurons, **report.as_json()}
    lines = [
        f"{output}: {result.neurons} neurons, rank {report.rank_audit.rank}, "
        f"{100 * report.zero_share:.3g} % of the decoders zero, largest {report.largest_over_rms:.3g} times the rms"
    ]
    for name, price in (("before", report.before), ("after", report.after)):
        error = ", ".join(f"{e:.2g}" for e in price.drift_error)
        ratio = price.spikes_over_target
        noise = "" if ratio is None else f", spike noise {ratio:.2g} of the target's"
        lines.append(f"{name}: relative drift error per latent {error}{noise}")
    show(content, lines, as_json=as_json)
