"""The child process of `ddm2snn.base.foreign` as a fork of this one: the same code and bounds, without a start."""

from __future__ import annotations

import os
import tempfile
import threading
import warnings
from pathlib import Path
from typing import IO

from ddm2snn.base import foreign


def run(name: str, path: Path, output: IO[bytes], pace: float = 1.0, *words: str) -> tuple[int, str]:
    """What `ddm2snn.base.foreign` does by a new interpreter, for tests of many files."""
    with tempfile.TemporaryFile() as said:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the child is short
            child = os.fork()
        if not child:
            status = 1
            try:
                os.dup2(said.fileno(), 2)
                foreign.serve(name, path, output, pace, *words)
                status = 0
            finally:
                os._exit(status)
        # where processor time does not end it, such as in a lock that a thread of the parent held
        end = threading.Timer(60.0, os.kill, (child, 9))
        end.start()
        try:
            _, status = os.waitpid(child, 0)
        finally:
            end.cancel()
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode(errors="replace")
