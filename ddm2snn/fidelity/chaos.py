"""Largest Lyapunov exponent of a network, by its drift field or by twin runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.jacobian import Jacobian
from ddm2snn.analysis.lyapunov import lyapunov_spectrum
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.fidelity.twins import twin_divergence
from ddm2snn.recording import Recording
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift

FEWEST_LATENTS = 3
"""An autonomous flow of one or two latents has no positive exponent (Poincare, Bendixson)."""

_TRIALS = 16
_DURATION, _BURN_IN = 40.0, 10.0
APART, SPIKES_APART = 1e-6, 1e-3
"""Standard deviations that twins start apart: as little as rounding allows; spikes make a thousandth of any less."""

_TURNED = 1.0  # rate time units in which a difference turns towards the most unstable direction, and spikes take part
_DRAWS = 200


@dataclass(frozen=True)
class Exponent:
    """Largest Lyapunov exponent per rate time unit.

    Parameters
    ----------
    name
        Of the network or system.
    source
        Where it comes from: "drift field" or "twin runs".
    value, error
        Exponent and its standard error; None where twins came too close to strangers too soon to tell.
    """

    name: str
    source: str
    value: float | None
    error: float | None

    def as_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return {"name": self.name, "source": self.source, "value": self.value, "error": self.error}


def drift_exponent(
    name: str,
    drift: Drift,
    starts: Float[np.ndarray, "sample rank"],
    jacobian: Jacobian | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Exponent:
    """Exponent of the noise-free flow, by `lyapunov_spectrum` along 16 trajectories of 40 rate time units.

    Parameters
    ----------
    name
        Of the network or system.
    drift, jacobian
        Drift and its Jacobian in system units; the Jacobian by central differences unless given.
    starts
        Stationary states, the first 16 of which are taken.
    progress
        Called with the finished share.
    """
    found = lyapunov_spectrum(
        drift, starts[:_TRIALS], dt=stable_step(drift, starts, tolerance=1e-3), duration=_DURATION, burn_in=_BURN_IN,
        jacobian=jacobian, progress=progress,
    )  # fmt: skip
    return Exponent(name, "drift field", float(found.exponents[0]), float(found.standard_error[0]))


def twin_starts(
    starts: Float[np.ndarray, "sample rank"], trials: int, seed: int, apart: float = APART
) -> tuple[Float[np.ndarray, "trial rank"], Float[np.ndarray, "trial rank"]]:
    """Initial states of twin runs: stationary ones, and the same `apart` standard deviations away in any direction.

    Raises
    ------
    InputError
        For fewer than two stationary states, which have no deviation.
    """
    if len(starts) < 2:
        raise InputError(f"Twins need two stationary states or more to be near each other, got {len(starts)}.")
    rng = stream(seed, "fidelity", "twins")
    first = starts[rng.integers(len(starts), size=trials)]
    towards = rng.standard_normal(first.shape)
    towards *= apart * starts.std(axis=0) / np.linalg.norm(towards, axis=1, keepdims=True)
    return first, first + towards


def twin_exponent(name: str, first: Recording, second: Recording) -> Exponent:
    """Exponent by `twin_divergence` of two runs with the same noise, from `twin_starts`.

    The first time unit is left out: differences turn, and those of a spiking network grow at once to what single
    spikes make of them. The standard error comes from resampled trials. Twins feel the noise, so the exponent is that
    of the noisy dynamics, which need not be that of the drift field.
    """
    found = twin_divergence(first.samples, second.samples, first.every)
    draws = np.random.default_rng(0).multinomial(first.trials, np.full(first.trials, 1 / first.trials), size=_DRAWS)
    value = float(found.exponent(skip=_TURNED)[0])
    again = found.exponent(draws.astype(np.float64), skip=_TURNED)
    if not np.isfinite(value) or first.trials < 2 or np.isfinite(again).sum() < _DRAWS / 2:
        return Exponent(name, "twin runs", None, None)
    return Exponent(name, "twin runs", value, float(np.nanstd(again, ddof=1)))
