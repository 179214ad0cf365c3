"""Options that several commands take, and what commands show: results on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ddm2snn.base.costs import Cost
from ddm2snn.base.files import check_writable
from ddm2snn.base.progress import Announce, Console, Progress, no_progress, say
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.neuron import NeuronModel

SYSTEM = "Built-in name or path/to/file.py:attribute (which executes the file)."
WELLS = (
    "Centres of wells: JSON such as '[[-1, 0], [1, 0]]', a file of it or CSV, or a system with memories (of a file.py, "
    "which is executed)."
)
DecoderName = Annotated[
    str,
    typer.Option(
        metavar="calibrated|static|trained|direct",
        help="Calibrated on the neurons' own spikes, from rates, W_s as trained, or one LIF neuron a unit.",
    ),
]
BACKEND = "Simulator that decoders are solved for (`ddm2snn backends`)."
HARDWARE = "Device to have in the loop of calibrated decoders: a name (`ddm2snn hardware`) or a .toml file."
Neuron = Annotated[
    str | None,
    typer.Option(
        metavar="lif|rectified-linear|adaptive-lif|loihi-lif|heterogeneous-lif", help="Neuron model; lif by default."
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
NetworkFile = Annotated[Path, typer.Option("-o", "--output", help="File to write (.safetensors).")]
RateFile = Annotated[Path, typer.Argument(help="Rate network (.safetensors).")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 2 where the result misses what was asked for.")]
SpikingFile = Annotated[Path, typer.Argument(help="Spiking network (.safetensors).")]

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def check_output(path: Path, *suffixes: str) -> None:
    """Refuse a file that cannot be written, or of another suffix than its content has, before the work."""
    check_writable(path)
    if path.suffix not in ("", *suffixes):
        raise InputError(
            f"--output {path} ends in {path.suffix!r}, but this command writes {' or '.join(suffixes)}. "
            f"Name it {path.with_suffix(suffixes[0])}."
        )


def show(content: Mapping[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print one JSON object, or lines."""
    print(json.dumps(content, allow_nan=False) if as_json else "\n".join(lines))


@contextlib.contextmanager
def missed_warnings() -> Iterator[list[str]]:
    """Collect warnings of results that miss what was asked for, which are shown as any other."""
    from ddm2snn.errors import MissedWarning

    missed: list[str] = []
    with warnings.catch_warnings():
        show_warning = warnings.showwarning

        def hear(message: Warning | str, category: type[Warning], *place: Any) -> None:  # noqa: ANN401
            if issubclass(category, MissedWarning):
                missed.append(str(message))
            show_warning(message, category, *place)

        warnings.showwarning = hear
        yield missed


def exit_code(missed: list[str], *, strict: bool) -> int:
    """Exit code of a command whose result is written."""
    return 2 if strict and missed else 0


def flags(*options: tuple[str, object]) -> str:
    """Options by name as a shell takes them, each behind a blank; those of None are left out."""
    return "".join(f" --{name} {shlex.quote(str(value))}" for name, value in options if value is not None)


def confirm_execution(recipe: str, program: Path) -> None:
    """Ask before a Python file is executed that a recipe names, whoever wrote it; refuse where nobody can answer."""
    if not sys.stdin.isatty():
        raise InputError(f"{recipe} has {program} executed. Read that file, and repeat with --execute if you trust it.")
    typer.confirm(f"{recipe} has {program} executed. Go on?", abort=True, err=True)


def neuron_model(name: str | None) -> NeuronModel | None:
    """Neuron model of a name, with its default parameters."""
    from ddm2snn.neuron import find_neuron

    return None if name is None else find_neuron(name)


@contextlib.contextmanager
def quiet(asked: bool) -> Iterator[None]:
    """Within the context, show no progress if so asked."""
    token = _quiet.set(asked)
    try:
        yield
    finally:
        _quiet.reset(token)


@contextlib.contextmanager
def steps() -> Iterator[Announce]:
    """Show the steps of a run."""
    with contextlib.closing(Console()) as console:
        yield Announce() if _quiet.get() else console


@contextlib.contextmanager
def shown(name: str, cost: Cost) -> Iterator[Progress]:
    """Show the progress of one piece of work that the machine has room for, and what it takes where that is much."""
    words = cost.checked()
    if _quiet.get():
        yield no_progress
        return
    with contextlib.closing(Console()) as console:
        yield console.start(name, words)
        console.finish(name, done_before=False)


def say_cost(name: str, cost: Cost) -> None:
    """Say what work takes whose progress is shown otherwise or not at all, where that is much."""
    if (words := cost.checked()) and not _quiet.get():
        say(f"{name}{words}")
