"""The command analyse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ddm2snn.cli.options import JsonFlag, RateFile, Seed, show


def analyse(
    rate: RateFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for analysis.json and figures.")],
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Take the dynamics of a rate network apart: subspace, symmetry, time reversal, fixed points, exponents."""
    from ddm2snn.analysis import analyse as analyse_network
    from ddm2snn.cli.console import shown
    from ddm2snn.load import load_as
    from ddm2snn.network import RateNetwork
    from ddm2snn.workflow.report import write_analysis

    network = load_as(rate, RateNetwork)
    with shown(f"analyse {rate}") as progress:
        analysis = analyse_network(network, seed=seed, progress=progress)
        written = write_analysis(analysis, output)
    content = {"folder": str(output), **analysis.as_json()}
    show(content, [*analysis.lines(), *(str(path) for path in written)], as_json=as_json)
