"""Lag: by how much the decoded spikes come too late along a moving latent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.driving import driven

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork

_TRAJECTORIES, _DURATION = 8, 20.0


def measure_lag(
    rate: RateNetwork,
    ensemble: Ensemble,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, " rank"]]:
    r"""Residual lag of each latent in seconds, negative where the spikes lead, and its standard error.

    It is measured open loop, on fresh trajectories of the rate network. What is decoded, filtered, is the target
    :math:`\tilde y` of `Trajectories` plus an error e. The filter gives the target's derivative in rate time units,
    :math:`\dot{\tilde y} = W_s\phi(\Gamma z + b) - \tilde y`; see `lag_of`.

    Parameters
    ----------
    rate, ensemble
        The network, and its neurons with the time scales of the simulation.
    decoders
        D, shape (rank, neuron), internal latent units per Hz.
    states
        Stationary states to start from, internal units, shape (sample, rank).
    rng
        Source of the trajectories.
    """
    errors, speeds = [], []
    for block in driven(rate, ensemble, states, np.arange(ensemble.neurons), _TRAJECTORIES, _DURATION, rng):
        errors.append(block.spikes_hz @ decoders.T - block.target)
        speeds.append(rate.internal_readout(block.states) - block.target)
    lag, deviation = lag_of(np.concatenate(errors, axis=1), np.concatenate(speeds, axis=1))
    return lag * ensemble.clock.time_unit_s, deviation * ensemble.clock.time_unit_s


def lag_of(
    error: Float[np.ndarray, "trial time rank"], speed: Float[np.ndarray, "trial time rank"]
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, " rank"]]:
    r"""Lag :math:`\ell` of a signal and its standard error, from the signal's error and the target's derivative.

    .. math:: \tilde y(t-\ell) - \tilde y(t) \approx -\ell\,\dot{\tilde y}
        \quad\Rightarrow\quad \ell = -\frac{\langle e\,\dot{\tilde y}\rangle}{\langle \dot{\tilde y}^2\rangle},

    with both less their means, in the time units of the derivative. The standard error is the scatter of the trials'
    numerators. Zero where the target does not move.

    Examples
    --------
    >>> phase = np.linspace(0.0, 6.0, 8)[:, None, None] + np.linspace(0.0, 20.0, 400)[:, None]
    >>> lag, standard_error = lag_of(np.sin(phase - 0.01) - np.sin(phase), np.cos(phase))
    >>> lag.round(4)
    array([0.01])
    >>> bool((standard_error < 1e-4).all())
    True
    """
    error, speed = (x - x.mean(axis=(0, 1)) for x in (error, speed))
    power = (speed**2).mean(axis=(0, 1))
    power = np.where(power > 0, power, np.inf)
    lag = -(error * speed).mean(axis=(0, 1)) / power
    scatter = ((error + lag * speed) * speed).mean(axis=1).std(axis=0, ddof=1)
    return lag, scatter / np.sqrt(len(error)) / power
