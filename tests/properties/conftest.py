"""Hypothesis for this folder: no deadlines on a shared machine, a folder for files of each session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import forked_reader
import pytest

from ddm2snn.base import foreign


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all examples of a session share, because a function's own would outlive no example."""
    return tmp_path_factory.mktemp("properties")


@pytest.fixture(scope="module", autouse=True)
def _forked_readers() -> Iterator[None]:
    """Read foreign files in forks, which take no start of an interpreter."""
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(os, "fork"):
            patch.setattr(foreign, "_run", forked_reader.run)
        yield
