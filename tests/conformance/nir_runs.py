"""Exported networks run by the simulators that read NIR, in open and in closed loop."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
from ddm2snn_backends.reference import ReferenceBackend
from nir_readers import READERS, Step

from ddm2snn import Nir, Recording, SpikingNetwork, export, simulate
from ddm2snn.exchange.nir_graph import Dialect
from ddm2snn.network import to_internal, to_system
from ddm2snn.simulate import drive

SETTLING = 10.0  # time units in which biases, that pass through the filter, come within 5e-5 of their values


def read(network: SpikingNetwork, reader: str, folder: Path, trials: int, dialect: Dialect = "factored") -> Step:
    """Export for a reader and have it read the file."""
    path = folder / f"{dialect}-{reader}.nir"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of what NIR leaves out, which the callers know
        export(network, path, nir=Nir(dialect, None if reader == "executor" else reader))
    return READERS[reader](path, network.dt_s, trials)


def kept(network: SpikingNetwork) -> float:
    """What remains of a latent after one step."""
    return float(np.exp(-network.dt_s / network.time_unit_s))


def reference_path(network: SpikingNetwork, duration: float, trials: int, seed: int) -> np.ndarray:
    """Latents of the reference at each step, in system units, shape (trial, step, rank)."""
    every = network.dt_s / network.time_unit_s
    reference = ReferenceBackend()
    return simulate(network, backend=reference, duration=duration, trials=trials, seed=seed, every=every).samples


def reference_counts(network: SpikingNetwork, path: np.ndarray) -> np.ndarray:
    """Spikes of each neuron along latent paths on the reference, after settling."""
    decay, first = kept(network), round(SETTLING * network.time_unit_s / network.dt_s)
    counts = np.zeros(network.neurons)
    for trial in path:
        filtered = np.concatenate(list(drive(network, trial, backend=ReferenceBackend(), seed=1)))
        fired = (filtered[first:] - decay * filtered[first - 1 : -1]) / (1.0 - decay) * network.dt_s
        counts += np.rint(fired).sum(axis=0)
    return counts


def reader_counts(
    network: SpikingNetwork, path: np.ndarray, reader: str, folder: Path, dialect: Dialect = "factored"
) -> np.ndarray:
    """Spikes of each neuron along latent paths on a reader, after settling: decoders cut, latents fed as inputs."""
    cut = dataclasses.replace(network, decoders=np.zeros_like(network.decoders))
    step = read(cut, reader, folder, len(path), dialect)
    z, decay = to_internal(network, path), kept(network)
    before = np.concatenate([np.zeros_like(z[:, :1]), z[:, :-1]], axis=1)
    given = (z - decay * before) / (1.0 - decay) @ np.linalg.inv(network.input_map).T
    counts = np.zeros(network.neurons)
    for index in range(given.shape[1]):
        fired = step(given[:, index])
        if index >= round(SETTLING * network.time_unit_s / network.dt_s):
            counts += fired.sum(axis=0)
    return counts


def closed_loop(
    network: SpikingNetwork, reader: str, folder: Path, *, duration: float, trials: int, seed: int,
    dialect: Dialect = "factored", every: float = 0.02,
) -> Recording:  # fmt: skip
    """Run a file in closed loop, its noise and its initial states fed as inputs, and decode the latents."""
    step, decay, rng = read(network, reader, folder, trials, dialect), kept(network), np.random.default_rng(seed)
    inverse, noise = np.linalg.inv(network.input_map).T, network.diffusion_factor * np.sqrt((1.0 - decay**2) / 2.0)
    pool = to_internal(network, network.initial_latent)
    z, pushed = np.zeros((trials, network.rank)), pool[rng.integers(len(pool), size=trials)]
    stride = round(every * network.time_unit_s / network.dt_s)
    settling, steps = (round(t * network.time_unit_s / network.dt_s) for t in (SETTLING, duration))
    samples, fired = [], np.zeros((trials, network.neurons))
    for index in range(settling + steps):
        z = decay * z + (1.0 - decay) * (fired @ network.decoders.T / network.dt_s) + pushed
        fired = step(pushed / (1.0 - decay) @ inverse)
        if index >= settling and (index - settling) % stride == 0:
            samples.append(z)
        pushed = rng.standard_normal(z.shape) @ noise.T
    latent = to_system(network, np.stack(samples, axis=1))
    return Recording.from_arrays(
        latent, every=every, time_unit_s=network.time_unit_s, provenance={"backend": reader, "network": "NIR file"}
    )
