"""The command compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ddm2snn.cli.options import WELLS, JsonFlag, Seed, flags, show


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
    wells: Annotated[str | None, typer.Option(help=WELLS)] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Compare recordings with a reference in the latent space, beside the sampling floor."""
    import ddm2snn
    from ddm2snn.base.files import make_folder
    from ddm2snn.cli.console import shown
    from ddm2snn.cli.wells import read_wells
    from ddm2snn.fidelity.report import as_lines
    from ddm2snn.load import load_as
    from ddm2snn.recording import Recording
    from ddm2snn.workflow.report import Page

    first, *others = (load_as(path, Recording) for path in (reference, *(floor or [])))
    judged = [load_as(path, Recording) for path in (test, *(more or []))]
    folder = make_folder(output)
    with shown("compare"):
        report = ddm2snn.compare(
            first, judged, floor=others, burn_in=burn_in, seed=seed, wells=None if wells is None else read_wells(wells)
        )
        repeated = [*(("floor", path) for path in floor or []), *(("test", path) for path in more or [])]
        options = flags(*repeated, ("burn-in", burn_in), ("wells", wells), ("seed", seed or None))
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
    show({"folder": str(folder), **report.as_json()}, lines, as_json=as_json)
