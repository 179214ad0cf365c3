"""The verb import_network: a network from a file of another tool."""

from __future__ import annotations

from pathlib import Path

from ddm2snn.errors import InputError
from ddm2snn.exchange.array_mapping import ArrayMapping
from ddm2snn.exchange.nir_import import import_nir
from ddm2snn.exchange.plain_hdf5 import is_plain, read_hdf5
from ddm2snn.exchange.rate_arrays import import_rate_network
from ddm2snn.network import RateNetwork, SpikingNetwork

_OF_NIR = frozenset({"spikes", "dt_s"})  # fields of the mapping that only NIR files need


def import_network(
    path: Path | str, mapping: ArrayMapping | None = None, *, seed: int = 0
) -> RateNetwork | SpikingNetwork:
    """Read a network that was made elsewhere.

    A NIR file (.nir) holds a spiking network, read by `ddm2snn.exchange.nir_import.import_nir`. So does an HDF5 file
    with the schema of `ddm2snn.exchange.plain_hdf5`. Any other file holds a rate network, read by
    `ddm2snn.exchange.rate_arrays.import_rate_network`.

    Parameters
    ----------
    path
        A .nir, .npz, .safetensors, .mat, .h5, .pt or .pth file.
    mapping
        What the file does not say.
    seed
        Seed of the states that a rate network is left at, from which its runs start.

    Raises
    ------
    InputError
        Where the file is refused, neither file nor mapping says what is needed, or its network has no such form.

    Examples
    --------
    Two units that excite and inhibit each other, as factors of a matrix of rank two:

    >>> import tempfile
    >>> import numpy as np
    >>> m, n = np.eye(2), np.array([[2.0, -2.0], [2.0, 2.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/weights.npz", m=m, n=n)
    ...     mapping = ArrayMapping(factor=1.0, activation="tanh", filtered="currents")
    ...     network = import_network(f"{folder}/weights.npz", mapping)
    >>> network.rank, network.provenance["imported"]["form"]
    (2, 'm and n')
    """
    mapping = mapping or ArrayMapping()
    nir = Path(path).suffix.lower() == ".nir"
    foreign = mapping.model_fields_set - _OF_NIR if nir else mapping.model_fields_set & _OF_NIR
    if foreign:
        reason = "a NIR file says itself" if nir else "belong to NIR files"
        raise InputError(f"{path}: {', '.join(sorted(foreign))} {reason}. Leave out what does not apply.")
    if nir:
        return import_nir(path, spikes=mapping.spikes, dt_s=mapping.dt_s)
    if Path(path).suffix.lower() in (".h5", ".hdf5") and is_plain(path):
        return read_hdf5(path)
    return import_rate_network(path, mapping, seed=seed)
