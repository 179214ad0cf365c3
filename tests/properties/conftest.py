"""Hypothesis for this folder: no deadlines on a shared machine, a folder for files of each session."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all examples of a session share, because a function's own would outlive no example."""
    return tmp_path_factory.mktemp("properties")
