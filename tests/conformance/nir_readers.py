"""Simulators that read NIR, each as a step function: (trial, input) in, spikes (trial, neuron) out."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from nir_executor import NirExecutor

Step = Callable[[np.ndarray], np.ndarray]


def _torch_steps(module: Any) -> Step:
    import torch

    state = None

    def step(given: np.ndarray) -> np.ndarray:
        nonlocal state
        with torch.no_grad():
            spikes, state = module(torch.tensor(given, dtype=torch.float32), state)
        return spikes.numpy()

    return step


def norse(path: Path, dt_s: float, trials: int) -> Step:
    import nir

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Norse 1.1 uses what torch.jit and nirtorch call old
        import norse.torch  # pyright: ignore[reportMissingImports]

        return _torch_steps(norse.torch.from_nir(nir.read(path), dt=dt_s))


def snntorch(path: Path, dt_s: float, trials: int) -> Step:
    import nir
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        return _torch_steps(import_from_nir(nir.read(path)))


def spikingjelly(path: Path, dt_s: float, trials: int) -> Step:
    from spikingjelly.activation_based.nir_exchange import import_from_nir  # pyright: ignore[reportMissingImports]

    return _torch_steps(import_from_nir(str(path), dt=dt_s))


def executor(path: Path, dt_s: float, trials: int) -> Step:
    """The tests' own, which reads the file in continuous time."""
    own = NirExecutor(path, trials=trials)
    return lambda inputs: own.step(inputs) * (1.0 if own.per_step else own.dt_s)


READERS = {"executor": executor, "norse": norse, "snntorch": snntorch, "spikingjelly": spikingjelly}
INSTALLED = [name for name in READERS if name == "executor" or find_spec(name)]
