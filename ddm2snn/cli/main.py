"""The command line: commands put together, and errors as one line on stderr.

Messages of the library name arguments. An option is spelled as its argument with dashes (``--burn-in`` is `burn_in`),
so that no message is translated.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import fill
from types import FrameType
from typing import Annotated

import typer

from ddm2snn.base import package_version
from ddm2snn.base.files import inputs_kept
from ddm2snn.base.progress import LOG
from ddm2snn.cli.exchange import export, import_
from ddm2snn.cli.hardware import hardware
from ddm2snn.cli.lists import backends, cache, systems
from ddm2snn.cli.networks import convert, plan, restructure, train
from ddm2snn.cli.options import quiet
from ddm2snn.cli.results import analyse, compare, run, stress, sweep
from ddm2snn.cli.simulate import simulate
from ddm2snn.errors import RAISED_IN, InputError, one_line

UNFORESEEN = 70
"""Exit code of an error that has no words of its own: EX_SOFTWARE of sysexits.h."""
_DEBUG, _VERBOSE, _QUIET = "--debug", ("-v", "--verbose"), ("-q", "--quiet")
_EVERYWHERE = {_DEBUG, *_VERBOSE, *_QUIET}  # before or behind a command
_INTERRUPTED = 128 + signal.SIGINT
_AGAIN_S = 0.05  # until a signal that came during an import is looked at again
_STEPS_KEPT = "Steps that were done are kept. Repeat the command to go on."
_KEPT: dict[str, str] = {"run": _STEPS_KEPT, "sweep": _STEPS_KEPT}
_NOTHING_KEPT = "No result was written. Repeat the command to begin again."

COMMANDS: dict[str, dict[str, tuple[Callable[..., int | None] | typer.Typer, str]]] = {
    "The whole way": {"run": (run, "run vanderpol -o out"), "sweep": (sweep, "sweep recipe.toml -o out --workers 2")},
    "Rate networks": {
        "train": (train, "train vanderpol -o rate.safetensors"),
        "import": (import_, "import weights.npz -o rate.safetensors --activation tanh"),
    },
    "Spiking networks": {
        "convert": (convert, "convert rate.safetensors -o snn.safetensors"),
        "plan": (plan, "plan rate.safetensors --noise 0.25"),
        "restructure": (
            restructure,
            "restructure snn.safetensors -o less.safetensors --rate rate.safetensors --sparse 0.5",
        ),
    },
    "Runs": {
        "simulate": (simulate, "simulate snn.safetensors -o snn.nc --trials 64"),
        "compare": (compare, "compare rate-1.nc snn.nc --floor rate-2.nc -o comparison"),
        "analyse": (analyse, "analyse rate.safetensors -o analysis"),
        "stress": (stress, "stress snn.safetensors --rate rate.safetensors -o stress.csv"),
    },
    "Other tools and devices": {
        "export": (export, "export snn.safetensors -o snn.nir"),
        "hardware": (hardware, "hardware"),
    },
    "Lists": {
        "systems": (systems, "systems"),
        "backends": (backends, "backends"),
        "cache": (cache, "cache"),
    },
}
"""Commands in the order of use: function and example of each by its name, in groups of the help."""

app = typer.Typer(
    name="ddm2snn",
    help="Convert low-rank rate networks trained by drift-diffusion matching into spiking networks.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, (_command, _example) in {k: v for group in COMMANDS.values() for k, v in group.items()}.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name, epilog=f"Example: ddm2snn {_example}")
    else:
        app.command(_name, epilog=f"Example: ddm2snn {_example}")(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; whatever goes wrong is one line on stderr, with an exit code for its kind.

    Exit codes: 2 for what the user can repair, `UNFORESEEN` for an error that nobody foresaw, 128 plus its number for
    a signal. ``--debug``, before or behind the command, shows the traceback as well, ``-v`` the log and ``-q`` no
    progress.
    """
    words = sys.argv[1:] if arguments is None else arguments
    debug = _DEBUG in words
    verbose, silent = (not {*words}.isdisjoint(names) for names in (_VERBOSE, _QUIET))
    arguments = [word for word in words if word not in _EVERYWHERE] or ["-h"]
    with warnings.catch_warnings(), inputs_kept(), _logged(verbose), quiet(silent), _stopped_alike() as signals:
        warnings.simplefilter("ignore")  # those of simulators about their own dependencies
        warnings.filterwarnings("always", category=UserWarning, module="ddm2snn")
        warnings.showwarning = lambda message, *_, **__: print(f"Warning: {one_line(str(message))}", file=sys.stderr)
        try:
            status = app(arguments, "ddm2snn", standalone_mode=False)
            _flush()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every error is worded, and shown on request
            if debug:
                traceback.print_exc()
            # an extension may make an error of its own out of the interruption
            message, status = ("", _INTERRUPTED) if signals else _worded(error)
            if message:
                print(message, file=sys.stderr)
        if status == _INTERRUPTED:  # Typer makes this of KeyboardInterrupt
            number = signals[0] if signals else signal.SIGINT
            stopped = "Interrupted." if number == signal.SIGINT else f"Stopped by signal {number}."
            command = next((word for word in words if not word.startswith("-")), "")
            print(stopped, _KEPT.get(command, _NOTHING_KEPT), file=sys.stderr)
            status = 128 + number
        sys.exit(status if isinstance(status, int) else 0)


@contextlib.contextmanager
def _logged(asked: bool) -> Iterator[None]:
    """Write the log to stderr, if so asked."""
    handler, level = logging.StreamHandler(), LOG.level
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    if asked:
        LOG.addHandler(handler)
        LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)


@contextlib.contextmanager
def _stopped_alike() -> Iterator[list[int]]:
    """Take what ends a job of a batch system or of a closed terminal as an interruption by Ctrl-C; tell which came."""
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came[:] = came or [number]
        while frame is not None and hasattr(signal, "setitimer"):
            if frame.f_code.co_filename.startswith("<frozen importlib"):  # an extension may abort at an exception
                signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
                return
            frame = frame.f_back
        raise KeyboardInterrupt

    defaults = {"SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL, "SIGINT": signal.default_int_handler}
    main_thread = threading.current_thread() is threading.main_thread()
    theirs = {getattr(signal, n): handler for n, handler in defaults.items() if main_thread and hasattr(signal, n)}
    theirs = {number: handler for number, handler in theirs.items() if signal.getsignal(number) == handler}  # nohup
    if theirs and hasattr(signal, "SIGALRM"):
        theirs[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    for number in theirs:
        signal.signal(number, interrupt)
    try:
        yield came
    finally:
        for number, handler in theirs.items():
            signal.signal(number, handler)


def _flush() -> None:
    """Write out what was printed, so that a full disk or a closed pipe is an error here and not at the very end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _worded(error: BaseException) -> tuple[str, int]:
    """Line for an error, and exit code."""
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return "", _INTERRUPTED
    if isinstance(error, InputError):
        message = str(error)
    elif isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)  # of a usage error
        message = error.format_message().rstrip(".") + (f". See {context.command_path} -h." if context else "")
    elif isinstance(error, OSError):
        remedy = "Make some room" if error.errno == errno.ENOSPC else "Check the path and its permissions"
        message = f"{error.filename or 'A file'}: {error.strerror or error}. {remedy}."
    elif isinstance(error, MemoryError):
        reason = f": {error}" if str(error) else ""
        message = f"There is not enough memory{reason}. Take fewer trials, a shorter duration or fewer neurons."
    else:
        *_, frame = traceback.extract_tb(error.__traceback__)
        file, line = getattr(error, RAISED_IN, (frame.filename, frame.lineno))
        message = f"unforeseen {type(error).__name__} in {Path(file).name}, line {line}: {error}"
        return f"Error: {one_line(message)} (Repeat with {_DEBUG} for the traceback, and please report it.)", UNFORESEEN
    return f"Error: {one_line(message)}", 2


def _grouped(context: typer.Context) -> str:
    """Help with whole summaries, in groups: Typer's own list has no groups and cuts them."""
    lines = [context.get_help().partition("\nCommands:")[0].rstrip()]
    for group, commands in COMMANDS.items():
        lines += ["", f"{group}:"]
        for name, (command, _) in commands.items():
            words = command.info.help if isinstance(command, typer.Typer) else command.__doc__
            summary = (words or "").split("\n\n")[0]
            lines.append(fill(f"{name:12} {summary}", 79, initial_indent="  ", subsequent_indent=" " * 15))
    return "\n".join([*lines, "", "ddm2snn COMMAND -h explains the options of a command and has an example."])


@app.callback(invoke_without_command=True, add_help_option=False)
def _top(
    context: typer.Context,
    help: Annotated[bool, typer.Option("-h", "--help", help="Show this message and exit.")] = False,
    version: Annotated[bool, typer.Option("-V", "--version", help="Print the version and exit.")] = False,
    verbose: Annotated[bool, typer.Option(*_VERBOSE, help="Tell what happens; also behind a command.")] = False,
    quiet: Annotated[bool, typer.Option(*_QUIET, help="Show no progress; also behind a command.")] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show the traceback of an error; also behind a command.")] = False,
) -> None:
    if version or help:
        print(package_version() if version else _grouped(context))
        raise typer.Exit
