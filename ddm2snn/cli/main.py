"""The command line: commands put together, and errors as one line on stderr.

Messages of the library name arguments. An option is spelled as its argument with dashes (``--burn-in`` is `burn_in`),
so that no message is translated.
"""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Annotated

import typer

from ddm2snn.base.version import package_version
from ddm2snn.cli.convert import convert, plan, restructure
from ddm2snn.cli.exchange import export, import_
from ddm2snn.cli.lists import backends, cache, hardware, systems
from ddm2snn.cli.results import analyse, compare, run
from ddm2snn.cli.simulate import simulate
from ddm2snn.cli.train import train
from ddm2snn.errors import InputError

app = typer.Typer(
    name="ddm2snn",
    help="Convert low-rank rate networks trained by drift-diffusion matching into spiking networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(hardware, name="hardware")
app.add_typer(cache, name="cache")
for _name, _command in {
    "systems": systems, "backends": backends, "train": train, "import": import_, "analyse": analyse, "plan": plan,
    "convert": convert, "restructure": restructure, "simulate": simulate, "compare": compare, "run": run,
    "export": export,
}.items():  # fmt: skip
    app.command(_name)(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of simulators about their own dependencies
        warnings.filterwarnings("always", category=UserWarning, module="ddm2snn")
        warnings.showwarning = lambda message, *_, **__: print(f"Warning: {message}", file=sys.stderr)
        sys.exit(_status(arguments))


def _status(arguments: list[str] | None) -> int:
    try:
        status = app(arguments, standalone_mode=False)
    except InputError as error:
        return _refuse(str(error))
    except typer.TyperException as error:
        return _refuse(error.format_message())
    except (PermissionError, IsADirectoryError, FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        return _refuse(f"{error.filename}: {error.strerror}. Check the path and its permissions.")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _refuse(f"{error.filename or 'A file'}: there is no room left on the disk. Make some.")
    except MemoryError as error:
        return _refuse(f"There is not enough memory: {error}. Take fewer trials, a shorter duration or fewer neurons.")
    except (KeyboardInterrupt, typer.Abort):
        print("Interrupted.", file=sys.stderr)
        return 130
    return status if isinstance(status, int) else 0


def _refuse(message: str) -> int:
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    return 2


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(package_version())
        raise typer.Exit
