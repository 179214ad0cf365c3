"""The command stress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ddm2snn
from ddm2snn.base.files import check_writable
from ddm2snn.cli import costs
from ddm2snn.cli.console import shown
from ddm2snn.cli.options import WELLS, JsonFlag, SpikingFile, show
from ddm2snn.errors import InputError


def stress(
    spiking: SpikingFile,
    rate: Annotated[Path, typer.Option(help="Rate network that it was converted from (.safetensors).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Table to write (.json or .csv).")],
    figure: Annotated[Path | None, typer.Option(help="Figure to write as well (.png, .pdf or .svg).")] = None,
    levels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DAMAGE=LEVEL,...",
            help="neurons, spikes, decoders, encoders or thresholds with shares or spreads; may be repeated.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Repetitions with their own damage, calibration and noise.")] = 3,
    backend: Annotated[str | None, typer.Option(help="Simulator; the reference, which can lose spikes.")] = None,
    duration: Annotated[float, typer.Option(help="Length of each run in rate time units.")] = 60.0,
    trials: Annotated[int, typer.Option(help="Trials of each run.")] = 16,
    wells: Annotated[str | None, typer.Option(help=WELLS)] = None,
    as_json: JsonFlag = False,
) -> None:
    """Damage a spiking network at several levels, and tell what fidelity is left, and what calibrating again saves."""
    from ddm2snn.cli.results import read_wells
    from ddm2snn.fidelity.stress import LEVELS, check_table
    from ddm2snn.load import load_as
    from ddm2snn.plots.stress import draw_stress
    from ddm2snn.plots.style import check_figure_file, save_figure

    network, source = load_as(spiking, ddm2snn.SpikingNetwork), load_as(rate, ddm2snn.RateNetwork)
    check_table(output)
    check_writable(output)
    if figure is not None:
        check_figure_file(figure)
    asked = None if levels is None else dict(_levels(text) for text in levels)
    runs = 2 * seeds * (1 + sum(len(each) for each in (asked or LEVELS).values()))
    cost = costs.of_stress(network.neurons, network.rank, runs, duration=duration, trials=trials, folder=output.parent)
    with shown(f"stress {spiking}", cost) as progress:
        result = ddm2snn.stress(
            network, source, levels=asked, seeds=range(seeds), backend=backend, duration=duration, trials=trials,
            wells=None if wells is None else read_wells(wells), progress=progress,
        )  # fmt: skip
        result.save(output)
        if figure is not None:
            save_figure(draw_stress(result), figure)
    files = [str(path) for path in (output, figure) if path is not None]
    show({"files": files, "rows": result.rows()}, [*result.lines(), *files], as_json=as_json)


def _levels(text: str) -> tuple[str, list[float]]:
    """Damage and levels of a text such as 'neurons=0.1,0.2'."""
    damage, _, numbers = text.partition("=")
    try:
        return damage, [float(number) for number in numbers.split(",")]
    except ValueError as error:
        raise InputError(f"--levels {text!r} must be a damage and its levels, such as neurons=0.1,0.2.") from error
