"""Exported NIR files in the simulators that read them: firing rates in open loop, latents in closed loop.

The reference is `ReferenceBackend`; nothing of the network reaches a reader but the file.
"""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend
from nir_readers import INSTALLED, READERS
from nir_runs import SETTLING, closed_loop, reader_counts, reference_counts, reference_path

import ddm2snn
from ddm2snn import LIF, SpikingNetwork

TRIALS, WINDOW = 4, 6.0
RATE_TOLERANCE = 0.01
# A spike more or less at either end of each trial's window, where a reader's voltages start elsewhere
COUNT_TOLERANCE = 2.0
installed = pytest.mark.parametrize("reader", INSTALLED)


@pytest.fixture(scope="module")
def network(brian2_network: SpikingNetwork) -> SpikingNetwork:
    """Van der Pol, 64 units times 4 neurons without refractory period: its decoders are another's, for both sides."""
    return dataclasses.replace(brian2_network, neuron=LIF(refractory_s=0.0), rise_s=0.0, noise_colour=None)


@pytest.fixture(scope="module")
def path(network: SpikingNetwork) -> np.ndarray:
    return reference_path(network, SETTLING + WINDOW, TRIALS, seed=1)


@pytest.fixture(scope="module")
def counts(network: SpikingNetwork, path: np.ndarray) -> np.ndarray:
    return reference_counts(network, path)


def worst(counts: np.ndarray, found: np.ndarray) -> float:
    """Largest relative difference of a neuron's spikes, less what a spike at the end of a window makes."""
    return float((np.maximum(np.abs(found - counts) - COUNT_TOLERANCE, 0.0) / np.maximum(counts, 1.0)).max())


@installed
def test_rates_in_open_loop(
    reader: str, network: SpikingNetwork, path: np.ndarray, counts: np.ndarray, tmp_path: Path
) -> None:
    """Within 1 % for each neuron; floors of voltages at reset, which NIR lacks, take part of that."""
    assert counts.mean() > 20 * TRIALS  # enough spikes for 1 % to mean something
    assert worst(counts, reader_counts(network, path, reader, tmp_path)) < RATE_TOLERANCE


def test_a_refractory_period_fails_the_rates(
    network: SpikingNetwork, path: np.ndarray, counts: np.ndarray, tmp_path: Path
) -> None:
    """What NIR drops from a network that has one: a millisecond of 25, where neurons fire at 40 Hz."""
    with_period = dataclasses.replace(network, neuron=LIF(refractory_s=0.001))
    assert worst(reference_counts(with_period, path), counts) > 3 * RATE_TOLERANCE


def moments(samples: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each latent in each trial, shape (trial, moment)."""
    return np.concatenate([samples.mean(axis=1), samples.std(axis=1)], axis=1)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of mean moments in standard errors of that difference, over trials."""
    difference = moments(one).mean(axis=0) - moments(other).mean(axis=0)
    error = np.sqrt((moments(one).var(axis=0, ddof=1) + moments(other).var(axis=0, ddof=1)) / len(one))
    return float(np.abs(difference / error).max())


# of 4 moments with 30 degrees of freedom one exceeds 4.5 standard errors in 4e-4 of the cases
MOST_ERRORS = 4.5
LOOP_TRIALS, LOOP = 16, 20.0


def in_reference(network: SpikingNetwork) -> np.ndarray:
    """Latents after settling, shape (trial, time, rank)."""
    found = ddm2snn.simulate(
        network, backend=ReferenceBackend(), duration=SETTLING + LOOP, trials=LOOP_TRIALS, seed=4, every=0.1
    )
    return found.samples[:, round(SETTLING / 0.1) :]


@pytest.fixture(scope="module")
def latents(network: SpikingNetwork) -> np.ndarray:
    return in_reference(network)


@installed
def test_latents_in_closed_loop(reader: str, network: SpikingNetwork, latents: np.ndarray, tmp_path: Path) -> None:
    """Noise and first states go in by the input node, with the factor that the sidecar has."""
    found = closed_loop(network, reader, tmp_path, duration=LOOP, trials=LOOP_TRIALS, seed=6, every=0.1).samples
    assert distance(latents, found) < MOST_ERRORS


def test_a_refractory_period_fails_the_latents(brian2_network: SpikingNetwork, latents: np.ndarray) -> None:
    """Five times the period of the network as converted, beside itself without: at most 100 Hz instead of 500."""
    found = in_reference(dataclasses.replace(brian2_network, neuron=LIF(refractory_s=0.01)))
    assert distance(latents, found) > 2 * MOST_ERRORS


def test_the_files_of_all_readers_say_the_same(network: SpikingNetwork, tmp_path: Path) -> None:
    """The executor runs each reader's file in its own steps: spikes of the file in continuous time, one by one."""
    given = np.random.default_rng(0).standard_normal((1000, 2, 2))
    spikes = {}
    for reader in READERS:
        form = None if reader == "executor" else reader
        path = tmp_path / f"same-{reader}.nir"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of what NIR leaves out
            ddm2snn.export(network, path, nir=ddm2snn.Nir(reader=form))
        step = READERS["executor"](path, network.dt_s, 2)
        spikes[reader] = np.stack([step(u) for u in given])
    assert spikes["executor"].sum() > 100
    for reader, found in spikes.items():
        # rounding moves a spike by a step where a voltage meets the threshold within 1e-13: none in 500,000
        assert np.array_equal(found > 0, spikes["executor"] > 0), reader
