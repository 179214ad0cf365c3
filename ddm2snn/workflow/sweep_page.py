"""The page of a sweep: a curve for each swept setting, means over seeds and what was refused."""

from __future__ import annotations

import base64
from pathlib import Path

import tomli_w

from ddm2snn.base import package_version
from ddm2snn.base.files import write_text
from ddm2snn.plots.style import save_figure
from ddm2snn.plots.sweep import MEASURE, draw_sweep, over_seeds, series_of
from ddm2snn.workflow.report import FIGURES
from ddm2snn.workflow.sweep_grid import Grid
from ddm2snn.workflow.sweep_table import Table, problems_of

PAGE = "sweep.html"
_CAPTION = (
    "Excess (distance over floor) by {}: 1 is as close as a second run of the rate network. Lines are geometric means "
    "over seeds with their 95 % interval (Student's t of logarithms), dots the seeds. The uppermost row is the largest "
    "of some twenty excesses, which is above 1 by chance too: compare it with itself."
)


def write_page(table: Table, grid: Grid, folder: Path) -> None:
    """Write sweep.html, and its figures as PNG and PDF."""
    from jinja2 import Environment, PackageLoader

    (folder / FIGURES).mkdir(exist_ok=True)
    kinds = [name for name in (*table.columns, "network") if name not in ("seed", "system")]
    shown = []
    for name in kinds:
        values = {row[name] for row in table.rows if row["measure"] and row[name] is not None}
        if len(values) < (1 if len(kinds) == 1 else 2):
            continue
        figure = draw_sweep(table.rows, name, [other for other in kinds if other != name])
        for ending in ("png", "pdf"):
            save_figure(figure, folder / FIGURES / f"excess-{name}.{ending}")
        png = base64.b64encode((folder / FIGURES / f"excess-{name}.png").read_bytes()).decode()
        shown.append({"title": f"Excess by {name.replace('_', ' ')}", "caption": _CAPTION.format(name), "png": png})
    head = [name for name in (*table.columns, "network") if name != "seed"]
    rows = [
        [*("" if value is None else value for value in values), len(excess), *_numbers(excess)]
        for values, excess in series_of(table.rows, head, MEASURE).items()
    ]
    environment = Environment(loader=PackageLoader("ddm2snn.workflow"), autoescape=True, trim_blocks=True)
    page = environment.get_template("sweep.html.j2").render(
        title=f"Sweep of {', '.join(dict.fromkeys(row['system'] for row in table.rows))}",
        figures=shown,
        head=[*head, "seeds", "largest excess", "95 % interval"],
        rows=rows,
        problems=problems_of(table.rows, table.columns),
        recipe=tomli_w.dumps(grid.content).rstrip(),
        version=package_version(),
    )
    write_text(folder / PAGE, page)


def _numbers(excess: list[float]) -> list[str]:
    middle, low, high = over_seeds(excess)
    return [f"{middle:.2f}", f"{low:.2f} – {high:.2f}" if len(excess) > 1 else "–"]
