"""The rate network itself as a backend, so that comparison does not know who made a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Consume, Network, Record, Unsupported, common_gaps, refuse
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.errors import UnsupportedError
from ddm2snn.network import RateNetwork, to_system
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Recording
from ddm2snn.schedule import blocks, check_path, check_run, run_provenance, whole_steps
from ddm2snn.stimulus import Stimulus
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

_BLOCK = 512
_TIME_UNIT_S = 1.0  # a rate network has no clock: one rate time unit is taken as one second
_LONGEST_STEP = 0.01  # in rate time units


class RateBackend:
    """Integrates dz = (-z + W_s phi(Gamma z + b) + u) dt + G dw with the stochastic Heun scheme.

    A rate network has no seconds of its own: `dt_s` counts rate time units here.
    """

    name = "rate"
    spike_timing: SpikeTiming = "interpolated"

    def unsupported(
        self, network: Network, *, dt_s: float | None = None, stimulus: Stimulus | None = None
    ) -> list[Unsupported]:
        """Nothing but that the network must be a RateNetwork."""
        return common_gaps(network, RateNetwork, dt_s, self.spike_timing)

    def _accept(self, network: Network, stimulus: Stimulus | None = None) -> RateNetwork:
        refuse(self, network, dt_s=None, stimulus=stimulus)
        if not isinstance(network, RateNetwork):
            raise UnsupportedError(f"Backend rate runs a RateNetwork, got a {type(network).__name__}.")
        return network

    def run(
        self,
        network: Network,
        *,
        duration: float,
        trials: int,
        seed: int,
        dt_s: float | None = None,
        stimulus: Stimulus | None = None,
        initial_latent: Float[np.ndarray, "trial rank"] | None = None,
        record: Record | None = None,
        progress: Progress = no_progress,
    ) -> Recording:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        rate = self._accept(network, stimulus)
        record, stimulus = record or Record(), stimulus or Stimulus()
        initial = check_run(rate, duration=duration, trials=trials, seed=seed, initial_latent=initial_latent)
        step = _divisor(record.every, stable_step(rate.drift, rate.initial_latent)) if dt_s is None else dt_s
        check_positive("run", dt_s=step)
        stride = whole_steps(record.every, step, "the sampling interval `every`", "rate time units")
        steps = max(1, round(duration / step))
        forcing = None
        if not stimulus.empty:
            forcing = stimulus.at(np.arange(steps) * step, rate.input_map.shape[1]) @ rate.input_map.T
        latent = integrate(
            lambda z: rate.internal_readout(z) - z, rate.internal_noise, initial, dt=step, steps=steps,
            stride=stride, rng=stream(seed, "rate", "noise"), forcing=forcing, progress=progress,
        )  # fmt: skip
        versions = {"numpy": np.__version__}
        return Recording.from_arrays(
            to_system(rate, latent), every=record.every, time_unit_s=_TIME_UNIT_S,
            provenance=run_provenance(rate, self.name, seed, step, _TIME_UNIT_S, stimulus, versions),
        )  # fmt: skip

    def drive(
        self,
        network: Network,
        latent_path: Float[np.ndarray, "time rank"],
        *,
        seed: int,
        dt_s: float | None = None,
        consume: Consume,
    ) -> None:
        """Open loop: the units' outputs phi(Gamma z + b), filtered with the leak, take the place of spikes."""
        rate = self._accept(network)
        check_seed(seed)
        step = _LONGEST_STEP if dt_s is None else dt_s
        check_positive("drive", dt_s=step)
        path, decay = check_path(rate, latent_path), np.exp(-step / _TIME_UNIT_S)
        filtered = np.zeros(rate.units)
        for block in blocks(len(path), _BLOCK):
            activity = rate.hidden(path[block.start : block.stop])
            kept = np.empty_like(activity)
            for row, value in enumerate(activity):
                filtered = decay * filtered + (1 - decay) * value
                kept[row] = filtered
            consume(kept)


def _divisor(every: float, longest: float) -> float:
    """Return the longest step up to `longest` and the adapter's own limit that divides `every`."""
    return float(every / np.ceil(every / min(_LONGEST_STEP, longest) - 1e-9))
