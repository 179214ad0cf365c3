"""Named child streams of one integer seed, so that adding a consumer never moves the others."""

from __future__ import annotations

import contextlib
import hashlib
import operator
from collections.abc import Iterator

import numpy as np

from ddm2snn.errors import InputError


def check_seed(seed: int) -> int:
    """Return `seed` as an int, or say why it is none."""
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**63:
        raise InputError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed!r}. Choose such a number.")
    return value


def _spawn(seed: int, names: tuple[str, ...]) -> np.random.SeedSequence:
    words = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in names]
    return np.random.SeedSequence(check_seed(seed), spawn_key=tuple(words))


@contextlib.contextmanager
def global_generator_kept() -> Iterator[None]:
    """Leave NumPy's global generator, which some simulators draw from, as it was found."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def stream(seed: int, *names: str) -> np.random.Generator:
    """Generator for the consumer called `names`, independent of every other name under the same seed."""
    return np.random.Generator(np.random.PCG64DXSM(_spawn(seed, names)))


def child_seed(seed: int, *names: str) -> int:
    """Non-negative 31-bit seed for a simulator that takes an integer, by the same naming."""
    return int(_spawn(seed, names).generate_state(1, np.uint32)[0] & 0x7FFFFFFF)
