"""The verb sweep: a grid of runs on Dask, each step of them once, with one table and one page."""

from __future__ import annotations

import contextlib
import logging
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ddm2snn.base import threads
from ddm2snn.base.arrays import as_count
from ddm2snn.base.files import new_folder, remove_stale
from ddm2snn.base.progress import LOG, Progress, no_progress, reported, say
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.recording_formats import library
from ddm2snn.workflow.recipe import Recipe
from ddm2snn.workflow.report import FIGURES
from ddm2snn.workflow.steps import STATE, own_files
from ddm2snn.workflow.sweep_grid import Grid
from ddm2snn.workflow.sweep_steps import LOCK, STEPS, Order, Task, UnfitWorkerError, comparisons
from ddm2snn.workflow.sweep_table import FILES, PAGE, Table, write_page

if TYPE_CHECKING:
    from distributed import Client, Future
    from pandas import DataFrame

_CONNECT_S = 20.0  # until a scheduler has answered [choice]
_STOPS = (OSError, FileRefusedError, UnfitWorkerError)  # errors that the next run would meet as well
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# of a cluster on this machine: idle workers end, and one that computes for long in C is not taken for lost [choice]
_ADAPTIVE = {"interval": "2s", "wait_count": 10, "target_duration": "1s"}
_SETTINGS = {"distributed.scheduler.worker-ttl": None, "distributed.worker.profile.enabled": False}
_SILENT = logging.CRITICAL + 1  # level of a log [choice]


def sweep(
    recipe: Recipe | Mapping[str, Any] | Path | str,
    folder: Path | str,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | bool = False,
) -> DataFrame:
    """Run a recipe at every point of a grid, on several processes or machines, and put what came of it in one table.

    Settings of the recipe that are lists span the grid, such as ``neurons_per_unit = [1, 2, 4]`` or ``seed = [0, 1]``.
    Each spiking network of each point is compared with the rate network that it was made from. Steps that points share
    are done once. Every step is kept in the folder by what it depends on: a sweep that was cut off goes on, and one
    with a further value computes what is new. A step whose worker was lost is done again. A run that is refused has a
    row that says why, and the others go on.

    A script that calls this with workers on its own machine does so below ``if __name__ == "__main__":``, since they
    import it.

    Parameters
    ----------
    recipe
        File of a recipe, or its content, as in `ddm2snn.Recipe`, with lists. Paths in a file are relative to it.
    folder
        Folder of all files: table.csv, table.nc, sweep.html, figures, times.csv and the steps. Created if missing;
        workers on other machines must see it under the same path.
    workers
        Processes on this machine, one for each core by default; idle ones end.
    scheduler
        Address of a Dask scheduler that runs already, such as "tcp://10.0.0.1:8786", in the place of own processes.
        Its workers may come and go.
    progress
        Called with the finished share; True shows a bar and names Dask's dashboard.

    Returns
    -------
    DataFrame
        The table: a row for each network and measure, with the swept settings, distance, floor and excess.

    Raises
    ------
    InputError
        Where recipe, folder or scheduler cannot be used, another sweep works in the folder, or Dask is not installed.

    Examples
    --------
    A sweep of one short run takes some ten seconds: ``sweep("recipe.toml", "out")``. What cannot be used is refused
    before any step is done:

    >>> sweep({"system": "vanderpol", "seed": [0, -1]}, "out")
    Traceback (most recent call last):
    ddm2snn.errors.InputError: The recipe: seed: input should be greater than or equal to 0, got -1.
    """
    grid, target = Grid.of(recipe), Path(folder)
    if workers is not None and scheduler is not None:
        raise InputError("sweep takes workers of its own or those of a scheduler, not both. Leave workers out.")
    count = threads.workers() if workers is None else as_count("workers", workers)
    runs = comparisons(grid.points())
    try:
        with (
            new_folder(target, notes=(LOCK, STATE)),
            FileLock(target / LOCK, timeout=0),
            own_files("sweep", target, (*FILES, PAGE), FIGURES),
            reported(progress, "sweep") as report,
        ):
            for place in (target, target / FIGURES, *(target / STEPS).glob("*")):
                remove_stale(place, older_than_s=0.0)
            root = target.absolute()
            wanted = [task for _, task in runs]
            missing = list({task.key: task for each in wanted for task in each.missing(root)}.values())
            problems: dict[str, str] = {}
            if missing:
                with _client(scheduler, min(count, len(missing)), audible=report is not no_progress) as client:
                    problems = _Work(client, root, missing, report).done()
            table = Table.of(runs, grid.columns, problems, root)
            table.save(target)
            write_page(table, grid, target)
            return table.to_dataframe()
    except Timeout as error:
        raise InputError(f"Another sweep works in {target}. Wait for its end, or choose another folder.") from error


class _Work:
    """Tasks handed to Dask in the order of their needs, and what came of them."""

    def __init__(self, client: Client, root: Path, tasks: Sequence[Task], progress: Progress) -> None:
        self.client, self.root, self.tasks, self.progress = client, root, tasks, progress
        self.futures: dict[str, Future] = {}
        self.shared: dict[str, Future] = {}
        self.name = secrets.token_hex(4)  # a scheduler that runs on may still hold tasks of a sweep that was stopped

    def done(self) -> dict[str, str]:
        """Do all tasks; return why some could not be done, by their keys.

        Raises
        ------
        InputError, OSError
            Where the other tasks could not be done either, such as on a full disk.
        """
        for task in self.tasks:
            self._submit(task)
        self.shared.clear()  # workers keep these results for as long as a comparison needs them
        by_future = {str(self.futures[task.key].key): task for task in self.tasks}
        problems: dict[str, str] = {}
        ended = library("distributed", "sweep").as_completed(list(self.futures.values()), loop=self.client.loop)
        for index, future in enumerate(ended):
            self.progress((index + 1) / len(self.futures))
            if future.status in ("cancelled", "lost"):
                raise InputError("Dask's scheduler was lost. What was done is kept: repeat the command to go on.")
            if future.status == "error":
                problems[by_future[str(future.key)].key] = _words(future.exception(), by_future)
        return problems

    def _submit(self, task: Task) -> None:
        """Hand over a task behind those that it needs, and what its comparison shares with others."""
        order, prepared = Order.of(task, self.root), None
        if task.references:
            prepared = self.shared.get(task.shared_key)
            if prepared is None:
                prepared = self._ask(order.prepare, *self._begun(task.references), key=f"prepare-{task.shared_key}")
                self.shared[task.shared_key] = prepared
        self.futures[task.key] = self._ask(order.do, prepared, *self._begun(task.needs), key=task.folder)

    def _begun(self, tasks: Sequence[Task]) -> list[Future]:
        """Futures of those tasks that were not done before."""
        return [self.futures[task.key] for task in tasks if task.key in self.futures]

    def _ask(self, work: Callable[..., object], *needs: Future | None, key: str) -> Future:
        return self.client.submit(work, *needs, key=f"{key}-{self.name}", pure=True)


def _words(error: BaseException | None, by_future: Mapping[str, Task]) -> str:
    """Why a task failed, in one line; raised where the others would fail as well, or nobody foresaw it."""
    killed = library("distributed", "sweep").KilledWorker
    if isinstance(error, killed):
        task = by_future.get(str(getattr(error, "task", "")))
        step = "prepare reference" if task is None else task.step.name
        return f"The worker was lost again and again at the step {step!r}. Memory may be short: take fewer workers."
    if isinstance(error, InputError) and not isinstance(error, _STOPS):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        raise InputError(f"A worker lacks the package {error.name}. Install ddm2snn[sweep] where it runs.") from error
    raise error if error is not None else InputError("A step failed without a reason. Repeat the command.")


@contextlib.contextmanager
def _client(scheduler: str | None, workers: int, *, audible: bool) -> Iterator[Client]:
    """Client of a scheduler, or of a cluster of processes on this machine, which is quiet and closed in the end."""
    distributed, dask = library("distributed", "sweep"), library("dask", "sweep")
    log, level = logging.getLogger("distributed"), logging.getLogger("distributed").level
    with contextlib.ExitStack() as stack:
        stack.callback(log.setLevel, level)
        log.setLevel(_SILENT)
        if scheduler is None:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="ddm2snn-"))
            stack.enter_context(dask.config.set({**_SETTINGS, "temporary-directory": scratch}))
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, memory_limit=0, env=_ONE_THREAD,
                    dashboard_address="127.0.0.1:0", silence_logs=_SILENT,
                )
            )  # fmt: skip
            cluster.adapt(minimum=1, maximum=workers, **_ADAPTIVE)
            address = cluster.scheduler_address
        else:
            address = scheduler
        try:
            client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(f"No Dask scheduler answers at {address}. Check the address, or leave it out.") from error
        stack.enter_context(client)
        words = f"Dask's dashboard: {client.dashboard_link}"
        LOG.info(words)
        if audible and find_spec("bokeh") is not None:  # which draws it
            say(words)
        yield client
