"""The command run, which does everything from training to the report."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from ddm2snn.cli.options import SYSTEM, JsonFlag, show


def run(
    what: Annotated[str, typer.Argument(metavar="SYSTEM|RECIPE.toml", help=f"Recipe file, or a system: {SYSTEM}")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything; runs are resumed.")],
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness; the recipe's by default.")] = None,
    hardware: Annotated[
        list[str] | None, typer.Option(help="Device to convert for and to run on as well; may be repeated.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train, convert, simulate on every backend, compare and report."""
    import ddm2snn
    from ddm2snn.base.randomness import check_seed
    from ddm2snn.cli.console import Console
    from ddm2snn.fidelity.report import as_lines

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
    show(summary, lines, as_json=as_json)
