"""What every other package stands on: arrays, files, random streams, settings."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version


@cache
def package_version() -> str:
    """Version of this package from the metadata of its installation."""
    return version("ddm2snn")
