"""The commands that write results: analyse, compare, stress, run, which does everything, and sweep, many runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ddm2snn
from ddm2snn.base.files import check_writable, new_folder, require_file
from ddm2snn.base.stored import parse_json
from ddm2snn.cli import costs
from ddm2snn.cli.options import (
    SYSTEM,
    WELLS,
    JsonFlag,
    RateFile,
    Seed,
    SpikingFile,
    Strict,
    confirm_execution,
    exit_code,
    flags,
    say_cost,
    show,
    shown,
    steps,
)
from ddm2snn.errors import FileRefusedError, InputError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ddm2snn.base.costs import Cost

_OWN_SYSTEM = 64, 3  # units and rank, until its file is executed
_WELL_FORMS = (
    "Give JSON such as [[-1, 0], [1, 0]], a .json or .csv file with a centre per row, or a system with memories."
)


def analyse(
    rate: RateFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for analysis.json and figures.")],
    projection: Annotated[
        str,
        typer.Option(metavar="gradient-flow|pseudo-inverse", help="How the drift is split; a gradient flow descends."),
    ] = "gradient-flow",
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Take the dynamics of a rate network apart: subspace, symmetry, time reversal, fixed points, exponents."""
    from ddm2snn.analysis import analyse as analyse_network
    from ddm2snn.workflow.report import ANALYSIS_FILES, write_analysis
    from ddm2snn.workflow.steps import STATE, own_files

    network = ddm2snn.RateNetwork.load(rate)
    cost = costs.of_analysis(network.units, network.rank)
    opened = new_folder(output, notes=(STATE,))
    with opened as folder, own_files("analyse", folder, ANALYSIS_FILES), shown(f"analyse {rate}", cost) as progress:
        analysis = analyse_network(network, projection=projection, seed=seed, progress=progress)  # pyright: ignore[reportArgumentType]
        written = write_analysis(analysis, output)
    content = {"folder": str(output), **analysis.as_json()}
    show(content, [*analysis.lines(), *(str(path) for path in written)], as_json=as_json)


def compare(
    reference: Annotated[Path, typer.Argument(help="Recording of the reference (.nc, .nwb, .nix).")],
    test: Annotated[Path, typer.Argument(help="Recording to judge (.nc, .nwb, .nix).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for report.html, summary.json, figures.")],
    floor: Annotated[list[Path] | None, typer.Option(help="More runs of the reference; may be repeated.")] = None,
    more: Annotated[
        list[Path] | None,
        typer.Option("--test", help="Further recordings to judge, such as other seeds; may be repeated."),
    ] = None,
    burn_in: Annotated[float | None, typer.Option(help="Rate time units left out; a tenth by default.")] = None,
    wells: Annotated[str | None, typer.Option(help=WELLS)] = None,
    boundary: Annotated[float, typer.Option(help="Of trials of a task: value of an output between choices.")] = 0.0,
    threshold: Annotated[
        float | None,
        typer.Option(help="Distance from it at which a trial has decided; a quarter of its range by default."),
    ] = None,
    rate: Annotated[
        Path | None,
        typer.Option(help="Of trials of a task: rate network whose vector field is shown, with --stimulus."),
    ] = None,
    stimulus: Annotated[Path | None, typer.Option(help="The trials, as simulate takes them, with --rate.")] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Compare recordings with a reference in the latent space, beside the sampling floor.

    Trials of a task, whose stimulus names conditions, are compared by condition.
    """
    from ddm2snn.fidelity.report import as_lines
    from ddm2snn.workflow.report import FIGURES, PAGE_FILES, Page
    from ddm2snn.workflow.steps import STATE, own_files

    network, trials = _field_and_inputs(rate, stimulus)
    first, *others = map(ddm2snn.Recording.load, (reference, *(floor or [])))
    judged = [ddm2snn.Recording.load(path) for path in (test, *(more or []))]
    numbers = sum(recording.samples.size for recording in (first, *others, *judged))
    cost = costs.of_comparison(numbers)
    cost.checked()
    what, opened = f"compare {numbers:,} numbers", new_folder(output, notes=(STATE,))
    with opened as folder, own_files("compare", folder, PAGE_FILES, FIGURES), shown(what, cost):
        report = (
            ddm2snn.compare_conditions(first, judged, floor=others, boundary=boundary, threshold=threshold, seed=seed)
            if first.conditions
            else ddm2snn.compare(
                first, judged, floor=others, burn_in=burn_in, seed=seed, wells=read_wells(wells) if wells else None
            )
        )
        repeated = [("floor", path.name) for path in floor or []] + [("test", path.name) for path in more or []]
        options = {
            "burn-in": burn_in, "wells": Path(wells).name if wells and wells.endswith((".json", ".csv")) else wells,
            "seed": seed or None, "boundary": boundary or None, "threshold": threshold, "rate": rate and rate.name,
            "stimulus": stimulus and stimulus.name,
        }  # fmt: skip
        words = flags(*repeated, *options.items())
        page = Page(
            title=f"{report.label} against {first.backend or 'the reference'}",
            subtitle=f"{test.name} compared with {reference.name}",
            recordings={"reference": first, report.label: judged[0]},
            reports=[report],
            command=f"ddm2snn compare {reference.name} {test.name}{words} -o out",
            rasters={report.label: judged[0]} if judged[0].spikes is not None else {},
            rate=network,
            trials=trials,
        )
        page.write(folder)
    lines = [*as_lines(report.as_json()), f"{folder / 'report.html'}"]
    show({"folder": str(folder), **report.as_json()}, lines, as_json=as_json)


def _field_and_inputs(
    rate: Path | None, stimulus: Path | None
) -> tuple[ddm2snn.RateNetwork | None, ddm2snn.Stimulus | None]:
    """Rate network and trials whose vector fields are shown, both or neither."""
    from ddm2snn.exchange import read_stimulus

    if rate is None and stimulus is None:
        return None, None
    if rate is None or stimulus is None:
        raise InputError("A vector field under inputs needs --rate and --stimulus. Give both, or neither.")
    return ddm2snn.RateNetwork.load(rate), read_stimulus(stimulus)


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
    from ddm2snn.fidelity.stress import LEVELS, check_table
    from ddm2snn.plots.comparison import draw_stress
    from ddm2snn.plots.style import check_figure_file, save_figure

    network, source = ddm2snn.SpikingNetwork.load(spiking), ddm2snn.RateNetwork.load(rate)
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


def run(
    what: Annotated[
        str,
        typer.Argument(
            metavar="SYSTEM|NETWORK|RECIPE.toml", help=f"Recipe, or file of a rate network, or a system: {SYSTEM}"
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything; runs are resumed.")],
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness; the recipe's by default.")] = None,
    hardware: Annotated[
        list[str] | None, typer.Option(help="Device to convert for and to run on as well; may be repeated.")
    ] = None,
    stimulus: Annotated[
        Path | None, typer.Option(help="Trials of a task to run and to compare by condition, as simulate takes them.")
    ] = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="Execute the Python file that a recipe names, without a question.")
    ] = False,
    strict: Strict = False,
    as_json: JsonFlag = False,
) -> int:
    """Train, unless a network is given, convert, simulate on every backend, compare and report."""
    from ddm2snn.base.randomness import check_seed
    from ddm2snn.fidelity.report import as_lines
    from ddm2snn.workflow.recipe import TrialSettings
    from ddm2snn.workflow.source import Source

    recipe = ddm2snn.Recipe.of(what)
    if recipe.program is not None and what.endswith(".toml") and not execute:
        confirm_execution(what, recipe.program)
    if seed is not None:
        recipe = recipe.model_copy(update={"seed": check_seed(seed)})
    if hardware:
        recipe = recipe.model_copy(update={"hardware": tuple(hardware)})
    if stimulus is not None:
        recipe = recipe.model_copy(update={"trials": TrialSettings(stimulus=str(stimulus))})
    source, (units, rank) = None, _OWN_SYSTEM
    if recipe.program is None:
        source = Source.of(recipe)
        units, rank = source.units, source.rank
    trials = None if source is None else source.trials
    say_cost(f"run {Path(what).name}", costs.of_run(recipe, units, rank, output, trials))
    with steps() as announce:
        summary = ddm2snn.run(recipe, output, progress=announce)
    lines = [*summary["findings"], ""]
    lines += [line for report in summary["reports"].values() for line in as_lines({**report, "verdict": ""})]
    lines.append(str(output / "report.html"))
    show(summary, lines, as_json=as_json)
    return exit_code(summary["missed"], strict=strict)


def read_wells(text: str) -> Float[np.ndarray, "well rank"]:
    """Centres of wells from JSON text, from a file of JSON or CSV, or the memories of a system by its name."""
    import numpy as np

    stripped = text.strip()
    if stripped.startswith("["):
        return _table(stripped, "--wells")
    path = Path(text)
    if path.suffix in (".json", ".csv"):
        try:
            content = require_file(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise FileRefusedError(f"Cannot read the wells in {path}: {error}. {_WELL_FORMS}") from error
        if path.suffix == ".csv":
            content = json.dumps([line.split(",") for line in content.splitlines() if line.strip()])
        return _table(content, str(path))
    memories = ddm2snn.find_system(text).known.get("memories")
    if memories is None:
        raise InputError(f"The system {text} has no memories to be wells. {_WELL_FORMS}")
    return np.asarray(memories, dtype=np.float64)


def _table(content: str, owner: str) -> Float[np.ndarray, "well rank"]:
    import numpy as np

    try:
        table = np.array(parse_json(content, owner), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{owner} holds no table of numbers, a centre per row. {_WELL_FORMS}") from error
    if table.ndim != 2:
        raise InputError(f"{owner} holds numbers of shape {table.shape}, not (well, rank). {_WELL_FORMS}")
    return table


def _levels(text: str) -> tuple[str, list[float]]:
    """Damage and levels of a text such as 'neurons=0.1,0.2'."""
    damage, _, numbers = text.partition("=")
    try:
        return damage, [float(number) for number in numbers.split(",")]
    except ValueError as error:
        raise InputError(f"--levels {text!r} must be a damage and its levels, such as neurons=0.1,0.2.") from error


def sweep(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE.toml", help="Recipe whose settings may be lists, such as seed = [0, 1].")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything; sweeps are resumed.")],
    workers: Annotated[
        int | None, typer.Option(help="Processes on this machine; one for each core by default.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler that runs already, whose workers see the folder too."),
    ] = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="Execute the Python files that a recipe names, without a question.")
    ] = False,
    as_json: JsonFlag = False,
) -> int:
    """Run a recipe at every point of a grid, on all cores or a Dask cluster, and put the results in one table."""
    from ddm2snn.base import threads
    from ddm2snn.workflow.sweep_grid import Grid
    from ddm2snn.workflow.sweep_table import PAGE, lines_of, problems_of, rows_of

    grid = Grid.of(recipe)
    recipes = [point.recipe for point in grid.points()]
    for program in dict.fromkeys(each.program for each in recipes):
        if program is not None and not execute:
            confirm_execution(str(recipe), program)
    cost = costs.of_sweep([_cost_of_run(each, output) for each in recipes], workers or threads.workers(), output)
    with shown(f"sweep {recipe}", cost) as progress:
        table = ddm2snn.sweep(recipe, output, workers=workers, scheduler=scheduler, progress=progress)
    rows = rows_of(table)
    problems = problems_of(rows, grid.columns)
    lines = [*lines_of(rows, grid.columns), *problems, str(output / PAGE)]
    show({"folder": str(output), "rows": rows}, lines, as_json=as_json)
    return 2 if problems else 0


def _cost_of_run(recipe: ddm2snn.Recipe, folder: Path) -> Cost:
    """Cost of a run, of a system of usual size until its file is executed."""
    from ddm2snn.workflow.source import Source

    if recipe.program is not None:
        return costs.of_run(recipe, *_OWN_SYSTEM, folder)
    source = Source.of(recipe)
    return costs.of_run(recipe, source.units, source.rank, folder, source.trials)
