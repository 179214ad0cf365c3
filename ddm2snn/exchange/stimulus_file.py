"""Trials from elsewhere: arrays of a NumPy, netCDF, HDF5 or MATLAB file as a stimulus."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ddm2snn.base.foreign import read_apart
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.foreign_arrays import hdf5_content, read_arrays
from ddm2snn.stimulus import Stimulus

_FOREIGN = (".npz", ".nc", ".h5", ".hdf5", ".mat")
_SETTINGS = ("duration", "repeats")


def read_stimulus(path: Path | str) -> Stimulus:
    """Stimulus of a file: what `Stimulus.load` reads, or arrays by the names of the fields of `Stimulus`.

    `times` (time,) and `values`, (time, input) or (trial, time, input), are needed; `initial_latent` (trial, rank) and
    the numbers `duration` and `repeats` may be there. Names of `conditions` are read from .npz.

    Raises
    ------
    FileRefusedError
        Where the file is missing, damaged, or lacks an array, or its arrays make no stimulus.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> trials = {"times": [0.0, 2.0], "values": [[[0.1], [0.0]], [[-0.1], [0.0]]], "conditions": ["left", "right"]}
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/trials.npz", repeats=8, **trials)
    ...     read_stimulus(f"{folder}/trials.npz")
    Stimulus(trials=16, conditions=2, switches=2, inputs=1, from 0 to 2)
    """
    file = Path(path)
    kind = file.suffix.lower()
    if file.is_dir() or kind not in _FOREIGN:
        return Stimulus.load(file)
    arrays = read_apart(hdf5_content, file)[1] if kind == ".nc" else read_arrays(file)
    if missing := [name for name in ("times", "values") if name not in arrays]:
        raise FileRefusedError(
            f"{file} lacks {' and '.join(missing)}; it has {', '.join(arrays)}. A stimulus needs times (time,) and "
            "values (time, input) or (trial, time, input)."
        )
    fields = {name: arrays[name] for name in ("times", "values", "initial_latent") if name in arrays}
    try:
        settings = {name: arrays[name].item() for name in _SETTINGS if name in arrays}
        if kind == ".npz":
            with np.load(file, allow_pickle=False) as content:
                if "conditions" in content.files:
                    settings["conditions"] = tuple(map(str, np.atleast_1d(content["conditions"])))
        return Stimulus(**fields, **settings)
    except (InputError, ValueError) as error:
        raise FileRefusedError(f"{file} cannot be used: {error}") from error
