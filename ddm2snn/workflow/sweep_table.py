"""The table of a sweep: a row for each network and measure, as CSV and as netCDF; and its page."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from ddm2snn.base import package_version
from ddm2snn.base.files import whole_file, write_text
from ddm2snn.base.stored import parse_json
from ddm2snn.plots.style import save_figure
from ddm2snn.plots.sweep import MEASURE, draw_sweep, over_seeds, series_of
from ddm2snn.workflow.report import FIGURES
from ddm2snn.workflow.sweep_grid import Grid, Point
from ddm2snn.workflow.sweep_steps import COMPARISON, SECONDS, STEPS, Task

if TYPE_CHECKING:
    import xarray as xr
    from pandas import DataFrame

FILES = ("table.csv", "table.nc", "times.csv")
"""Files of a table; times are apart, so that the table of an interrupted sweep is that of one that was not."""
PAGE = "sweep.html"
_CAPTION = (
    "Excess (distance over floor) by {}: 1 is as close as a second run of the rate network. Lines are geometric means "
    "over seeds with their 95 % interval (Student's t of logarithms), dots the seeds. The uppermost row is the largest "
    "of some twenty excesses, which is above 1 by chance too: compare it with itself."
)
_OF_RUN = ("network", "neurons", "missed", "problem", "folder")
_WIDTH = 14  # letters of a column of lines
_OF_MEASURE = ("label", "unit", "distance", "floor", "excess", "low", "high", "differs", "informative", "prominence")


@dataclass(frozen=True)
class Table:
    """Rows of a sweep, and the seconds that its steps took.

    Parameters
    ----------
    columns
        System, seed and swept settings.
    rows
        Values by column: `columns`; network, number of neurons, sentences on what its conversion missed, why there is
        no result, and the folder of its files; name, label, unit and numbers of a measure, as in `JudgedDistance`, with
        the 95 % interval of the excess. A run without a result has one row, with None in the place of numbers.
    times
        Folder of each step, and its seconds; None where they are not known.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    times: tuple[tuple[str, float | None], ...]

    @classmethod
    def of(
        cls, runs: Sequence[tuple[Point, Task]], columns: Sequence[str], problems: Mapping[str, str], root: Path
    ) -> Table:
        """Read the comparisons of all runs that are done."""
        rows: list[Mapping[str, Any]] = []
        tasks: dict[str, Task] = {}
        for point, task in runs:
            for each in (*task.conversion.needs, *task.references, *task.needs, task):
                tasks.setdefault(each.folder, each)
            rows += _rows(point, task, columns, problems.get(task.key, ""), root)
        times = tuple((folder, _seconds(root / STEPS / folder / SECONDS)) for folder in tasks)
        return cls(tuple(columns), tuple(rows), times)

    def save(self, folder: Path) -> None:
        """Write table.csv, table.nc and times.csv; equal rows give equal bytes."""
        names = (*self.columns, *_OF_RUN, "measure", *_OF_MEASURE)
        write_text(folder / FILES[0], _csv(names, [[row[name] for name in names] for row in self.rows]))
        with whole_file(folder / FILES[1]) as temporary:
            content = io.BytesIO()  # HDF5 does not outlive a full disk
            self.to_dataset().to_netcdf(content, engine="h5netcdf", format="NETCDF4")
            temporary.write_bytes(content.getbuffer())
        write_text(folder / FILES[2], _csv(("step", "seconds"), self.times))

    def to_dataframe(self) -> DataFrame:
        """The rows as a pandas table."""
        from pandas import DataFrame  # which xarray brings along

        return DataFrame([dict(row) for row in self.rows], columns=[*self.columns, *_OF_RUN, "measure", *_OF_MEASURE])

    def to_dataset(self) -> xr.Dataset:
        """The rows by run and measure: numbers have both dimensions, settings the first, labels the second."""
        import xarray as xr

        runs = list({row["folder"]: row for row in self.rows}.values())
        measures = {row["measure"]: row for row in self.rows if row["measure"]}
        place = {row["folder"]: index for index, row in enumerate(runs)}
        variables: dict[str, Any] = {
            name: ("run", _column([row[name] for row in runs])) for name in (*self.columns, *_OF_RUN)
        }
        for name in ("label", "unit", "prominence"):
            variables[name] = ("measure", _column([row[name] for row in measures.values()]))
        for name in ("distance", "floor", "excess", "low", "high", "differs", "informative"):
            values = np.full((len(runs), len(measures)), np.nan)
            for row in self.rows:
                if row["measure"] and row[name] is not None:
                    values[place[row["folder"]], list(measures).index(row["measure"])] = row[name]
            variables[name] = (("run", "measure"), values)
        return xr.Dataset(variables, coords={"measure": _column(list(measures))})


def rows_of(table: DataFrame) -> list[dict[str, Any]]:
    """Rows of what `sweep` returns, as JSON values."""
    return [{k: None if v != v else v for k, v in row.items()} for row in table.to_dict("records")]


def lines_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """A line for each point of a curve: the largest excess of the measures that can tell, over the seeds."""
    names = [name for name in (*columns, "network") if name != "seed"]
    lines = [_line([*names, "seeds", "largest excess", "95 % interval"])]
    for values, excess in series_of(rows, names, MEASURE).items():
        middle, low, high = over_seeds(excess)
        interval = f"{low:.2f} - {high:.2f}" if len(excess) > 1 else "-"
        lines.append(_line([*values, len(excess), f"{middle:.2f}", interval]))
    return lines


def problems_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Runs without a result, one line each."""
    named = [(row, [f"{name} {_words(row[name])}" for name in (*columns, "network")]) for row in rows if row["problem"]]
    return [f"{', '.join(words)}: {row['problem']}" for row, words in named]


def _rows(point: Point, task: Task, columns: Sequence[str], problem: str, root: Path) -> list[Mapping[str, Any]]:
    """Rows of one run."""
    folder = root / STEPS / task.folder
    run: dict[str, Any] = {name: point.values[name] for name in columns}
    run |= {"network": task.network, "folder": f"{STEPS}/{task.folder}"}
    if "weight_bits" in run and not task.rounds:
        run["weight_bits"] = None
    if problem:
        return [{**run, "neurons": None, "missed": "", "problem": problem, "measure": "", **dict.fromkeys(_OF_MEASURE)}]
    content = parse_json((folder / COMPARISON).read_bytes(), str(folder / COMPARISON))
    run |= {"neurons": content["neurons"], "missed": " ".join(content["missed"]), "problem": ""}
    rows = []
    for name, measure in content["measures"].items():
        low, high = measure["excess_interval"] or (None, None)
        numbers = {**measure, "low": low, "high": high, "prominence": content["prominence"][name]}
        rows.append({**run, "measure": name, **{key: numbers[key] for key in _OF_MEASURE}})
    return rows


def _seconds(file: Path) -> float | None:
    return float(file.read_text(encoding="utf-8")) if file.exists() else None


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(names)
    table.writerows(rows)
    return text.getvalue()


def _column(values: list[Any]) -> np.ndarray:
    """Numbers as such, None among them as NaN; anything else as text."""
    if all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in values):
        whole = all(isinstance(value, int) for value in values)
        return np.array(values, dtype=np.int64 if whole else np.float64)
    return np.array(["" if value is None else str(value) for value in values], dtype=object)


def _line(cells: Sequence[Any]) -> str:
    return "  ".join(f"{_words(cell):>{max(_WIDTH, len(_words(cell)))}}" for cell in cells)


def _words(cell: object) -> str:
    return "-" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell)


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
        [*("" if value is None else value for value in values), len(excess), *_seeds_in_words(excess)]
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


def _seeds_in_words(excess: list[float]) -> list[str]:
    middle, low, high = over_seeds(excess)
    return [f"{middle:.2f}", f"{low:.2f} – {high:.2f}" if len(excess) > 1 else "–"]
