"""Neurons placed around the states that a rate network visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Record, find_backend
from ddm2snn.base.randomness import child_seed, stream
from ddm2snn.conversion.direct import Direct, direct_encoding
from ddm2snn.conversion.kept import Kept, tune_units
from ddm2snn.conversion.population import Encoding, Population, encode
from ddm2snn.conversion.tuning import FEWEST_POINTS, MOST_NEURONS, POINTS_PER_NEURON, tune
from ddm2snn.network import RateNetwork
from ddm2snn.training.sampling import widened

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.kinds import Decoders

_TRIALS, _DURATION, _EVERY = 128, 20.0, 0.5
_SMEAR = 0.15


def stationary_states(rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"]:
    """States of the rate network itself, in system units, after it has forgotten where it started."""
    run = find_backend("rate").run(
        rate,
        duration=_DURATION,
        trials=_TRIALS,
        seed=child_seed(seed, "conversion", "states"),
        record=Record(every=_EVERY),
    )
    return run.samples[:, run.samples.shape[1] // 4 :].reshape(-1, rate.rank)


def around(cloud: Float[np.ndarray, "sample rank"], seed: int) -> Float[np.ndarray, "sample rank"]:
    """Stationary states, widened: the points that neurons cover."""
    return widened(cloud, stream(seed, "conversion", "points"), spread=_SMEAR, reach=1.25)


def place(
    rate: RateNetwork, population: Population, decoders: Decoders, cloud: Float[np.ndarray, "sample rank"], seed: int
) -> tuple[Encoding, dict[str, float]]:
    """Encoders and biases around stationary states, tuned for what the decoders will decode, and what tuning found."""
    if isinstance(decoders, Direct):
        return direct_encoding(rate), {}
    z = around(cloud, seed)
    encoding = encode(rate, population, z, stream(seed, "conversion", "encoders"))
    neuron = population.neuron.for_neurons(len(encoding.bias))
    if population.tuned and isinstance(decoders, Kept):
        rng = stream(seed, "conversion", "units")
        return tune_units(rate, encoding, neuron, z, decoders, rng), {}
    if population.tuned and neuron.tunable and len(encoding.bias) <= MOST_NEURONS:
        return tune(rate, encoding, neuron, _tuning_points(cloud, len(encoding.bias), seed))
    return encoding, {}


def _tuning_points(cloud: Float[np.ndarray, "sample rank"], neurons: int, seed: int) -> Float[np.ndarray, "point rank"]:
    """Widened stationary states, as many as the population needs, some twice where there are too few."""
    count = max(FEWEST_POINTS, POINTS_PER_NEURON * neurons)
    rng = stream(seed, "conversion", "tuning points")
    return widened(cloud[np.resize(rng.permutation(len(cloud)), count)], rng, spread=_SMEAR, reach=1.25)
