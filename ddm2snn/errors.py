"""Errors that a user can act on: each says what was asked, what was found and what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Something that the user gave cannot be used; the message is one line and names the remedy."""


class FileRefusedError(InputError):
    """A file is missing, foreign, damaged or newer than this reader; the message names the file."""


class UnsupportedError(InputError):
    """A backend cannot run this network as asked; the message gives its declared reasons."""


class MissedWarning(UserWarning):
    """A result is not what was asked for, or not fit for use; the message says what helps."""
