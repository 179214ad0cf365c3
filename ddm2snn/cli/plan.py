"""The command plan."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from ddm2snn.cli.options import BACKEND, NEURONS, JsonFlag, RateFile, Seed, flags, neuron_model, show


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

    network = load_as(rate, RateNetwork)
    with shown(f"plan for {backend}") as progress:
        result = ddm2snn.plan(
            network,
            noise=0.25 if noise is None and drift_error is None else noise,
            drift_error=drift_error,
            neurons_per_unit=neurons_per_unit,
            time_unit_s=time_unit_s,
            neuron=neuron_model(neuron),
            backend=backend,
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
