"""The command sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ddm2snn
from ddm2snn.base import threads
from ddm2snn.base.costs import Cost
from ddm2snn.cli import costs
from ddm2snn.cli.options import JsonFlag, confirm_execution, show, shown

_OWN_SYSTEM = 64, 3  # units and rank


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
    from ddm2snn.workflow.sweep_grid import Grid
    from ddm2snn.workflow.sweep_page import PAGE
    from ddm2snn.workflow.sweep_table import lines_of, problems_of, rows_of

    grid = Grid.of(recipe)
    recipes = [point.recipe for point in grid.points()]
    for program in dict.fromkeys(each.program for each in recipes):
        if program is not None and not execute:
            confirm_execution(str(recipe), program)
    cost = costs.of_sweep([_cost(each, output) for each in recipes], workers or threads.workers(), output)
    with shown(f"sweep {recipe}", cost) as progress:
        table = ddm2snn.sweep(recipe, output, workers=workers, scheduler=scheduler, progress=progress)
    rows = rows_of(table)
    problems = problems_of(rows, grid.columns)
    lines = [*lines_of(rows, grid.columns), *problems, str(output / PAGE)]
    show({"folder": str(output), "rows": rows}, lines, as_json=as_json)
    return 2 if problems else 0


def _cost(recipe: ddm2snn.Recipe, folder: Path) -> Cost:
    """Cost of a run, of a system of usual size until its file is executed."""
    from ddm2snn.workflow.source import Source

    if recipe.program is not None:
        return costs.of_run(recipe, *_OWN_SYSTEM, folder)
    source = Source.of(recipe)
    return costs.of_run(recipe, source.units, source.rank, folder, source.trials)
