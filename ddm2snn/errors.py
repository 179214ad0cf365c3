"""Errors that a user can act on: each says what was asked, what was found and what to do."""

from __future__ import annotations

_LONGEST_LINE = 600
_KEPT_END = 180  # of a longer one: the remedy stands at the end


def one_line(text: str) -> str:
    """Text in one line of at most 600 printable characters; what is longer loses its middle.

    >>> one_line("first" + chr(10) + "second" + chr(27) + "[2J")
    'first second [2J'
    >>> len(one_line("x" * 10**6))
    600
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * _LONGEST_LINE]).split())
    if len(line) <= _LONGEST_LINE and len(text) <= 2 * _LONGEST_LINE:
        return line
    end = " ".join("".join(c if c.isprintable() else " " for c in text[-_KEPT_END:]).split())
    return f"{line[: _LONGEST_LINE - len(end) - 7]} [...] {end}"


RAISED_IN = "raised_in"
"""Attribute of an error that came from another process: file and line where it was raised."""


class InputError(ValueError):
    """Something that the user gave cannot be used; the message is one line and names the remedy.

    >>> raise InputError("trials must be above zero," + chr(10) + "got 0.")
    Traceback (most recent call last):
    ddm2snn.errors.InputError: trials must be above zero, got 0.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class FileRefusedError(InputError):
    """A file is missing, foreign, damaged or newer than this reader; the message names the file."""


class UnsupportedError(InputError):
    """A backend cannot run this network as asked; the message gives its declared reasons."""


class MissedWarning(UserWarning):
    """A result is not what was asked for, or not fit for use; the message says what helps."""
