"""Ranks of an MPI run that share the neurons of a network: who has which chunks, and how their sums are gathered.

The compiled loop calls MPI itself, by the addresses of two of its functions: from Python the exchange of a step takes
some 4 us, from C 0.8 us. It asks whether the exchange is done instead of waiting in it, so that a signal ends a run.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.network import to_system
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.schedule import Schedule

_FUNCTIONS = ("MPI_Iallgather", "MPI_Test")
_FIRST_S, _LONGER = 1.0, 1.05  # until the first partial recording, and from one to the next [choice]


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of this run.

    Parameters
    ----------
    world
        Their communicator, of mpi4py.
    addresses
        What the loop needs to call MPI: the functions above, the type of a double, and the communicator.
    """

    world: Any
    addresses: Int[np.ndarray, " word"]

    def __repr__(self) -> str:
        return f"Ranks(rank={self.rank}, size={self.size})"

    @property
    def rank(self) -> int:
        """Number of this rank."""
        return self.world.Get_rank()

    @property
    def size(self) -> int:
        """Number of all ranks."""
        return self.world.Get_size()

    def part(self, chunks: int) -> tuple[int, int]:
        """First chunk of this rank, and the one behind its last."""
        return self.rank * chunks // self.size, (self.rank + 1) * chunks // self.size

    def width(self, chunks: int) -> int:
        """Chunks of the rank that has the most: all send as many sums, zeros behind their own."""
        return -(-chunks // self.size)

    def gathered(self, numbers: Int[np.ndarray, " number"]) -> Int[np.ndarray, " number"]:
        """Whole numbers of all ranks in their order, on rank 0; none on the others."""
        from mpi4py import MPI

        own = np.ascontiguousarray(numbers, dtype=np.int64)
        counts = self.world.allgather(len(own))
        every = np.empty(sum(counts) if self.rank == 0 else 0, np.int64)
        self.world.Gatherv([own, MPI.INT64_T], [every, counts, None, MPI.INT64_T])
        return every

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """End all ranks where this one fails, with one line of its own: the others would wait for it for ever."""
        try:
            yield
        except BaseException as error:
            if self.size == 1:
                raise
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            print(f"ddm2snn: rank {self.rank} ends all ranks: {said}", file=sys.stderr, flush=True)
            self.world.Abort(1)
            raise


@functools.cache
def ranks_of_world() -> Ranks:
    """All ranks that mpiexec started, with a communicator of their own."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD.Dup()
    library = ctypes.CDLL(MPI.__file__)  # its symbols include those of the MPI that it is linked to
    functions = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _FUNCTIONS]
    handles = [MPI._handleof(MPI.DOUBLE), MPI._handleof(world)]
    return Ranks(world, np.array([*functions, *handles]).astype(np.uint64).view(np.int64))


def mpi_gaps(chunks: int | None = None) -> list[Unsupported]:
    """What keeps ranks from running so many chunks of neurons."""
    if importlib.util.find_spec("mpi4py") is None:
        return [Unsupported("ranks", "mpi4py is not installed", "Install ddm2snn[mpi]")]
    size = ranks_of_world().size
    if chunks is not None and size > chunks:
        reason = f"{size} ranks are more than the {chunks} parts of its neurons"
        return [Unsupported("ranks", reason, f"Start {chunks} at most")]
    return []


class Partial:
    """A recording of the latents so far: written after a second, and then each time that a twentieth has passed since.

    Parameters
    ----------
    path
        File to write, whole or not at all.
    schedule
        The run.
    """

    def __init__(self, path: Path, schedule: Schedule) -> None:
        self._path, self._schedule = path, schedule
        self._began = time.monotonic()
        self._due_s = _FIRST_S

    def keep(self, latent: Float[np.ndarray, "trial sample rank"], steps: int) -> None:
        """Write the samples of the first steps where it is time to."""
        passed_s = time.monotonic() - self._began
        if passed_s < self._due_s:
            return
        schedule, network = self._schedule, self._schedule.network
        samples = to_system(network, latent[:, : -(-steps // schedule.stride)])
        every = schedule.stride * schedule.dt_s / network.time_unit_s
        Recording.from_arrays(
            samples, every=every, time_unit_s=network.time_unit_s, time_scale=network.time_scale,
            provenance={"backend": "compiled", "seed": schedule.seed, "partial": steps / schedule.steps},
        ).save(self._path)  # fmt: skip
        self._due_s = max(passed_s + _FIRST_S, passed_s * _LONGER)
