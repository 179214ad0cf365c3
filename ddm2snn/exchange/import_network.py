"""The verb import_network: a network from a file of another tool, and what a file of arrays does not say by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ddm2snn.base.settings import Settings
from ddm2snn.errors import InputError
from ddm2snn.exchange.nir_import import import_nir
from ddm2snn.exchange.plain_hdf5 import is_plain, read_hdf5
from ddm2snn.exchange.rate_arrays import import_rate_network
from ddm2snn.network import RateNetwork, SpikingNetwork

_OF_NIR = frozenset({"spikes", "dt_s"})  # fields of the mapping that only NIR files need


def _factor(value: object) -> object:
    """Factor of m n^T as a file or a command line states it."""
    if value is None or str(value).upper() == "1/N":
        return value and "1/N"
    try:
        return float(value)  # pyright: ignore[reportArgumentType] - refused below
    except (TypeError, ValueError):
        raise ValueError("must be a number or 1/N") from None


class ArrayMapping(Settings):
    """What a file of arrays does not say by itself: names of arrays, and what the numbers mean.

    Parameters
    ----------
    left, right
        Names of Gamma (unit, rank) and W_s (rank, unit) of ``W = Gamma W_s``.
    m, n
        Names of the vectors (unit, rank) of ``W = factor m n^T``.
    weights
        Name of a dense W (unit, unit), whose row i holds what unit i receives.
    bias, threshold
        Names of b and of h (unit) of ``phi(x + b - h)``.
    inputs, input_gains
        Names of input vectors (input, unit) or (unit, input), and of their gains (input), or of one for all.
    diffusion, covariance
        Name of the noise factor, or of its covariance: of latents (rank, rank), or of units, with a row for each. What
        units' noise has within the subspace of the latents becomes theirs.
    outputs, output_gains, output_bias
        Names of read-out vectors (unit, output) or (output, unit), of their gains (output), or of one for all, and of d
        (output), of ``y = C phi(x + b) + d``; found in families whose code says what a read-out reads.
    start
        Name of the state in which a trial begins, of the units or of the latents.
    prefix
        What stands before the names of the network's arrays, such as "rnn."; found where there is one network.
    factor
        Factor of ``m n^T``: a number, or "1/N" with N the number of units.
    rank, tolerance
        Rank of the factors of a dense W, whose relative error may be `tolerance`, 0.1 by default. Without it, the
        smallest rank whose error is within `tolerance`, 1e-6 by default.
    rectified
        Number of latents that are rectified, the last ones, of ``z' = A z + W Phi(z) + h`` (AL-RNN).
    activation
        tanh, relu, clipped relu (``relu(x + b) - relu(x)``) or logistic.
    filtered
        What the leak acts on: "currents" for ``tau dx/dt = -x + W phi(x + b)``, "rates" for
        ``tau dr/dt = -r + phi(W r + b)``. One rate time unit is tau.
    step
        a of a network in discrete time, ``x' = (1 - a) x + a (...)``: its time step in units of tau. Taken from arrays
        alpha, dt and tau, or decay (1 - a), where the file has them.
    noise, unit_noise
        Noise of each latent, or of each unit, per square root of the time unit, where the file has none.
    noise_latents
        Number of further latents for noise of units outside the subspace of the others, most of which is left out
        without them. They carry what moves the others most, and are driven by noise alone.
    noise_per
        What the noise of the file is per: "time unit", or "step" of discrete time.
    spikes, dt_s
        For NIR files only: what a spike counts, and the time step; see `ddm2snn.exchange.nir_import.import_nir`.

    Examples
    --------
    >>> ArrayMapping(left="U", right="V", activation="tanh", filtered="currents")
    ArrayMapping(left='U', right='V', activation='tanh', filtered='currents')
    """

    left: str | None = None
    right: str | None = None
    m: str | None = None
    n: str | None = None
    weights: str | None = None
    bias: str | None = None
    threshold: str | None = None
    inputs: str | None = None
    input_gains: str | None = None
    diffusion: str | None = None
    covariance: str | None = None
    outputs: str | None = None
    output_gains: str | None = None
    output_bias: str | None = None
    start: str | None = None
    prefix: str | None = None
    factor: Annotated[float | Literal["1/N"] | None, BeforeValidator(_factor)] = None
    rank: int | None = Field(default=None, ge=1)
    tolerance: float | None = Field(default=None, gt=0, lt=1)
    rectified: int | None = Field(default=None, ge=0)
    activation: Literal["tanh", "relu", "clipped relu", "logistic"] | None = None
    filtered: Literal["currents", "rates"] | None = None
    step: float | None = Field(default=None, gt=0, le=1)
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    unit_noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    noise_latents: int = Field(default=0, ge=0)
    noise_per: Literal["time unit", "step"] = "time unit"
    spikes: Literal["per second", "per step"] | None = None
    dt_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)


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
        A .nir, .npz, .safetensors, .mat, .h5, .pt, .pth or .pkl file, or a PyTorch file without suffix.
    mapping
        What the file does not say.
    seed
        Seed of the states that a rate network is left at, from which its runs start.

    Returns
    -------
    RateNetwork or SpikingNetwork
        The latter from NIR graphs and files of `export`.

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
