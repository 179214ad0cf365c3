"""Networks that every folder of tests shares: one trained, the others made by hand in no time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

import ddm2snn
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.neuron import LIF

MakeRate = Callable[..., RateNetwork]
MakeSpiking = Callable[..., SpikingNetwork]
SEED = 1

# The same examples in every run; `--hypothesis-profile=searching` looks for new ones
settings.register_profile("searching")
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    _share_cores()
    # Brian2 2.9 and Nengo 4.1 call pyparsing and NumPy by old names: theirs to repair, no error of ours
    for module in ("brian2", "nengo"):
        config.addinivalue_line("filterwarnings", rf"ignore::DeprecationWarning:{module}\.")
    # by its wording, since `pytest.warns` reissues what it did not ask for without the module it came from
    config.addinivalue_line(
        "filterwarnings", r"ignore:'\w+' (argument is )?deprecated(,| -) use '\w+':DeprecationWarning"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of the most slow tests, lest a worker begins a long one when the others are done."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def _share_cores() -> None:
    """Give each of several workers of pytest-xdist its share of threads, as for whatever it starts.

    Threads of two processes that wait for each other on two cores take several times as long.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        share = max(1, (os.cpu_count() or 1) // workers)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ.setdefault(name, str(share))
        threadpool_limits(share)


@pytest.fixture(scope="session", autouse=True)
def _program_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs compiled by a session are its own, and those of its processes and workers."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDM2SNN_CACHE", str(shared / "programs"))
        yield


@pytest.fixture(scope="session")
def rate_network() -> RateNetwork:
    """Van der Pol in 64 units, trained once per session (some three seconds)."""
    return ddm2snn.train("vanderpol", seed=SEED)


@pytest.fixture(scope="session")
def brian2_network(rate_network: RateNetwork) -> SpikingNetwork:
    """The trained network in four neurons per unit, for Brian2."""
    return ddm2snn.convert(rate_network, backend="brian2", seed=SEED).network


@pytest.fixture(scope="session")
def spiking_networks(rate_network: RateNetwork, brian2_network: SpikingNetwork) -> dict[str, SpikingNetwork]:
    """The trained network in four neurons per unit, for each simulator."""
    return {"brian2": brian2_network, "nengo": ddm2snn.convert(rate_network, backend="nengo", seed=SEED).network}


@pytest.fixture(scope="session")
def make_rate() -> MakeRate:
    """Builder of small rate networks: `make_rate(rank=2, units=6, seed=0, **fields)`."""
    return build_rate


@pytest.fixture(scope="session")
def make_spiking() -> MakeSpiking:
    """Builder of small spiking networks: `make_spiking(rank=2, neurons=8, seed=0, **fields)`."""
    return build_spiking


def build_rate(rank: int = 2, units: int = 6, seed: int = 0, **fields: object) -> RateNetwork:
    """Random stable rate network without noise, in coordinates that differ from the system's."""
    rng = np.random.default_rng(seed)
    content = {
        **_coordinates(rank),
        "left_vectors": rng.standard_normal((units, rank)),
        "right_vectors": 0.5 * rng.standard_normal((units, rank)) / units,
        "bias": 0.5 * rng.standard_normal(units),
    }
    return RateNetwork(**{**content, **fields})  # pyright: ignore[reportArgumentType]


def build_spiking(rank: int = 2, neurons: int = 8, seed: int = 0, **fields: object) -> SpikingNetwork:
    """Random spiking network without noise: on and off neurons around threshold, latents of order one.

    Neuron j belongs to unit j modulo the number of units, which is half the number of neurons or the
    rank, whichever is more; encoders are rows of Gamma times a factor. Keywords replace fields.
    """
    rng = np.random.default_rng(seed)
    units = max(rank, neurons // 2)
    gamma = rng.standard_normal((units, rank))
    unit = np.arange(neurons) % units
    factor = rng.uniform(0.3, 1.0, neurons) * np.where(np.arange(neurons) // units % 2, -1.0, 1.0)
    content = {
        **_coordinates(rank),
        "encoders": factor[:, None] * gamma[unit],
        "bias": rng.uniform(0.8, 2.0, neurons),
        # at rates near 50 Hz the decoded sum is of order one, whatever the number of neurons
        "decoders": rng.standard_normal((rank, neurons)) / (50.0 * np.sqrt(neurons)),
        "unit": unit,
        "rate_left_vectors": gamma,
        "neuron": LIF(),
        "time_unit_s": 0.1,
        "dt_s": 1e-3,
        "spike_timing": "grid",
        "backend": "reference",
        "rate_fingerprint": "made by hand",
    }
    return SpikingNetwork(**{**content, **fields})  # pyright: ignore[reportArgumentType]


def _coordinates(rank: int) -> dict[str, np.ndarray]:
    scale = 1.0 + 0.5 * np.arange(rank)
    return {
        "diffusion_factor": np.zeros((rank, rank)),
        "input_map": np.diag(1.0 / scale),
        "latent_offset": np.linspace(-0.5, 1.0, rank),
        "latent_scale": scale,
        "initial_latent": np.random.default_rng(rank).standard_normal((5, rank)),
    }
