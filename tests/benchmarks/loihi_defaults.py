"""What NengoLoihi's defaults make of a rate network: one ensemble, Nengo's solver, default decode neurons.

The values of `nengo_loihi.set_defaults()` (largest rates, intercepts, voltages at zero) are given to the ensemble
itself, since the function would change Nengo for the whole process. Decode neurons and `decode_tau` are the builder's
own. The decoders are solved on the rate network's stationary states, as those do who know them: the default, points of
a ball, spends its accuracy where the latents never are. All of the rate network's noise comes from the host, as its
low-pass, since white noise would saturate the decode neurons that carry it.
"""

# pyright: reportArgumentType=false
# nengo annotates defaults by a sentinel type, which no real argument has

from __future__ import annotations

import warnings
from types import ModuleType

import nengo
import numpy as np
from ddm2snn_backends.loihi_model import repaired

import ddm2snn
from ddm2snn.base.randomness import global_generator_kept
from ddm2snn.network import to_internal, to_system

_PROBE_S = 0.02  # low-pass of the decoded read-out: short beside a time unit
_SMEAR = 0.15


def default_run(
    rate: ddm2snn.RateNetwork,
    neurons: int,
    time_unit_s: float,
    *,
    duration: float,
    trials: int,
    every: float,
    seed: int,
) -> ddm2snn.Recording:
    """Latents of one ensemble for each trial, on the emulator (target sim), in steps of 1 ms."""
    dt_s, rng = 1e-3, np.random.default_rng(seed)
    cloud = to_internal(rate, rate.initial_latent)
    starts = cloud[rng.integers(len(cloud), size=trials)]
    stride, steps = round(every * time_unit_s / dt_s), round(duration * time_unit_s / dt_s)
    with repaired() as nengo_loihi, global_generator_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about saturated states and rounded weights: what the row measures
        with nengo.Network(seed=seed) as model:
            nengo_loihi.add_params(model)
            points = cloud + _SMEAR * rng.standard_normal(cloud.shape)
            probes = [_trial(nengo_loihi, model, rate, neurons, time_unit_s, points, start) for start in starts]
        with nengo_loihi.Simulator(model, dt=dt_s, target="sim", progress_bar=False) as simulator:
            simulator.run_steps(steps)
        latent = np.stack([simulator.data[probe][::stride] for probe in probes])
    provenance = {"backend": "nengo-loihi", "options": {"target": "sim", "network": "NengoLoihi's defaults"}}
    return ddm2snn.Recording.from_arrays(
        to_system(rate, latent), every=every, time_unit_s=time_unit_s, provenance=provenance
    )


def _trial(
    nengo_loihi: ModuleType, model: nengo.Network, rate: ddm2snn.RateNetwork, neurons: int, time_unit_s: float,
    points: np.ndarray, start: np.ndarray,
) -> nengo.Probe:  # fmt: skip
    """An ensemble on chip that decodes z + f(z) through the synapse of the latents, with its noise and its start."""
    rest = {"voltage": nengo.dists.Choice([0])}
    ensemble = nengo.Ensemble(
        neurons, rate.rank, radius=float(np.linalg.norm(points, axis=1).max()),
        neuron_type=nengo.LIF(initial_state=rest), max_rates=nengo.dists.Uniform(100, 120),
        intercepts=nengo.dists.Uniform(-1.0, 0.5), eval_points=points,
    )  # fmt: skip
    nengo.Connection(
        ensemble, ensemble, function=rate.internal_readout(points), eval_points=points, scale_eval_points=False,
        synapse=time_unit_s,
    )  # fmt: skip
    white = nengo.dists.Gaussian(0, np.sqrt(time_unit_s))
    noise = nengo.processes.FilteredNoise(nengo.Lowpass(time_unit_s), dist=white, default_size_out=rate.rank)
    nengo.Connection(nengo.Node(noise, size_out=rate.rank), ensemble, transform=rate.diffusion_factor)
    nengo.Connection(nengo.Node(lambda t: start * np.exp(-t / time_unit_s), size_out=rate.rank), ensemble)
    return nengo.Probe(ensemble, synapse=_PROBE_S)
