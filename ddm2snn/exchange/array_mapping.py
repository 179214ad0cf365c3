"""What a file of arrays does not say by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ddm2snn.base.settings import Settings


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
    bias, inputs, input_gains, diffusion
        Names of b (unit), of input vectors (input, unit), of their gains (input), and of the latent noise factor
        (rank, rank), if there are any.
    factor
        Factor of ``m n^T``: a number, or "1/N" with N the number of units.
    rank, tolerance
        Rank of the factors of a dense W; without it, the smallest rank whose relative error is within `tolerance`.
    activation
        tanh, relu or logistic.
    filtered
        What the leak acts on: "currents" for ``tau dx/dt = -x + W phi(x + b)``, "rates" for
        ``tau dr/dt = -r + phi(W r + b)``. One rate time unit is tau.
    step
        a of a network in discrete time, ``x' = (1 - a) x + a (...)``: its time step in units of tau.
    noise
        Latent noise where the file has no `diffusion`: the factor is this number times the identity.
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
    inputs: str | None = None
    input_gains: str | None = None
    diffusion: str | None = None
    factor: Annotated[float | Literal["1/N"] | None, BeforeValidator(_factor)] = None
    rank: int | None = Field(default=None, ge=1)
    tolerance: float = Field(default=1e-6, gt=0, lt=1)
    activation: Literal["tanh", "relu", "logistic"] | None = None
    filtered: Literal["currents", "rates"] | None = None
    step: float | None = Field(default=None, gt=0, le=1)
    noise: float = Field(default=0.0, ge=0)
    spikes: Literal["per second", "per step"] | None = None
    dt_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
