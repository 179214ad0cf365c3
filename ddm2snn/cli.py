"""The command line: each command is a Python verb with files around it."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import shlex
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ddm2snn import __version__
from ddm2snn.cache_commands import cache as cache_commands
from ddm2snn.errors import InputError
from ddm2snn.exchange.commands import export as export_command
from ddm2snn.hardware.commands import fit

if TYPE_CHECKING:
    from ddm2snn.neuron import NeuronModel

app = typer.Typer(
    name="ddm2snn",
    help="Convert low-rank rate networks trained by drift-diffusion matching into spiking networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
hardware = typer.Typer(help="Target devices.", invoke_without_command=True)
app.add_typer(hardware, name="hardware")
app.add_typer(cache_commands, name="cache")

_SYSTEM = "Built-in name or path/to/file.py:attribute (which executes the file)."
_WELLS = "Centres of wells: JSON such as '[[-1, 0], [1, 0]]', a file of it or CSV, or a system with memories."
_DECODERS = "calibrated (on the neurons' own spikes), static, kept (W_s as trained), or direct (one LIF neuron a unit)."
_BACKEND = "Simulator that decoders are solved for."
_HARDWARE = "Device to have in the loop of calibrated decoders: a name (`ddm2snn hardware`) or a .toml file."
_NEURONS = "Neuron model: lif (by default), rectified-linear, adaptive-lif or loihi-lif."
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
_Rate = Annotated[Path, typer.Argument(help="Rate network (.safetensors).")]
_Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # simulators' warnings about their own dependencies help nobody here
        warnings.filterwarnings("always", category=UserWarning, module="ddm2snn")
        warnings.showwarning = lambda message, *_, **__: print(f"Warning: {message}", file=sys.stderr)
        sys.exit(_status(arguments))


def _status(arguments: list[str] | None) -> int:
    try:
        status = app(arguments, standalone_mode=False)
    except InputError as error:
        return _refuse(str(error))
    except typer.TyperException as error:
        return _refuse(error.format_message())
    except (PermissionError, IsADirectoryError, FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        return _refuse(f"{error.filename}: {error.strerror}. Check the path and its permissions.")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _refuse(f"{error.filename or 'A file'}: there is no room left on the disk. Make some.")
    except (KeyboardInterrupt, typer.Abort):
        print("Interrupted.", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


def _refuse(message: str) -> int:
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _show(content: Mapping[str, Any], lines: list[str], *, as_json: bool) -> None:
    print(json.dumps(content, allow_nan=False) if as_json else "\n".join(lines))


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def systems(as_json: _Json = False) -> None:
    """List the built-in target systems."""
    from ddm2snn.systems import BUILT_IN

    found = {name: make() for name, make in sorted(BUILT_IN.items())}
    content = {n: {"rank": s.rank, "units": s.units, "summary": s.summary} for n, s in found.items()}
    lines = [f"{n:12} rank {s.rank}, {s.units} units: {s.summary}" for n, s in found.items()]
    _show({"systems": content}, lines, as_json=as_json)


@app.command()
def backends(as_json: _Json = False) -> None:
    """List the installed backends."""
    from ddm2snn.backend import backend_names, find_backend

    content = {}
    for name in backend_names():
        found = find_backend(name)
        summary = (type(found).__doc__ or "").strip().splitlines()
        content[name] = {"spike_timing": found.spike_timing, "summary": summary[0] if summary else ""}
    lines = [f"{name:12} {found['summary']}" for name, found in content.items()]
    _show({"backends": content}, lines, as_json=as_json)


@hardware.callback(invoke_without_command=True)
def _hardware(context: typer.Context, as_json: _Json = False) -> None:
    if context.invoked_subcommand is None:
        from ddm2snn.hardware import find_hardware, hardware_names

        content = {name: find_hardware(name).as_json() for name in hardware_names()}
        _show({"hardware": content}, [f"{n:20} {c['summary']}" for n, c in content.items()], as_json=as_json)


@hardware.command("show")
def hardware_show(
    name: Annotated[str, typer.Argument(help="Name of a shipped configuration, or a .toml file.")],
    as_json: _Json = False,
) -> None:
    """Show and validate one configuration."""
    from ddm2snn.hardware import find_hardware

    content = find_hardware(name).as_json()
    _show(content, list(_lines(content)), as_json=as_json)


hardware.command("fit")(fit)


def _lines(content: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            lines += _lines(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {'no limit' if value is None else value}")
    return lines


@app.command()
def train(
    system: Annotated[str, typer.Argument(help=_SYSTEM)],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")],
    units: Annotated[int | None, typer.Option(help="Rate units; the system's own number by default.")] = None,
    seed: _Seed = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    error: Annotated[float, typer.Option(help="Drift error to reach, relative, with a small read-out.")] = 1e-3,
    ridge: Annotated[float | None, typer.Option(help="Penalty on the read-out, instead of an error.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Try all ridges; show error against size of read-out.")
    ] = False,
    activation: Annotated[str, typer.Option(help="Response of the units: tanh, relu or lif.")] = "tanh",
    as_json: _Json = False,
) -> None:
    """Train a low-rank rate network by drift-diffusion matching."""
    from ddm2snn import verbs
    from ddm2snn.console import shown
    from ddm2snn.storage import check_writable
    from ddm2snn.training import Training

    check_writable(output)
    training = Training(error=error, ridge=ridge, sweep=sweep, activation=activation)  # pyright: ignore[reportArgumentType] - checked inside
    with shown(f"train {system}") as progress:
        network = verbs.train(
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
    _show(content, lines, as_json=as_json)


def _return_lines(found: Mapping[str, Any]) -> list[str]:
    """Warn of trajectories that did not come back."""
    lost = {name: found[name] for name in ("escaped", "astray", "still") if found[name]}
    if not lost:
        return []
    counts = ", ".join(f"{count} {name}" for name, count in lost.items())
    total = found["far"] + found["shaken"]
    return [f"Warning: {counts} of {total} trajectories from far outside or under loud noise did not come back."]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Weights: .npz, .safetensors, .mat, .h5, .pt or .pth; or a .nir graph.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")],
    mapping: Annotated[Path | None, typer.Option(help="TOML file of names and meanings; see README.")] = None,
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
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Read a low-rank rate network that was trained elsewhere, or the spiking network of a NIR graph."""
    from pydantic import ValidationError

    from ddm2snn.exchange import Mapping as Meaning
    from ddm2snn.exchange import import_network
    from ddm2snn.network import SpikingNetwork
    from ddm2snn.settings import explain, read_settings
    from ddm2snn.storage import check_writable

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
        _show(content, [f"{output}: {network.neurons} spiking neurons, rank {network.rank}"], as_json=as_json)
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
    _show(content, lines, as_json=as_json)


@app.command()
def analyse(
    rate: _Rate,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for analysis.json and figures.")],
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Take the dynamics of a rate network apart: subspace, symmetry, time reversal, fixed points, exponents."""
    from ddm2snn.analysis import analyse as take_apart
    from ddm2snn.console import shown
    from ddm2snn.network import RateNetwork
    from ddm2snn.storage import load_as

    network = load_as(rate, RateNetwork)
    with shown(f"analyse {rate}") as progress:
        analysis = take_apart(network, seed=seed, progress=progress)
        written = analysis.write(output)
    content = {"folder": str(output), **analysis.as_json()}
    _show(content, [*analysis.lines(), *(str(path) for path in written)], as_json=as_json)


@app.command()
def plan(
    rate: _Rate,
    noise: Annotated[
        float | None, typer.Option(help="Most spike noise, over the target's; 0.25 unless a drift error is given.")
    ] = None,
    drift_error: Annotated[float | None, typer.Option(help="Largest bias of the drift, relative.")] = None,
    neurons_per_unit: Annotated[float | None, typer.Option(help="Fix the neurons for each rate unit.")] = None,
    time_unit_s: Annotated[float | None, typer.Option(help="Fix the seconds per rate time unit.")] = None,
    dt_s: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    neuron: Annotated[str | None, typer.Option(help=_NEURONS)] = None,
    backend: Annotated[str, typer.Option(help=_BACKEND)] = "brian2",
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Find the conversion with the fewest spikes within bounds on spike noise and drift error, by prediction."""
    import ddm2snn
    from ddm2snn.console import shown
    from ddm2snn.network import RateNetwork
    from ddm2snn.storage import load_as

    network = load_as(rate, RateNetwork)
    with shown(f"plan for {backend}") as progress:
        found = ddm2snn.plan(
            network,
            noise=0.25 if noise is None and drift_error is None else noise,
            drift_error=drift_error,
            neurons_per_unit=neurons_per_unit,
            time_unit_s=time_unit_s,
            neuron=_neuron(neuron),
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
    _show({**found.as_json(), "command": command}, [*found.lines(), *chosen.lines(), command], as_json=as_json)


def _neuron(name: str | None) -> NeuronModel | None:
    """Model of a name, with the parameters it has by default."""
    from ddm2snn.neuron import NEURON_MODELS

    if name is not None and name not in NEURON_MODELS:
        raise InputError(f"There is no neuron model {name!r}; known are {', '.join(NEURON_MODELS)}.")
    return None if name is None else NEURON_MODELS[name]()


@app.command()
def convert(
    rate: _Rate,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")],
    neurons_per_unit: Annotated[
        float | None, typer.Option(help="Spiking neurons for each rate unit, 4 by default; fractions are allotted.")
    ] = None,
    time_unit_s: Annotated[float | None, typer.Option(help="Seconds per rate time unit; found if not given.")] = None,
    dt_s: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    neuron: Annotated[str | None, typer.Option(help=_NEURONS)] = None,
    decoders: Annotated[str, typer.Option(help=_DECODERS)] = "calibrated",
    backend: Annotated[str | None, typer.Option(help=_BACKEND + " Brian2, or what runs --hardware.")] = None,
    hardware: Annotated[str | None, typer.Option(help=_HARDWARE)] = None,
    seed: _Seed = 0,
    figure: Annotated[
        Path | None, typer.Option(help="Figure of the diagnostics to write as well (.png, .pdf or .svg).")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Convert a rate network into spiking neurons that keep its low-rank factors."""
    import ddm2snn
    from ddm2snn.console import shown
    from ddm2snn.conversion.figure import draw
    from ddm2snn.figure_style import check_figure_file, save_figure
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import LIF
    from ddm2snn.storage import check_writable, load_as

    check_writable(output)
    if figure is not None:
        check_figure_file(figure)
    model = _neuron(neuron)
    kinds = {"calibrated": ddm2snn.Calibrated, "static": ddm2snn.Static, "kept": ddm2snn.Kept, "direct": ddm2snn.Direct}
    if decoders not in kinds:
        raise InputError(f"There are no decoders {decoders!r}; known are {', '.join(kinds)}.")
    population = None
    if decoders != "direct" or neurons_per_unit is not None or neuron is not None:
        count = 4 if neurons_per_unit is None else neurons_per_unit
        population = ddm2snn.Population(count, neuron=model or LIF())
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
        more = f"About {math.ceil(excess * population.neurons_per_unit)} neurons per unit, or" if population else "Only"
        lines.append(
            f"Warning: in one direction the spikes are {excess:.3g} times as noisy as the rate network. "
            f"{more} --time-unit-s {math.ceil(excess) * made.time_unit_s:g}, would meet it."
        )
    _show(content, lines, as_json=as_json)


@app.command()
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
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Solve for decoders that are sparse, bounded or of one sign, and tell what that costs."""
    import ddm2snn
    from ddm2snn.console import shown
    from ddm2snn.network import RateNetwork, SpikingNetwork
    from ddm2snn.storage import check_writable, load_as

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
    _show(content, lines, as_json=as_json)


@app.command()
def simulate(
    network: Annotated[Path, typer.Argument(help="Rate or spiking network (.safetensors).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.nc).")],
    backend: Annotated[str | None, typer.Option(help="Backend; by default the one that fits the network.")] = None,
    duration: Annotated[float, typer.Option(help="Length in rate time units.")] = 60.0,
    every: Annotated[float, typer.Option(help="Sampling interval in rate time units.")] = 0.02,
    trials: Annotated[int, typer.Option(help="Independent trials, simulated together.")] = 16,
    dt_s: Annotated[float | None, typer.Option(help="Time step in seconds; the converted one by default.")] = None,
    seed: _Seed = 0,
    stimulus: Annotated[Path | None, typer.Option(help="Input: CSV (time, inputs ...) or .safetensors.")] = None,
    spikes: Annotated[bool, typer.Option("--spikes", help="Record spikes as well.")] = False,
    spike_window: Annotated[
        tuple[float, float] | None, typer.Option(help="Spikes between two moments only, in rate time units.")
    ] = None,
    spike_neurons: Annotated[str | None, typer.Option(help="Spikes of some neurons only, such as 0-99,512.")] = None,
    backend_option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the backend, e.g. mode=cpp_standalone.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Simulate a network and record its latents."""
    from ddm2snn import verbs
    from ddm2snn.backend import find_backend
    from ddm2snn.console import shown
    from ddm2snn.network import RateNetwork, SpikingNetwork
    from ddm2snn.stimulus import Stimulus
    from ddm2snn.storage import check_writable, load

    check_writable(output)
    loaded = load(network)
    if not isinstance(loaded, RateNetwork | SpikingNetwork):
        raise InputError(f"{network} holds a {type(loaded).__name__}; a RateNetwork or SpikingNetwork is needed.")
    name = backend or ("rate" if isinstance(loaded, RateNetwork) else loaded.backend)
    chosen = find_backend(name, **_options(backend_option or []))
    with shown(f"simulate on {name}") as progress:
        recording = verbs.simulate(
            loaded, backend=chosen, duration=duration, trials=trials, seed=seed, every=every, dt_s=dt_s,
            stimulus=Stimulus.load(stimulus) if stimulus else None,
            spikes=spikes or spike_window is not None or spike_neurons is not None, spike_window=spike_window,
            spike_neurons=None if spike_neurons is None else _neurons(spike_neurons), progress=progress,
        )  # fmt: skip
        recording.save(output)
    shape = dict(recording.latent.sizes)
    content: dict[str, Any] = {"file": str(output), "fingerprint": recording.fingerprint, "shape": shape}
    content["provenance"] = dict(recording.provenance)
    if recording.spikes is not None:
        content["spikes"] = len(recording.spikes.time_s)
    _show(content, [f"{output}: {', '.join(f'{v} {k}' for k, v in shape.items())}"], as_json=as_json)


def _neurons(ranges: str) -> list[int]:
    """Whole numbers of '0-99,512'."""
    found: list[int] = []
    for part in ranges.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not (last.isdecimal() and int(first) <= int(last) < 2**31)):
            raise InputError(f"--spike-neurons {ranges!r} must be numbers and ranges, such as 0-99,512.")
        found += range(int(first), int(last if dash else first) + 1)
    return found


def _options(given: list[str]) -> dict[str, str]:
    for option in given:
        if "=" not in option:
            raise InputError(f"--backend-option {option!r} must be KEY=VALUE, such as mode=cpp_standalone.")
    return dict(option.split("=", 1) for option in given)


@app.command()
def compare(
    reference: Annotated[Path, typer.Argument(help="Recording of the reference (.nc).")],
    test: Annotated[Path, typer.Argument(help="Recording to judge (.nc).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for report.html, summary.json, figures.")],
    floor: Annotated[list[Path] | None, typer.Option(help="More runs of the reference; may be repeated.")] = None,
    more: Annotated[
        list[Path] | None,
        typer.Option("--test", help="Further recordings to judge, such as other seeds; may be repeated."),
    ] = None,
    burn_in: Annotated[float | None, typer.Option(help="Rate time units left out; a tenth by default.")] = None,
    wells: Annotated[str | None, typer.Option(help=_WELLS)] = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> None:
    """Compare recordings with a reference in the latent space, beside the sampling floor."""
    import ddm2snn
    from ddm2snn.console import shown
    from ddm2snn.fidelity.given_wells import given_wells
    from ddm2snn.fidelity.report import as_lines
    from ddm2snn.page import Page
    from ddm2snn.pipeline import make_folder
    from ddm2snn.recording import Recording
    from ddm2snn.storage import load_as

    first, *others = (load_as(path, Recording) for path in (reference, *(floor or [])))
    judged = [load_as(path, Recording) for path in (test, *(more or []))]
    folder = make_folder(output)
    with shown("compare"):
        report = ddm2snn.compare(
            first, judged, floor=others, burn_in=burn_in, seed=seed, wells=None if wells is None else given_wells(wells)
        )
        given = [("floor", f) for f in floor or []] + [("test", t) for t in more or []]
        given += [("burn-in", burn_in), ("wells", wells), ("seed", seed or None)]
        options = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in given if value is not None)
        page = Page(
            title=f"{report.label} against {first.provenance.get('backend', 'the reference')}",
            subtitle=f"{test} compared with {reference}",
            recordings={"reference": first, report.label: judged[0]},
            reports=[report],
            command=f"ddm2snn compare {reference} {test}{options} -o {output}",
            rasters={report.label: judged[0]} if judged[0].spikes is not None else {},
        )
        page.write(folder)
    lines = [*as_lines(report.as_json()), f"{folder / 'report.html'}"]
    _show({"folder": str(folder), **report.as_json()}, lines, as_json=as_json)


@app.command()
def run(
    what: Annotated[str, typer.Argument(metavar="SYSTEM|RECIPE.toml", help=f"Recipe file, or a system: {_SYSTEM}")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything; runs are resumed.")],
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness; the recipe's by default.")] = None,
    hardware: Annotated[
        list[str] | None, typer.Option(help="Device to convert for and to run on as well; may be repeated.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Train, convert, simulate on every backend, compare and report."""
    import ddm2snn
    from ddm2snn.console import Console
    from ddm2snn.fidelity.report import as_lines
    from ddm2snn.randomness import check_seed

    recipe = ddm2snn.Recipe.read(what) if what.endswith(".toml") else ddm2snn.Recipe(system=what)
    if seed is not None:
        recipe = recipe.model_copy(update={"seed": check_seed(seed)})
    if hardware:
        recipe = recipe.model_copy(update={"hardware": tuple(hardware)})
    with contextlib.closing(Console()) as console:
        summary = ddm2snn.run(recipe, output, announce=console)
    lines = [*summary["findings"], ""]
    lines += [line for report in summary["reports"].values() for line in as_lines({**report, "verdict": ""})]
    lines.append(str(output / "report.html"))
    _show(summary, lines, as_json=as_json)


app.command("export")(export_command)


if __name__ == "__main__":
    main()
