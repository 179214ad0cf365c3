"""The command simulate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ddm2snn
from ddm2snn.cli import costs
from ddm2snn.cli.options import JsonFlag, Seed, check_output, show, shown
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.base.costs import Cost

_RATE_STEP = 0.01  # rate time units, of a rate network whose step is not known yet [cost]


def simulate(
    network: Annotated[Path, typer.Argument(help="Rate or spiking network (.safetensors).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.nc).")],
    backend: Annotated[str | None, typer.Option(help="Backend; by default the one that fits the network.")] = None,
    duration: Annotated[
        float | None, typer.Option(help="Length in rate time units; that of the stimulus by default, or 60.")
    ] = None,
    every: Annotated[float, typer.Option(help="Sampling interval in rate time units.")] = 0.02,
    trials: Annotated[
        int | None, typer.Option(help="Independent trials; those of the stimulus by default, or 16.")
    ] = None,
    dt_s: Annotated[float | None, typer.Option(help="Time step in seconds; the converted one by default.")] = None,
    seed: Seed = 0,
    stimulus: Annotated[
        Path | None,
        typer.Option(help="Input: CSV (time, inputs ...), a folder of one for each condition, .npz, .nc or ours."),
    ] = None,
    spikes: Annotated[bool, typer.Option("--spikes", help="Record spikes as well.")] = False,
    spike_window: Annotated[
        tuple[float, float] | None, typer.Option(help="Spikes between two moments only, in rate time units.")
    ] = None,
    spike_neurons: Annotated[str | None, typer.Option(help="Spikes of some neurons only, such as 0-99,512.")] = None,
    system_time: Annotated[
        bool,
        typer.Option("--system-time", help="Count durations, intervals and the input's times in the system's units."),
    ] = False,
    backend_option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the backend, e.g. mode=cpp_standalone.")
    ] = None,
    ranks: Annotated[
        bool, typer.Option("--ranks", help="Share the neurons among the processes of mpiexec (backend compiled).")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Simulate a network and record its latents."""
    from ddm2snn.exchange import read_stimulus

    options, partial = _options(backend_option or []), output.with_suffix(".partial.nc")
    shared = _one_of_ranks(backend, options, partial) if ranks else None
    loaded = ddm2snn.load(network)
    given = read_stimulus(stimulus) if stimulus else None
    check_output(output, ".nc")
    if not isinstance(loaded, ddm2snn.RateNetwork | ddm2snn.SpikingNetwork):
        raise InputError(f"{network} holds a {type(loaded).__name__}; a RateNetwork or SpikingNetwork is needed.")
    by_default = "rate" if isinstance(loaded, ddm2snn.RateNetwork) else loaded.backend
    name = backend or (by_default if shared is None else shared.name)
    chosen = shared or (ddm2snn.find_backend(name, **options) if options else name)
    neurons = _neurons(spike_neurons) if spike_neurons else None
    selection = ddm2snn.SpikeSelection(spike_window, neurons) if spike_window or neurons else spikes
    if system_time:
        every, given = every / loaded.time_scale, given and given.in_rate_time(loaded.time_scale)
        duration = None if duration is None else duration / loaded.time_scale
    several, lasts = trials or (given and given.trials) or 16, duration or (given and given.duration) or 60.0
    cost = _cost(loaded, name, lasts=lasts, every=every, dt_s=dt_s, trials=several, folder=output.parent)
    with shown(f"simulate on {name}", cost) as progress:
        recording = ddm2snn.simulate(
            loaded, backend=chosen, duration=duration, trials=trials, seed=seed, every=every, dt_s=dt_s,
            stimulus=given, spikes=selection, progress=progress,
        )  # fmt: skip
        if shared is not None and shared.rank:
            return
        recording.save(output)
    if shared is not None:
        partial.unlink(missing_ok=True)
    shape = dict(recording.latent.sizes)
    content: dict[str, Any] = {"file": str(output), "fingerprint": recording.fingerprint, "shape": shape,
                               "provenance": dict(recording.provenance)}  # fmt: skip
    if recording.spikes is not None:
        content["spikes"] = len(recording.spikes.time_s)
    show(content, [f"{output}: {', '.join(f'{v} {k}' for k, v in shape.items())}"], as_json=as_json)


def _cost(
    network: ddm2snn.RateNetwork | ddm2snn.SpikingNetwork, name: str, *, lasts: float, every: float, dt_s: float | None,
    trials: int, folder: Path,
) -> Cost:  # fmt: skip
    """What so many trials of a length in rate time units take on a backend."""
    size, steps = (
        (network.neurons, lasts * network.time_unit_s / (dt_s or network.dt_s))
        if isinstance(network, ddm2snn.SpikingNetwork)
        else (network.units, lasts / (dt_s or _RATE_STEP))
    )
    samples = lasts / every if every > 0 else 0.0
    return costs.of_simulation(size, network.rank, name, trials=trials, folder=folder, steps=steps, samples=samples)


def _one_of_ranks(backend: str | None, options: dict[str, str], partial: Path) -> Any:  # noqa: ANN401 - an adapter's own
    """Backend that shares the neurons with other processes, of which all but the first fall silent."""
    if backend not in (None, "compiled"):
        raise InputError(f"--ranks is for backend compiled, not {backend}. Leave --backend out.")
    if partial.exists() and "partial" not in ddm2snn.Recording.load(partial).provenance:
        raise InputError(f"Cannot write {partial}: it is a recording that you made. Name another output.")
    shared: Any = ddm2snn.find_backend("compiled", **(options | {"ranks": "true", "partial": str(partial)}))
    if shared.rank:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until the process ends
    return shared


def _neurons(ranges: str) -> list[int]:
    """Numbers of ranges such as '0-99,512'."""
    neurons: list[int] = []
    for part in ranges.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not (last.isdecimal() and int(first) <= int(last) < 2**31)):
            raise InputError(f"--spike-neurons {ranges!r} must be numbers and ranges, such as 0-99,512.")
        neurons += range(int(first), int(last if dash else first) + 1)
    return neurons


def _options(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise InputError(f"--backend-option {pair!r} must be KEY=VALUE, such as mode=cpp_standalone.")
    return dict(pair.split("=", 1) for pair in pairs)
