"""The closed loop of a spiking network, together with what its spikes should have decoded on its way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numba
import numpy as np

from ddm2snn.conversion.decoders import regression_target
from ddm2snn.conversion.open_loop import Drive

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.conversion.population import Encoding
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import NeuronModel


class ClosedLoop:
    r"""A spiking network that runs by itself on many trials, and the filtered target where it goes.

    The loop is :math:`z_{n+1} = a z_n + (1-a) D s_n + \xi_n` with :math:`a = e^{-dt/T}`. Since spikes are filtered with
    the same a,

    .. math:: z_n = D \tilde r_n + \eta_n, \qquad \eta_{n+1} = a\,\eta_n + \xi_n, \qquad \eta_0 = z_0.

    At each state that it visits the spikes of a step should decode :math:`y(z_n) = (\varphi_{dt}(z_n) - a z_n)/(1-a)`
    with the flow :math:`\varphi` of the rate network (`ddm2snn.conversion.decoders.regression_target`), hence along
    this path

    .. math:: \tilde y_{n+1} = a\,\tilde y_n + (1-a)\,y(z_n),

    which is the target of `Trajectories` on a path whose noise holds all that the spikes do wrong.

    Parameters
    ----------
    rate
        The rate network.
    encoding, neuron, clockwork
        The population, time unit, step and spike timing.
    decoders
        D by columns, shape (rank, column), internal latent units per Hz.
    pool
        Column of each neuron, shape (neuron,).
    injected_factor
        Factor of the noise that is injected, shape (rank, rank), internal units.
    states
        States to start from, internal units, shape (trial, rank).
    voltage
        Membrane voltages at the start, shape (trial, neuron).
    every
        Sampling interval in rate time units, rounded to whole steps.
    rng
        Source of the noise.
    """

    def __init__(
        self,
        rate: RateNetwork,
        encoding: Encoding,
        neuron: NeuronModel,
        clockwork: Clockwork,
        decoders: Float[np.ndarray, "rank column"],
        pool: Int[np.ndarray, " neuron"],
        injected_factor: Float[np.ndarray, "rank rank"],
        states: Float[np.ndarray, "trial rank"],
        voltage: Float[np.ndarray, "trial neuron"],
        every: float,
        rng: np.random.Generator,
    ) -> None:
        step = clockwork.dt_s / clockwork.time_unit_s
        self._rate, self._clockwork, self._rng = rate, clockwork, rng
        self._drive = Drive(encoding, neuron, clockwork, voltage, pool)
        self._decoders, self._decay = decoders, float(np.exp(-step))
        self._noise = np.sqrt((1.0 - self._decay**2) / 2.0) * injected_factor
        self.stride = max(1, round(every / step))
        self.every = self.stride * step
        self._z, self._eta, self._target = states.copy(), states.copy(), np.zeros_like(states)

    def advance(
        self, samples: int
    ) -> tuple[
        Float[np.ndarray, "trial sample column"],
        Float[np.ndarray, "trial sample rank"],
        Float[np.ndarray, "trial sample rank"],
    ]:
        """Go on for some sampling intervals: filtered spikes in Hz, filtered targets and states at their ends."""
        filtered = np.empty((len(self._z), samples, self._drive.columns))
        target = np.empty((len(self._z), samples, self._rate.rank))
        states = np.empty_like(target)
        ages = self._decay ** np.arange(self.stride - 1, -1, -1)
        with _one_thread():
            for sample in range(samples):
                path, filtered[:, sample] = self._interval()
                wanted = np.einsum("n,tnr->tr", ages, regression_target(self._rate, path, self._clockwork))
                self._target = self._decay**self.stride * self._target + (1.0 - self._decay) * wanted
                target[:, sample], states[:, sample] = self._target, self._z
        return filtered, target, states

    def _interval(self) -> tuple[Float[np.ndarray, "trial step rank"], Float[np.ndarray, "trial column"]]:
        """Run for one sampling interval: states at the start of each step, filtered spikes at the end."""
        path, spikes = np.empty((len(self._z), self.stride, self._rate.rank)), np.empty(0)
        for step in range(self.stride):
            path[:, step] = self._z
            spikes = self._drive.advance(self._z[:, None], 1)[:, 0]
            noise = self._rng.standard_normal(self._z.shape) @ self._noise.T
            self._eta = self._decay * self._eta + noise
            self._z = spikes @ self._decoders.T + self._eta
        return path, spikes


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compiled loops on one thread: on a busy machine waiting for others took up to 60 times as long as a step."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)
